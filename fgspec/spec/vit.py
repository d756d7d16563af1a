"""The vision transformer."""

from typing import Annotated, ClassVar, Literal, Self

from pydantic import Field

from fgspec.spec.activations import AnyActivation, Gelu
from fgspec.spec.architectures import INITIALIZATION
from fgspec.spec.base import PositiveInt, Unit, Values
from fgspec.spec.initializations import AnyInitialization, Lecun
from fgspec.spec.normalizations import PreNormalization
from fgspec.spec.patch_networks import Blocks, PreNormNetwork, patches_per_side
from fgspec.spec.shapes import Extent


class Vit(PreNormNetwork):
    """A vision transformer (Dosovitskiy et al. 2021, arXiv 2010.11929).

    Patches become tokens. A block adds attention between tokens, then two dense layers, to what
    enters it, each behind a normalization (equations 2 and 3). Heads of attention are groups of
    channels throughout, so that local losses can have a copy for each head and token. The first
    block also makes the tokens (equation 1).

    The defaults are ViT-Tiny of Touvron et al. 2021 (arXiv 2012.12877, table 1), but for the
    patches. ViT-Small has 384 channels and 6 heads.
    """

    behaviour: ClassVar[str | None] = "compiler.network.vit:Vit"
    counts_groups: ClassVar[str] = "heads"
    type: Literal["vit"] = "vit"
    blocks: Blocks = Field(
        default=12, description="Number of blocks, the depth of the transformer.", examples=[4]
    )
    patches: PositiveInt = patches_per_side()
    channels: Annotated[PositiveInt, Unit("channels")] = Field(
        default=192,
        description="Channels of every token, the width of the transformer; `heads` must divide "
        "them.",
        examples=[48],
    )
    heads: PositiveInt = Field(
        default=3,
        description="Heads of attention, each of which has its own group of channels.",
        examples=[6],
    )
    hidden: Annotated[PositiveInt | None, Unit("channels")] = Field(
        default=None,
        description="Channels between the two dense layers of a block; `heads` must divide them. "
        "null: 4 times `channels`.",
        examples=[96],
    )
    readout: Annotated[
        Literal["class_token", "mean"],
        Values(
            {
                "class_token": "A class token, which stands before the patches in all blocks.",
                "mean": "The average over patches. There is no class token.",
            }
        ),
    ] = Field(default="class_token", description="What the classifier reads.")
    positions: Annotated[
        Literal["learned", "sinusoidal"] | None,
        Values(
            {
                "learned": "A learnt vector is added to every token.",
                "sinusoidal": "Sines and cosines of the token's number are added (Vaswani et al. "
                "2017, section 3.5).",
                None: "Nothing is added.",
            }
        ),
    ] = Field(default="learned", description="What tells one token from another.")
    normalization: PreNormalization = Field(
        default=PreNormalization(), description="The normalization before attention and the MLP."
    )
    initialization: AnyInitialization = Field(default=Lecun(), description=INITIALIZATION)
    activation: AnyActivation = Field(
        default=Gelu(),
        description="The activation between the two dense layers of a block, and in the hidden "
        "layers of heads.",
    )

    @classmethod
    def example(cls) -> Self:
        """See the base."""
        return cls(blocks=2, patches=2, channels=6, heads=2, hidden=4)

    @property
    def extent(self) -> Extent:
        """The tokens: with a class token a row of positions, of which it is the first."""
        tokens = super().extent
        return tokens.grid(1, self.patches**2 + 1) if self.readout == "class_token" else tokens
