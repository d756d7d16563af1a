"""A layer before it has any number: its map and shapes, its neighbours, its parameters."""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from functools import cached_property

import numpy as np
from jax import numpy as jnp
from jaxtyping import Array, Float

from compiler.named_arrays.axes import ACTIVATION, Axis
from compiler.network.activations import Relu
from compiler.network.norms import Norm
from fgspec.errors import UserError
from fgspec.spec import layers
from fgspec.spec.activations import Activation
from fgspec.spec.kinds import working
from fgspec.spec.shapes import Extent, ParamSpec

LayerParams = Mapping[str, Float[Array, "..."]]
"""The parameters of one layer by name."""

BIAS = "b"


@dataclass(frozen=True)
class Layer:
    """One layer.

    `[norm] map [+ bias] [norm [scale, shift]] [+ perturbation] [+ adds] activation`

    Attributes:
        name: unique within its block.
        kind: the map.
        start: of its input.
        before, after: normalizations around the map; only the one after may be affine.
        source: the layer of the block whose output it reads, or `INPUT`; the one before if None.
        adds: layers of the block, or `INPUT`, whose outputs are added before the activation.
        activation: what follows.
        bias: whether the map has one, if it has parameters.
    """

    name: str
    kind: layers.Layer
    start: Extent
    before: Norm | None = None
    after: Norm | None = None
    source: str | None = None
    adds: tuple[str, ...] = ()
    activation: Activation = field(default_factory=Relu)
    bias: bool = True

    def __post_init__(self) -> None:
        """Take sections of a spec as well, and make of them what does their work."""
        object.__setattr__(self, "kind", working(self.kind))
        object.__setattr__(self, "activation", working(self.activation))

    @cached_property
    def end(self) -> Extent:
        """Of its output."""
        return self.kind.ends(self.start)

    @property
    def inputs(self) -> tuple[int, int, int]:
        """[p, g, c] of its input."""
        return self.start.features

    @property
    def outputs(self) -> tuple[int, int, int]:
        """[p, g, c] of its output."""
        return self.end.features

    def flops(self) -> int:
        """Of its map, forward, of one example."""
        return self.kind.flops(self.start)

    def mixes(self) -> frozenset[Axis]:
        """The axes that its map mixes."""
        return self.kind.mixes(self.start)

    def map_params(self) -> dict[str, ParamSpec]:
        """The parameters of the map and its bias, by name.

        Raises:
            UserError: the map names a parameter like one of a bias or a normalization.
        """
        found = dict(self.kind.weights(self.start))
        taken = found.keys() & {*({BIAS} if self.bias else ()), *self.norm_params()}
        if taken:
            raise UserError(f"layer {self.kind}: weights may not be named {', '.join(taken)}")
        if not self.bias or not found:
            return found
        named = dict(zip(ACTIVATION[1:], self.outputs, strict=True))
        axes = self.kind.bias_axes
        shape = tuple(named[axis] for axis in axes)
        fan_in = next(iter(found.values())).fan_in
        kept: tuple[Axis | None, ...] = tuple(axis if axis != "channel" else None for axis in axes)
        return found | {BIAS: ParamSpec(shape, kept, fan_in, "bias")}

    def norm_params(self) -> dict[str, ParamSpec]:
        """Scale and shift of the normalization after the map, if it is affine."""
        if self.after is None or not self.after.affine:
            return {}
        scale = ParamSpec(self.outputs[1:], ("group", None), 1, "scale")
        return {"scale": scale, "shift": replace(scale, role="shift")}

    def params(self) -> dict[str, ParamSpec]:
        """All parameters by name."""
        return self.map_params() | self.norm_params()

    def idle_params(self) -> tuple[str, ...]:
        """The parameters that cannot learn, as the normalization behind the map takes them out.

        One that subtracts a mean does so to a bias that is the same along the axes of that mean.
        """
        if self.after is None or BIAS not in self.map_params():
            return ()
        # Asked of the normalization itself, which may be anybody's and subtract no mean at all.
        rng = np.random.default_rng(0)
        out = jnp.asarray(rng.standard_normal((2, *self.outputs), np.float32))
        moved = out + jnp.asarray(rng.standard_normal(self.bias_shape(), np.float32))
        same = jnp.allclose(self.after(out), self.after(moved), atol=1e-3)
        return (BIAS,) if same else ()

    def bias_shape(self) -> tuple[int, ...]:
        """[1, p, g, c] of the bias, 1 along the axes that it does not have."""
        sizes = zip(ACTIVATION[1:], self.outputs, strict=True)
        return (1, *(size if axis in self.kind.bias_axes else 1 for axis, size in sizes))

    def map(self, params: LayerParams, x: Float[Array, "n p g c"]) -> Float[Array, "n q h d"]:
        """The map and its bias, from parameters in the type of `x`."""
        out = self.kind.apply(params, x, self.start)
        if BIAS not in params:
            return out
        return out + params[BIAS].reshape(self.bias_shape())
