"""What a layer is before it has any number: its shapes, its neighbours, its parameters."""

from dataclasses import dataclass
from typing import Literal

from compiler.named_arrays.axes import Axis
from compiler.network.extent import Extent
from compiler.network.norms import Norm


@dataclass(frozen=True)
class ParamSpec:
    """Shape, named axes (None where an axis has no name), fan-in and role of one parameter."""

    shape: tuple[int, ...]
    axes: tuple[Axis | None, ...]
    fan_in: int
    role: Literal["weight", "bias", "scale", "shift", "average"] = "weight"


@dataclass(frozen=True)
class Layer:
    """One layer: [norm] linear [+ bias] [norm [scale, shift]] [+ perturbation] [+ adds] activation.

    Attributes:
        name: unique within its block.
        kind: a row of `compiler.network.linear.LINEARS`.
        start: of its input.
        end: of its output.
        before, after: normalizations around the linear map; only the one after may be affine.
        source: the layer of the block whose output it reads, or `INPUT`; the one before if None.
        adds: layers of the block, or `INPUT`, whose outputs are added before the activation.
        activation: a row of `compiler.network.layers.ACTIVATIONS`.
        bias: whether the linear map has one.
        size, stride: of the window of a convolution or a pooling.
    """

    name: str
    kind: str
    start: Extent
    end: Extent
    before: Norm | None = None
    after: Norm | None = None
    source: str | None = None
    adds: tuple[str, ...] = ()
    activation: str = "relu"
    bias: bool = True
    size: int = 1
    stride: int = 1

    @property
    def inputs(self) -> tuple[int, int, int]:
        """[p, g, c] of its input."""
        return self.start.features

    @property
    def outputs(self) -> tuple[int, int, int]:
        """[p, g, c] of its output."""
        return self.end.features
