"""Bias and variance of gradient estimates, against the exact gradient of their target."""
