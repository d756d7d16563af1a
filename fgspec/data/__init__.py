"""Data sources and the batches made from them; no JAX here."""
