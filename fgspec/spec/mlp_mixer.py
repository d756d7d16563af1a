"""The MLP-Mixer."""

from collections.abc import Iterator
from typing import Annotated, ClassVar, Literal, Self

from pydantic import Field

from fgspec.spec.activations import AnyActivation, Gelu
from fgspec.spec.architectures import AT, INITIALIZATION
from fgspec.spec.base import PositiveInt, Unit
from fgspec.spec.initializations import AnyInitialization, Lecun
from fgspec.spec.normalizations import PreNormalization
from fgspec.spec.patch_networks import Blocks, PreNormNetwork, groups_of_channels, patches_per_side
from fgspec.spec.shapes import Axis
from fgspec.yaml.load import Path


class MlpMixer(PreNormNetwork):
    """An MLP-Mixer (Tolstikhin et al. 2021, arXiv 2105.01601).

    A block adds two layers over patches, the same for every channel, then two layers over channels,
    the same for every patch, to what enters it, each pair behind a normalization (equation 1). The
    first block also maps the pixels of patches to channels.

    The defaults are Mixer-S of the paper (table 1), but for the patches.
    """

    behaviour: ClassVar[str | None] = "compiler.network.mlp_mixer:MlpMixer"
    type: Literal["mlp_mixer"] = "mlp_mixer"
    blocks: Blocks = Field(default=8, description="Number of blocks.", examples=[4])
    patches: PositiveInt = patches_per_side()
    channels: Annotated[PositiveInt, Unit("channels")] = Field(
        default=512,
        description="Channels of every patch; `groups` must divide them.",
        examples=[128],
    )
    groups: PositiveInt = groups_of_channels()
    token_hidden: Annotated[PositiveInt | None, Unit("positions")] = Field(
        default=None,
        description="Positions between the two layers over patches. null: half of `channels`.",
        examples=[64],
    )
    hidden: Annotated[PositiveInt | None, Unit("channels")] = Field(
        default=None,
        description="Channels between the two layers over channels; `groups` must divide them. "
        "null: 4 times `channels`.",
        examples=[256],
    )
    normalization: PreNormalization = Field(
        default=PreNormalization(),
        description="The normalization before the layers over patches and those over channels.",
    )
    initialization: AnyInitialization = Field(default=Lecun(), description=INITIALIZATION)
    activation: AnyActivation = Field(
        default=Gelu(),
        description="The activation between the two layers of a pair, and in the hidden layers of "
        "heads.",
    )

    @classmethod
    def example(cls) -> Self:
        """See the base."""
        return cls(blocks=2, patches=2, channels=6, groups=2, token_hidden=3, hidden=4)

    @property
    def between(self) -> int:
        """The positions between the two layers over patches."""
        return self.token_hidden or max(1, self.channels // 2)

    def axis_sizes(self, axis: Axis) -> Iterator[tuple[Path, int]]:
        """Groups, patches, and the positions between the layers over patches."""
        yield from super().axis_sizes(axis)
        if axis == "patch":
            field = "channels" if self.token_hidden is None else "token_hidden"
            yield (*AT, field), self.between
