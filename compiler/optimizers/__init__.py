"""Optimizers, schedules and clipping of gradients, as optax transformations."""
