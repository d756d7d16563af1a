"""The auxiliary networks of AugLocal (Ma et al., ICLR 2024), a head."""

from collections.abc import Iterator
from typing import Annotated, ClassVar, Literal

from pydantic import Field

from fgspec.problems.problems import Problem
from fgspec.spec.base import PositiveInt, Unit
from fgspec.spec.heads import Head
from fgspec.spec.shapes import Extent, flat
from fgspec.yaml.load import Path


class AugLocalHead(Head):
    """Copies of a few later units of the network, with parameters of their own, and a classifier.

    It needs `aggregation: pooled`. A *unit* is the shortest run of layers that nothing bypasses,
    such as a convolution or a residual block. Of the units l + 1 ... L after the block, d are taken
    at equal distances; the last one always is. The depth d falls linearly from block to block
    (pyramidal depth). Average pooling and a linear layer follow (Ma et al. 2024, arXiv 2402.17318).
    """

    behaviour: ClassVar[str | None] = "compiler.network.auglocal:AugLocalHead"
    reads_grid: ClassVar[str] = "later blocks read the grid"
    type: Literal["auglocal"] = "auglocal"
    depth: Annotated[PositiveInt, Unit("units")] = Field(
        default=3,
        description="How many units the head of the first block copies; fewer if fewer follow.",
        examples=[6],
    )
    # The default is that of the authors' scripts.
    pyramid: Annotated[float, Field(ge=0, le=1)] = Field(
        default=0.5,
        description="How far the depth falls until the last head: by this share of depth - 1. 0: "
        "all heads have the same depth; 1: the last head copies one unit.",
        examples=[1.0],
    )

    def depth_at(self, index: int, blocks: int) -> int:
        """How many units the head of a block copies, if as many follow.

        With i the block's index and K the number of blocks, d - (d - 1) c i / (K - 2), rounded: it
        falls from d at the first block to d - (d - 1) c at the last but one, which has the last
        head where the final loss closes the network.

        Args:
            index: of the block, from 0.
            blocks: of the network.
        """
        fallen = min(index * self.pyramid / (blocks - 2), self.pyramid) if blocks > 2 else 0.0
        return max(1, round(self.depth * (1 - fallen) + fallen))

    def normalized(self, features: Extent, pooled: bool) -> Iterator[tuple[Extent, str | None]]:
        """The pooled features, where a head has a single unit."""
        if self.depth - (self.depth - 1) * self.pyramid < 1.5:
            yield flat(features.width), None

    def problems(self, at: Path) -> Iterator[Problem]:
        """A depth of 1 cannot fall."""
        if self.depth == 1 and self.pyramid != type(self).model_fields["pyramid"].default:
            message = "never read: every head copies one unit; remove it"
            yield Problem((*at, "pyramid"), message, others=((*at, "depth"),))
