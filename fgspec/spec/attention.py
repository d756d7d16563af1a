"""The layers of transformers: embeddings of patches, attention between positions, one position."""

from collections.abc import Iterator, Mapping
from math import prod
from typing import Annotated, Any, ClassVar, Literal

from pydantic import Field

from fgspec.spec.base import PositiveInt, Unit, Values
from fgspec.spec.layers import TrainedLayer, UntrainedLayer
from fgspec.spec.shapes import Axis, Extent, Misfit, ParamSpec, divisors
from fgspec.yaml.load import Path


# Attention has no weights of its own: its queries, keys and values come from a dense layer before
# it, and another follows it. So every layer with weights is linear: feedback alignment has a
# backward weight for each, noise at pre-activations moves queries, keys and values themselves, and
# heads are channel groups, which attention does not mix.
class AttentionLayer(UntrainedLayer):
    """Scaled dot-product attention between positions (Vaswani et al. 2017, arXiv 1706.03762).

    Each channel group is a head. A third of its channels are queries, a third keys, a third values,
    in this order: a dense layer before it makes them. Every position gives the average of all
    values, weighted by the softmax of its query's products with all keys over the square root of
    their length (equation 1).
    """

    behaviour: ClassVar[str | None] = "compiler.network.attention:Attention"
    linear: ClassVar[bool] = False
    listed_after: ClassVar[tuple[Mapping[str, Any], ...]] = (
        {"type": "dense", "channels": 12, "groups": 2, "activation": "none"},
    )
    type: Literal["attention"] = "attention"

    def end(self, start: Extent) -> Extent | Misfit:
        """The values of every head."""
        if start.channels % 3:
            message = (
                "reads queries, keys and values, so each group before it must have a multiple of "
                f"3 channels, not {start.channels}"
            )
            return Misfit("type", message)
        return start.grouped(start.width // 3, start.groups)

    def mixes(self, start: Extent) -> frozenset[Axis]:
        """All positions, and the channels of a head; heads stay apart."""
        return frozenset({"patch", "channel"})

    def flops(self, start: Extent) -> int:
        """Two per multiply-add of queries with keys, and of their weights with values."""
        return 4 * start.features[0] ** 2 * (start.width // 3)


class EmbeddingLayer(TrainedLayer):
    """A linear map of every patch, a class token, and a vector for every position.

    These are the tokens that a vision transformer begins with (Dosovitskiy et al. 2021, arXiv
    2010.11929, equation 1). Learnt vectors are drawn like weights whose fan-in is the number of
    positions.
    """

    behaviour: ClassVar[str | None] = "compiler.network.attention:Embedding"
    linear: ClassVar[bool] = False
    type: Literal["embedding"] = "embedding"
    channels: Annotated[PositiveInt, Unit("channels")] = Field(
        default=64, description="Channels of every token.", examples=[32]
    )
    groups: PositiveInt = Field(
        default=1,
        description="Groups that the channels fall into. They must divide `channels`.",
        examples=[4],
    )
    class_token: bool = Field(
        default=False,
        description="Whether a learnt vector is put before the patches, as a position of its own.",
        examples=[True],
    )
    positions: Annotated[
        Literal["learned", "sinusoidal"] | None,
        Values(
            {
                "learned": "A learnt vector is added at every position.",
                "sinusoidal": "Sines and cosines of the position's number, row by row, are added "
                "(Vaswani et al. 2017, section 3.5). They are fixed.",
                None: "Nothing is added.",
            }
        ),
    ] = Field(default="learned", description="What tells one position from another.")

    @property
    def linear_last(self) -> bool:
        """What is added does not depend on the input, so backward weights can stand for the map."""
        return True

    def end(self, start: Extent) -> Extent | Misfit:
        """Other channels; with a class token a row of positions, of which it is the first."""
        if self.channels % self.groups:
            near = divisors(self.channels, self.groups)
            return Misfit("groups", f"must divide {self.channels} channels; {near}")
        end = start.grouped(self.channels, self.groups)
        return end.grid(1, start.features[0] + 1) if self.class_token else end

    def weights(self, start: Extent) -> Mapping[str, ParamSpec]:
        """The map [in, g, c], the class token [g, c], the vectors of positions [p, g, c]."""
        features = (self.groups, self.channels // self.groups)
        count = start.features[0] + self.class_token
        found = {"w": ParamSpec((start.width, *features), (None, "group", None), start.width)}
        if self.class_token:
            found["token"] = ParamSpec(features, ("group", None), count, "embedding")
        if self.positions == "learned":
            axes: tuple[Axis | None, ...] = ("patch", "group", None)
            found["positions"] = ParamSpec((count, *features), axes, count, "embedding")
        return found

    def mixes(self, start: Extent) -> frozenset[Axis]:
        """All channels; a class token moves every patch to the next position."""
        moved: tuple[Axis, ...] = ("patch",) if self.class_token else ()
        return frozenset[Axis](("group", "channel", *moved))

    def flops(self, start: Extent) -> int:
        """Two per multiply-add of a weight and a patch."""
        return 2 * prod(start.features) * self.channels

    def width(self) -> int | None:
        """Its channels."""
        return self.channels

    def axis_sizes(self, axis: Axis, at: Path) -> Iterator[tuple[Path, int]]:
        """Its groups."""
        if axis == "group":
            yield (*at, "groups"), self.groups


class FirstPositionLayer(UntrainedLayer):
    """The first position alone, such as a class token."""

    behaviour: ClassVar[str | None] = "compiler.network.attention:FirstPosition"
    type: Literal["first_position"] = "first_position"

    def end(self, start: Extent) -> Extent | Misfit:
        """One position."""
        return start.grid(1, 1)

    def mixes(self, start: Extent) -> frozenset[Axis]:
        """Positions, of which it leaves out all but one."""
        return frozenset({"patch"})

    def flops(self, start: Extent) -> int:
        """None."""
        return 0
