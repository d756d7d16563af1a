"""Division by the length: the normalization between the layers of Forward-Forward."""

from typing import ClassVar, Literal

from fgspec.spec.normalizations import Normalization
from fgspec.spec.shapes import Axis


class LengthNormalization(Normalization):
    """Length 1, all positions and channels of one example together (Hinton 2022, arXiv 2212.13345).

    x / sqrt(sum of x^2 + epsilon). Nothing is subtracted, so the direction stays; the next layer
    reads nothing of the length, which is the root of the goodness of the layer before it.
    """

    behaviour: ClassVar[str | None] = "compiler.network.length_normalization:LengthNormalization"
    on_tokens: ClassVar[bool] = True
    over: ClassVar[tuple[Axis, ...]] = ("patch", "group", "channel")
    unit_length: ClassVar[bool] = True
    type: Literal["length"] = "length"
