"""Networks that users write as Flax NNX modules."""
