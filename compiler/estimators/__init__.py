"""Gradient estimators: reverse mode, backward weights, directional derivatives along noise."""
