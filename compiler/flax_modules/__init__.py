"""Networks that are Flax NNX modules of somebody's own."""
