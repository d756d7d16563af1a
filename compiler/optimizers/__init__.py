"""Optimizers and schedules: what they do with gradients, as optax transformations."""
