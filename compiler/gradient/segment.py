"""Segments: chains of blocks between which no gradient passes, and the losses inside each."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, NamedTuple

from jaxtyping import Array, Float

from compiler.axes import Axis
from compiler.network.network import Block, Trace


@dataclass(frozen=True)
class Site:
    """One loss.

    Attributes:
        name: `final`, or the block it follows.
        block: the block whose features it reads.
        axes: the axes of its copies; ("batch",) when it is not replicated.
    """

    name: str
    block: str
    axes: tuple[Axis, ...] = ("batch",)


@dataclass(frozen=True)
class Segment:
    """Blocks that share a gradient, and the losses that give it."""

    blocks: tuple[Block, ...]
    sites: tuple[Site, ...]


Losses = Callable[[Site, Float[Array, "n p g c"]], Float[Array, "..."]]
"""(site, features after its block) -> the copies of its loss, with the axes of the site."""


class Estimate(NamedTuple):
    """An estimated gradient and the unperturbed forward pass it was made from.

    Attributes:
        grads: by block, layer and name, of the sum over the sites of the mean loss.
        trace: of the whole segment.
    """

    grads: Mapping[str, Any]
    trace: Trace


Noise = Callable[[str, tuple[int, ...], Any], Float[Array, "..."]]
"""(name of what is perturbed, shape, sample) -> the perturbation."""
