"""The language in words: every field and value, as pages and for a terminal; no JAX here."""
