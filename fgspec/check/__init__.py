"""Everything that refuses a spec, without JAX."""
