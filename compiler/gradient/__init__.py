"""Estimators of gradients: exact, and forward along perturbations of weights or activations."""
