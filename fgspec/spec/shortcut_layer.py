"""The shortcut without parameters of residual networks, a layer."""

from typing import Annotated, ClassVar, Literal, Self

from pydantic import Field

from fgspec.spec.activations import AnyActivation, NoActivation
from fgspec.spec.base import PositiveInt, Unit
from fgspec.spec.layers import Layer
from fgspec.spec.shapes import Axis, Extent, Misfit, slid


class ShortcutLayer(Layer):
    """Every `stride`-th position of each side, and zeros in the channels that are added.

    It has no parameters: option A of He et al. 2016 (arXiv 1512.03385, section 3.3). Name it in
    `adds` of a convolution that changes grid or channels.
    """

    behaviour: ClassVar[str | None] = "compiler.network.shortcut_layer:Shortcut"
    type: Literal["shortcut"] = "shortcut"
    channels: Annotated[PositiveInt, Unit("channels")] = Field(
        default=64,
        description="Channels that the layer gives, at least as many as it reads; the further ones "
        "are zero.",
        examples=[32],
    )
    stride: Annotated[PositiveInt, Unit("positions")] = Field(
        default=1,
        description="How far a position that is kept is from the next, on both sides of the grid.",
        examples=[2],
    )
    activation: AnyActivation = Field(
        default=NoActivation(), description="The activation that follows the layer."
    )

    @classmethod
    def example(cls) -> Self:
        """See the base."""
        return cls(channels=5, stride=2)

    def end(self, start: Extent) -> Extent | Misfit:
        """Fewer positions and more channels, in one group."""
        if self.channels < start.width:
            return Misfit("channels", f"must be at least the {start.width} channels before it")
        return slid(1, self.stride, start.grouped(self.channels))

    def mixes(self, start: Extent) -> frozenset[Axis]:
        """The axes whose indices it changes."""
        grouped: tuple[Axis, ...] = ("group", "channel") if start.groups > 1 else ()
        widened: tuple[Axis, ...] = ("channel",) if self.channels > start.width else ()
        moved: tuple[Axis, ...] = ("patch",) if self.stride > 1 else ()
        return frozenset((*grouped, *widened, *moved))

    def width(self) -> int | None:
        """Its channels."""
        return self.channels
