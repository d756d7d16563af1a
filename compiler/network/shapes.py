"""A layer as data, without numbers: its map, its shapes, what it reads, its parameters."""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from functools import cached_property

import jax
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
        name: a name that is unique in its block.
        kind: the map.
        start: the shape of its input.
        before, after: the normalizations around the map; only the one after may be affine.
        source: the layer of the block whose output it reads, or `INPUT`; None: the layer before.
        adds: layers of the block, or `INPUT`, whose outputs are added before the activation.
        activation: the activation function.
        bias: whether the map has a bias, if it has parameters.
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
        """Replace sections of a spec by the classes that compute."""
        object.__setattr__(self, "kind", working(self.kind))
        object.__setattr__(self, "activation", working(self.activation))

    @cached_property
    def end(self) -> Extent:
        """The shape of its output."""
        return self.kind.ends(self.start)

    @property
    def inputs(self) -> tuple[int, int, int]:
        """The sizes [p, g, c] of its input."""
        return self.start.features

    @property
    def outputs(self) -> tuple[int, int, int]:
        """The sizes [p, g, c] of its output."""
        return self.end.features

    def flops(self) -> int:
        """The FLOPs of its map, for the forward pass of one example."""
        return self.kind.flops(self.start)

    def mixes(self) -> frozenset[Axis]:
        """The axes that its map mixes."""
        return self.kind.mixes(self.start)

    def map_params(self) -> dict[str, ParamSpec]:
        """The parameters of the map and its bias, by name.

        Raises:
            UserError: a parameter of the map has the name of a bias, scale or shift.
        """
        weights = dict(self.kind.weights(self.start))
        taken = weights.keys() & {*({BIAS} if self.bias else ()), *self.norm_params()}
        if taken:
            raise UserError(f"layer {self.kind}: weights may not be named {', '.join(taken)}")
        if not self.bias or not weights:
            return weights
        sizes = dict(zip(ACTIVATION[1:], self.outputs, strict=True))
        axes = self.kind.bias_axes
        shape = tuple(sizes[axis] for axis in axes)
        fan_in = next(iter(weights.values())).fan_in
        named_axes: tuple[Axis | None, ...] = tuple(
            axis if axis != "channel" else None for axis in axes
        )
        return weights | {BIAS: ParamSpec(shape, named_axes, fan_in, "bias")}

    def norm_params(self) -> dict[str, ParamSpec]:
        """The scale and shift of the normalization after the map; empty if it is not affine."""
        if self.after is None or not self.after.affine:
            return {}
        scale = ParamSpec(self.outputs[1:], ("group", None), 1, "scale")
        return {"scale": scale, "shift": replace(scale, role="shift")}

    def params(self) -> dict[str, ParamSpec]:
        """All parameters by name."""
        return self.map_params() | self.norm_params()

    def bias_shape(self) -> tuple[int, ...]:
        """The shape [1, p, g, c] of the bias, with 1 for axes that it does not have."""
        sizes = zip(ACTIVATION[1:], self.outputs, strict=True)
        return (1, *(size if axis in self.kind.bias_axes else 1 for axis, size in sizes))

    def map(self, params: LayerParams, x: Float[Array, "n p g c"]) -> Float[Array, "n q h d"]:
        """The output of the map and its bias; parameters have the type of `x`."""
        out = self.kind.apply(params, x, self.start)
        if BIAS not in params:
            return out
        return out + params[BIAS].reshape(self.bias_shape())


def cancelled_biases(layers: Mapping[str, Layer]) -> list[str]:
    """The paths of biases that cannot learn, because the normalization after the map cancels them.

    A normalization that subtracts a mean also subtracts a bias that is constant along the axes of
    that mean.

    Args:
        layers: by path.
    """
    biased = {
        path: (layer.after, layer.outputs, layer.bias_shape())
        for path, layer in layers.items()
        if layer.after is not None and BIAS in layer.map_params()
    }
    # Tried out, because a plugin's normalization may subtract no mean; all in one program, because
    # compiling one for each operation takes most of a second.
    rng, kinds = np.random.default_rng(0), list(dict.fromkeys(biased.values()))
    outs = [rng.standard_normal((2, *outputs), np.float32) for _, outputs, _ in kinds]
    biases = [rng.standard_normal(shape, np.float32) for _, _, shape in kinds]

    @jax.jit
    def cancelled(outs: list[Array], biases: list[Array]) -> list[Array]:
        return [
            jnp.allclose(norm(out), norm(out + bias), atol=1e-3)
            for (norm, _, _), out, bias in zip(kinds, outs, biases, strict=True)
        ]

    same = dict(zip(kinds, cancelled(outs, biases), strict=True))
    return [f"{path}/{BIAS}" for path, kind in biased.items() if same[kind]]
