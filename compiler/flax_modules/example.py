"""An example of a Flax NNX module, which the architecture `flax` can name."""

import itertools
from collections.abc import Sequence
from typing import Any

from flax import nnx


def flat(x: Any) -> Any:
    """Each example flattened to a vector."""
    return x.reshape(x.shape[0], -1)


class Mlp(nnx.Module):
    """A multilayer perceptron on the flattened image; every dense layer with ReLU is a block."""

    def __init__(
        self, image: tuple[int, int, int], *, rngs: nnx.Rngs, hidden: Sequence[int] = (64, 64)
    ) -> None:
        height, width, colours = image
        sizes = itertools.pairwise((height * width * colours, *hidden))
        dense = [nnx.Sequential(nnx.Linear(*size, rngs=rngs), nnx.relu) for size in sizes]
        self.blocks = nnx.List([flat, *dense])
