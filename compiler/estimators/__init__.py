"""Estimators of gradients: exact, through backward weights, along perturbations."""
