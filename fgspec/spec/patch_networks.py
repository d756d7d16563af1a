"""What networks have in common that keep the patches and the channels of an image in all blocks."""

from collections.abc import Iterator
from typing import TYPE_CHECKING, Annotated, Any, ClassVar, Self

from pydantic import Field

from fgspec.problems.problems import Problem
from fgspec.spec.architectures import AT, Normalized, equal_patches
from fgspec.spec.dataset_info import DatasetInfo
from fgspec.spec.losses import LossAxis
from fgspec.spec.normalizations import NormPlace
from fgspec.spec.shapes import Axis, Extent, divisors
from fgspec.yaml.load import Path

Blocks = Annotated[int, Field(ge=1, le=10_000)]
"""A number of blocks."""


def patches_per_side() -> Any:
    """The field of the patches."""
    return Field(
        default=8,
        description="Patches per side of the image; there are patches^2 of them. It must divide "
        "the image's height and width.",
        examples=[4],
    )


def groups_of_channels() -> Any:
    """The field of the groups."""
    return Field(
        default=1,
        description="Groups that the channels fall into. Local losses can have a copy for each; "
        "the network computes the same.",
        examples=[4],
    )


class PatchNetwork(Normalized):
    """An architecture whose blocks all give the same patches, channels and groups of channels.

    Attributes:
        counts_groups: the field that says how many groups of channels there are.
        divided: the fields whose channels fall into groups.
    """

    loss_axes: ClassVar[tuple[LossAxis, ...]] = ("patch", "group")
    counts_groups: ClassVar[str] = "groups"
    divided: ClassVar[tuple[str, ...]] = ("channels",)

    # Not fields here: fields of a base come first, and specs are printed in the order of fields.
    if TYPE_CHECKING:
        blocks: int
        patches: int
        channels: int

    @property
    def extent(self) -> Extent:
        """What leaves every block."""
        count = getattr(self, self.counts_groups)
        return Extent(self.patches, self.patches, count, self.channels // count)

    def block_count(self) -> tuple[int, Path] | None:
        """As its field says."""
        return self.blocks, (*AT, "blocks")

    def deepened(self, blocks: int) -> Self | None:
        """As its field says."""
        return self.model_copy(update={"blocks": blocks})

    def axis_sizes(self, axis: Axis) -> Iterator[tuple[Path, int]]:
        """Groups and patches."""
        if axis == "group":
            yield (*AT, self.counts_groups), self.extent.groups
        elif axis == "patch":
            yield (*AT, "patches"), self.extent.features[0]

    def data_problems(self, at: Path, info: DatasetInfo) -> Iterator[Problem]:
        """Images fall into equal patches."""
        yield from equal_patches(self.patches, info, at)

    def ends(self, image: tuple[int, int, int]) -> Iterator[NormPlace]:
        """Every block gives the same."""
        place = NormPlace(self.extent, (*AT, self.counts_groups), grouped=True)
        yield from [place] * self.blocks

    def problems(self, at: Path) -> Iterator[Problem]:
        """Channels fall into groups."""
        groups = getattr(self, self.counts_groups)
        for field in self.divided:
            channels = getattr(self, field)
            if channels is not None and channels % groups:
                message = f"must divide {field}; {divisors(channels, groups)}"
                yield Problem((*at, self.counts_groups), message, others=((*at, field),))


class PreNormNetwork(PatchNetwork):
    """A patch network with a normalization at the beginning of every residual branch."""

    divided: ClassVar[tuple[str, ...]] = ("channels", "hidden")

    if TYPE_CHECKING:
        hidden: int | None

    @property
    def wide(self) -> int:
        """The channels between the two dense layers of a block."""
        return self.hidden or 4 * self.channels

    def normalized(self, image: tuple[int, int, int]) -> Iterator[NormPlace]:
        """At the beginning of every branch, and before the classifier."""
        yield NormPlace(self.extent, (*AT, "channels"))

    def head_features(self, place: NormPlace) -> Iterator[NormPlace]:
        """See the base."""
        yield place

    def problems(self, at: Path) -> Iterator[Problem]:
        """Channels fall into groups, and what is set of the normalization is read."""
        yield from super().problems(at)
        yield from self.normalization.problems((*at, "normalization"))
