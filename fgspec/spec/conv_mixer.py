"""The ConvMixer."""

from collections.abc import Iterator
from typing import Annotated, ClassVar, Literal, Self

from pydantic import Field

from fgspec.problems.problems import Problem
from fgspec.spec.activations import AnyActivation, Gelu
from fgspec.spec.architectures import ACTIVATION, AT, INITIALIZATION
from fgspec.spec.base import PositiveInt, Unit
from fgspec.spec.initializations import AnyInitialization, KaimingUniform
from fgspec.spec.layers import Window
from fgspec.spec.normalizations import GridNormalization, LayerNorm, NormPlace
from fgspec.spec.patch_networks import Blocks, PatchNetwork, groups_of_channels, patches_per_side
from fgspec.yaml.load import Path


class ConvMixer(PatchNetwork):
    """A ConvMixer (Trockman and Kolter 2022, arXiv 2201.09792).

    A block is a convolution of every channel by itself, then a linear map of the channels of every
    patch. An activation and a normalization follow each, and the convolution's input is added to
    what its normalization gives. The first block also maps the pixels of patches to channels.

    The defaults are ConvMixer-256/8, with 256 channels and 8 blocks, but for the patches.
    """

    behaviour: ClassVar[str | None] = "compiler.network.conv_mixer:ConvMixer"
    type: Literal["conv_mixer"] = "conv_mixer"
    blocks: Blocks = Field(default=8, description="Number of blocks.", examples=[4])
    patches: PositiveInt = patches_per_side()
    channels: Annotated[PositiveInt, Unit("channels")] = Field(
        default=256,
        description="Channels of every patch; `groups` must divide them.",
        examples=[64],
    )
    groups: PositiveInt = groups_of_channels()
    size: Annotated[Window, Unit("positions")] = Field(
        default=9,
        description="Side of the square windows of the convolutions, an odd number.",
        examples=[5],
    )
    normalization: GridNormalization = Field(
        default=GridNormalization(), description="The normalization after every activation."
    )
    initialization: AnyInitialization = Field(default=KaimingUniform(), description=INITIALIZATION)
    activation: AnyActivation = Field(default=Gelu(), description=ACTIVATION)

    @classmethod
    def example(cls) -> Self:
        """See the base."""
        return cls(blocks=2, patches=2, channels=4, groups=2, size=3)

    def deepened(self, blocks: int) -> Self | None:
        """As its field says."""
        normalization = GridNormalization(type=LayerNorm())
        return self.model_copy(update={"blocks": blocks, "normalization": normalization})

    def normalized(self, image: tuple[int, int, int]) -> Iterator[NormPlace]:
        """After every activation."""
        yield NormPlace(self.extent, (*AT, "channels"))

    def problems(self, at: Path) -> Iterator[Problem]:
        """Channels fall into groups, and windows have a middle."""
        yield from super().problems(at)
        yield from self.normalization.problems((*at, "normalization"), (self.channels,))
        if self.size % 2 == 0:
            message = "must be odd, so that the grid of patches keeps its size"
            yield Problem((*at, "size"), f"{message}; nearest: {self.size - 1}, {self.size + 1}")
