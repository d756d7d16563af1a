"""Data sources, and the batches that are made from them. This package does not import JAX."""
