"""A Flax NNX module that the architecture `flax` can name without any other package."""

import itertools
from collections.abc import Sequence
from typing import Any

from flax import nnx


def flat(x: Any) -> Any:
    """Everything of an example in a row."""
    return x.reshape(x.shape[0], -1)


class Mlp(nnx.Module):
    """Dense layers with ReLU, each a block, on the flattened image."""

    def __init__(
        self, image: tuple[int, int, int], *, rngs: nnx.Rngs, hidden: Sequence[int] = (64, 64)
    ) -> None:
        height, width, colours = image
        sizes = itertools.pairwise((height * width * colours, *hidden))
        dense = [nnx.Sequential(nnx.Linear(*size, rngs=rngs), nnx.relu) for size in sizes]
        self.blocks = nnx.List([flat, *dense])
