"""Layers: maps with their shapes, parameters and the axes that they mix; one class each."""

from collections.abc import Iterator, Mapping
from math import prod
from typing import Annotated, Any, ClassVar, Literal, Self

from pydantic import Field

from fgspec.spec.activations import AnyActivation, NoActivation, Relu
from fgspec.spec.base import PositiveInt, Resume, Unit
from fgspec.spec.kinds import Kind, OneOf, table
from fgspec.spec.shapes import Axis, Extent, Misfit, ParamSpec, divisors, flat, slid
from fgspec.yaml.load import Path

LAYERS = table("layer", "layers")

Grid = Annotated[int, Field(ge=1, le=1024)]
Window = Annotated[int, Field(ge=1, le=64)]


class Layer(Kind):
    """A map from activations [n, p, g, c] to others, and where it stands in a block of a chain.

    p are the positions of a grid, row by row; channels fall into g groups of c. What follows the
    map (bias, normalization, activation) is not part of it. Derive from `TrainedLayer` if the map
    has parameters.

    Attributes:
        trained: whether the map has parameters.
        linear: whether it is linear in its input; see `linear_last` for what needs it.
        bias_axes: the axes of the output that its bias has, in the order of an activation's.
    """

    table: ClassVar = LAYERS
    on_resume: ClassVar = Resume.FIXED
    trained: ClassVar[bool] = False
    linear: ClassVar[bool] = True
    bias_axes: ClassVar[tuple[Axis, ...]] = ("group", "channel")

    name: Annotated[str, Field(pattern=r"^[a-z][a-z0-9_]*$", max_length=40)] | None = Field(
        default=None,
        description="A name that `source` and `adds` of later layers can use. null: its type and "
        "its place in the block, counted from 0, such as `conv0`.",
        examples=["wide"],
    )
    source: str | None = Field(
        default=None,
        description="The layer of this block whose output it reads, by name; `input` is the "
        "block's input. null: the layer before it.",
        examples=["input"],
    )
    adds: tuple[str, ...] = Field(
        default=(),
        description="Layers of this block, by name, whose outputs are added before the activation: "
        "residuals. `input` is the block's input. Shapes must be equal.",
        examples=[["input"]],
    )
    activation: AnyActivation = Field(
        default=Relu(), description="The activation that follows the layer."
    )

    def end(self, start: Extent) -> Extent | Misfit:
        """The shape that leaves the map if `start` enters it, or why none does."""
        raise self.lacks("end")

    @property
    def linear_last(self) -> bool:
        """Whether its weights act last, linearly, so that backward weights can stand for them.

        So it is of a linear map; a map of several steps may end in one, and add what does not
        depend on its input. Feedback alignment sends errors backward through other weights than the
        forward ones, which needs that.
        """
        return self.linear

    def weights(self, start: Extent) -> Mapping[str, ParamSpec]:
        """The parameters of the map, by names of its own, biases apart; none by default.

        Their roles are `weight`, `bias`, or `scale` and `shift` of a normalization within. The
        names b, scale and shift are taken.
        """
        if self.trained:
            raise self.lacks("weights")
        return {}

    def mixes(self, start: Extent) -> frozenset[Axis]:
        """The axes along which an output depends on inputs at other indices than its own."""
        raise self.lacks("mixes")

    def apply(self, params: Mapping[str, Any], x: Any, start: Extent) -> Any:
        """The map: [n, *end(start).features] from `x`, [n, *start.features].

        Args:
            params: by the names of `weights`, in the type of `x`.
            x: the input.
            start: the shape that enters.
        """
        raise self.lacks("apply")

    def windows(self, x: Any, start: Extent) -> Any | None:
        """What the weight `w` is multiplied by at every position, [n, q, k], or None.

        Give it where the map is one product of these k numbers, the same weight at all q positions,
        and the only weight is `w` with k numbers times the output's channels. The gradient that
        each example gives is then a product of two matrices instead of a reverse pass.
        """
        return None

    def flops(self, start: Extent) -> int:
        """FLOPs of the map, forward, of one example.

        By default two per multiply-add of a weight that takes its fan-in to every output.
        """
        outputs = prod(self.ends(start).features)
        weights = (spec for spec in self.weights(start).values() if spec.role == "weight")
        return sum(2 * outputs * spec.fan_in for spec in weights)

    def ends(self, start: Extent) -> Extent:
        """The shape that leaves, where `start` is known to fit.

        Raises:
            ValueError: it does not fit.
        """
        found = self.end(start)
        if isinstance(found, Misfit):
            raise ValueError(f"{self}.{found.field}: {found.message}")
        return found

    def farther(self, by: int) -> Self | None:
        """The same map with windows `by` times as far apart; None if it has no `stride`.

        Heads that copy layers for larger grids ask for it.
        """
        stride = getattr(self, "stride", None)
        return None if stride is None else self.model_copy(update={"stride": by * stride})

    def alone(self) -> Self:
        """The map without its place in a block, so that equal maps are equal."""
        around = ("name", "source", "adds", "activation", "normalize", "bias")
        fields = type(self).model_fields
        return self.model_copy(update={n: fields[n].default for n in around if n in fields})

    @classmethod
    def example(cls) -> Self:
        """A tiny one, on which laws are tested."""
        return cls.model_validate({"channels": 4} if "channels" in cls.model_fields else {})

    @property
    def normalized(self) -> bool:
        """Whether the chain's normalization follows the map."""
        return False

    def biased(self, shifted: bool) -> bool:
        """Whether the map has a bias; `shifted` tells that a learnt shift follows it."""
        return False

    def width(self) -> int | None:
        """The channels that it gives, if they are known without what enters."""
        return None

    def axis_sizes(self, axis: Axis, at: Path) -> Iterator[tuple[Path, int]]:
        """Sizes of a named axis that its fields decide; `at` is the path of this layer."""
        yield from ()


class TrainedLayer(Layer):
    """A layer whose map has parameters."""

    trained: ClassVar[bool] = True
    normalize: bool = Field(
        default=True,
        description="Whether `architecture.normalization` follows the layer's map, before its "
        "activation.",
        examples=[False],
    )
    bias: bool | None = Field(
        default=None,
        description="Whether the layer has a bias. null: only if no normalization with a learnt "
        "shift follows.",
        examples=[True],
    )

    @property
    def normalized(self) -> bool:
        """As its field says."""
        return self.normalize

    def biased(self, shifted: bool) -> bool:
        """As its field says, or where no learnt shift follows."""
        return self.bias if self.bias is not None else not shifted


class DenseLayer(TrainedLayer):
    """A linear map of the channels of each position; the same map at all positions."""

    behaviour: ClassVar[str | None] = "compiler.network.linear:Dense"
    type: Literal["dense"] = "dense"
    channels: Annotated[PositiveInt, Unit("channels")] = Field(
        default=64, description="Channels that the layer gives.", examples=[32]
    )
    groups: PositiveInt = Field(
        default=1,
        description="Groups that the layer's channels fall into, for a `grouped` layer or local "
        "losses with a copy for each group. They must divide `channels`.",
        examples=[4],
    )

    def end(self, start: Extent) -> Extent | Misfit:
        """Other channels, in groups that divide them."""
        if self.channels % self.groups:
            near = divisors(self.channels, self.groups)
            return Misfit("groups", f"must divide {self.channels} channels; {near}")
        return start.grouped(self.channels, self.groups)

    def weights(self, start: Extent) -> Mapping[str, ParamSpec]:
        """[in, g, c]."""
        shape = (start.width, self.groups, self.channels // self.groups)
        return {"w": ParamSpec(shape, (None, "group", None), start.width)}

    def mixes(self, start: Extent) -> frozenset[Axis]:
        """All channels."""
        return frozenset({"group", "channel"})

    def width(self) -> int | None:
        """Its channels."""
        return self.channels

    def axis_sizes(self, axis: Axis, at: Path) -> Iterator[tuple[Path, int]]:
        """Its groups."""
        if axis == "group":
            yield (*at, "groups"), self.groups


class GroupedLayer(TrainedLayer):
    """A linear map of the channels of each position, each group of channels by itself."""

    behaviour: ClassVar[str | None] = "compiler.network.linear:Grouped"
    type: Literal["grouped"] = "grouped"
    channels: Annotated[PositiveInt, Unit("channels")] = Field(
        default=64,
        description="Channels that the layer gives, of all groups together; a multiple of the "
        "number of groups before it.",
        examples=[32],
    )

    def end(self, start: Extent) -> Extent | Misfit:
        """Other channels in the same groups."""
        if self.channels % start.groups:
            return Misfit("channels", f"must be a multiple of the {start.groups} groups before it")
        return start.grouped(self.channels, start.groups)

    def weights(self, start: Extent) -> Mapping[str, ParamSpec]:
        """[g, in, c]."""
        shape = (start.groups, start.channels, self.channels // start.groups)
        return {"w": ParamSpec(shape, ("group", None, None), start.channels)}

    def mixes(self, start: Extent) -> frozenset[Axis]:
        """The channels of a group."""
        return frozenset({"channel"})

    def width(self) -> int | None:
        """Its channels."""
        return self.channels


class FullLayer(TrainedLayer):
    """A linear map of all positions and channels together. One position is left."""

    behaviour: ClassVar[str | None] = "compiler.network.linear:Full"
    bias_axes: ClassVar[tuple[Axis, ...]] = ("channel",)
    type: Literal["full"] = "full"
    channels: Annotated[PositiveInt, Unit("channels")] = Field(
        default=64, description="Channels that the layer gives.", examples=[32]
    )

    def end(self, start: Extent) -> Extent | Misfit:
        """One position, one group."""
        return flat(self.channels)

    def weights(self, start: Extent) -> Mapping[str, ParamSpec]:
        """[in, out]."""
        fan_in = prod(start.features)
        return {"w": ParamSpec((fan_in, self.channels), (None, None), fan_in)}

    def mixes(self, start: Extent) -> frozenset[Axis]:
        """Everything of an example."""
        return frozenset({"patch", "group", "channel"})

    def width(self) -> int | None:
        """Its channels."""
        return self.channels


class TokenLayer(TrainedLayer):
    """A linear map of all positions, the same for every channel (token mixing)."""

    behaviour: ClassVar[str | None] = "compiler.network.linear:Token"
    bias_axes: ClassVar[tuple[Axis, ...]] = ("patch",)
    type: Literal["token"] = "token"
    grid: tuple[Grid, Grid] | None = Field(
        default=None,
        description="Rows and columns of positions that the layer gives. null: those that enter.",
        examples=[[1, 32]],
    )

    def end(self, start: Extent) -> Extent | Misfit:
        """The shape that enters, or the same channels on another grid."""
        return start if self.grid is None else start.grid(*self.grid)

    def weights(self, start: Extent) -> Mapping[str, ParamSpec]:
        """[in, out] positions."""
        before, after = start.features[0], self.ends(start).features[0]
        return {"w": ParamSpec((before, after), (None, "patch"), before)}

    def mixes(self, start: Extent) -> frozenset[Axis]:
        """All positions."""
        return frozenset({"patch"})

    def axis_sizes(self, axis: Axis, at: Path) -> Iterator[tuple[Path, int]]:
        """The positions of its own grid, if it has one."""
        if axis == "patch" and self.grid is not None:
            yield (*at, "grid"), prod(self.grid)


def _slid(size: int, stride: int, start: Extent) -> Extent | Misfit:
    """What a window leaves of a grid."""
    end = slid(size, stride, start)
    if min(end[:2]) < 1:
        message = f"is larger than the {start.rows}x{start.columns} grid that it slides over"
        return Misfit("size", message)
    return end


def _positions(size: int, stride: int) -> frozenset[Axis]:
    """The patch axis, unless a window of one position leaves every position where it is."""
    return frozenset() if size == stride == 1 else frozenset({"patch"})


class ConvLayer(TrainedLayer):
    """A convolution over the grid of positions, from all channels to all."""

    behaviour: ClassVar[str | None] = "compiler.network.spatial:Conv"
    type: Literal["conv"] = "conv"
    channels: Annotated[PositiveInt, Unit("channels")] = Field(
        default=64, description="Channels that the layer gives.", examples=[32]
    )
    size: Annotated[Window, Unit("positions")] = Field(
        default=3, description="Side of the square window.", examples=[5]
    )
    stride: Annotated[PositiveInt, Unit("positions")] = Field(
        default=1, description="How far a window is from the next.", examples=[2]
    )

    def end(self, start: Extent) -> Extent | Misfit:
        """The window's places, in one group of channels."""
        return _slid(self.size, self.stride, start.grouped(self.channels))

    def weights(self, start: Extent) -> Mapping[str, ParamSpec]:
        """[size, size, in, g, c]."""
        shape = (self.size, self.size, start.width, 1, self.channels)
        axes: tuple[Axis | None, ...] = (None, None, None, "group", None)
        return {"w": ParamSpec(shape, axes, self.size**2 * start.width)}

    def mixes(self, start: Extent) -> frozenset[Axis]:
        """All channels, and what a window covers."""
        return _positions(self.size, self.stride) | frozenset[Axis](("group", "channel"))

    def flops(self, start: Extent) -> int:
        """Two per multiply-add of a weight and a position inside the grid."""
        pad, end = (self.size - 1) // 2, self.ends(start)
        inside = [
            sum(
                0 <= at * self.stride - pad + k < side
                for at in range(after)
                for k in range(self.size)
            )
            for side, after in zip(start[:2], end[:2], strict=True)
        ]
        return 2 * prod(inside) * start.width * self.channels

    def width(self) -> int | None:
        """Its channels."""
        return self.channels


class DepthwiseLayer(TrainedLayer):
    """A convolution over the grid of positions, each channel by itself."""

    behaviour: ClassVar[str | None] = "compiler.network.spatial:Depthwise"
    type: Literal["depthwise"] = "depthwise"
    size: Annotated[Window, Unit("positions")] = Field(
        default=3, description="Side of the square window.", examples=[5]
    )
    stride: Annotated[PositiveInt, Unit("positions")] = Field(
        default=1, description="How far a window is from the next.", examples=[2]
    )

    def end(self, start: Extent) -> Extent | Misfit:
        """The window's places."""
        return _slid(self.size, self.stride, start)

    def weights(self, start: Extent) -> Mapping[str, ParamSpec]:
        """[size, size, g, c]."""
        shape = (self.size, self.size, start.groups, start.channels)
        return {"w": ParamSpec(shape, (None, None, "group", None), self.size**2)}

    def mixes(self, start: Extent) -> frozenset[Axis]:
        """What a window covers."""
        return _positions(self.size, self.stride)


class UntrainedLayer(Layer):
    """A layer that nothing follows unless its fields say so."""

    activation: AnyActivation = Field(
        default=NoActivation(), description="The activation that follows the layer."
    )


class IdentityLayer(UntrainedLayer):
    """No map: what enters leaves, and can be normalized or added to."""

    behaviour: ClassVar[str | None] = "compiler.network.linear:Identity"
    type: Literal["identity"] = "identity"
    normalize: bool = Field(
        default=False,
        description="Whether `architecture.normalization` follows.",
        examples=[True],
    )

    def end(self, start: Extent) -> Extent | Misfit:
        """The shape that enters."""
        return start

    def mixes(self, start: Extent) -> frozenset[Axis]:
        """Nothing."""
        return frozenset()

    @property
    def normalized(self) -> bool:
        """As its field says."""
        return self.normalize


class MaxPoolLayer(UntrainedLayer):
    """The largest value in each window, for every channel by itself."""

    behaviour: ClassVar[str | None] = "compiler.network.spatial:MaxPool"
    linear: ClassVar[bool] = False
    type: Literal["max_pool"] = "max_pool"
    size: Annotated[Window, Unit("positions")] = Field(
        default=3, description="Side of the square window.", examples=[5]
    )
    stride: Annotated[PositiveInt, Unit("positions")] = Field(
        default=2, description="How far a window is from the next.", examples=[1]
    )

    def end(self, start: Extent) -> Extent | Misfit:
        """The window's places."""
        return _slid(self.size, self.stride, start)

    def mixes(self, start: Extent) -> frozenset[Axis]:
        """What a window covers."""
        return _positions(self.size, self.stride)

    def flops(self, start: Extent) -> int:
        """One per comparison."""
        return self.size**2 * prod(self.ends(start).features)


class AveragePoolLayer(UntrainedLayer):
    """Averages over equal parts of the grid of positions."""

    behaviour: ClassVar[str | None] = "compiler.network.spatial:AveragePool"
    type: Literal["average_pool"] = "average_pool"
    grid: tuple[Grid, Grid] = Field(
        default=(1, 1),
        description="Rows and columns of positions that are left.",
        examples=[[2, 2]],
    )

    def end(self, start: Extent) -> Extent | Misfit:
        """Fewer positions, or as many."""
        if self.grid[0] > start.rows or self.grid[1] > start.columns:
            message = f"must be at most the {start.rows}x{start.columns} grid before it"
            return Misfit("grid", message)
        return start.grid(*self.grid)

    def ends(self, start: Extent) -> Extent:
        """A smaller grid too, whose positions are repeated: heads pool whatever they read."""
        return start.grid(*self.grid)

    def mixes(self, start: Extent) -> frozenset[Axis]:
        """Positions, unless the grid stays as it is."""
        return frozenset() if start[:2] == self.grid else frozenset({"patch"})

    def flops(self, start: Extent) -> int:
        """One per addition."""
        sides = zip(start[:2], self.grid, strict=True)
        added = prod(sum(len(part) for part in averaged(*side)) for side in sides)
        return added * start.width


def averaged(before: int, after: int) -> list[range]:
    """For every position of an average pooling the positions that it averages, overlapping."""
    return [range(i * before // after, -(-(i + 1) * before // after)) for i in range(after)]


ChainLayer = Annotated[Layer, OneOf(LAYERS)]
