"""The sections of an experiment spec, one file each; no JAX here."""
