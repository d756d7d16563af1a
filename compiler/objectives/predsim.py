"""Local prediction and similarity (Nokland and Eidnes 2019, arXiv 1901.06656)."""

from collections.abc import Mapping
from typing import Any, ClassVar, Literal

import jax
import jax.numpy as jnp
from jaxtyping import Array, Bool, Float, Int

from compiler.network.activations import NoActivation
from compiler.network.extend import conv, full
from compiler.network.shapes import Layer
from compiler.objectives.cross_entropy import CrossEntropy
from fgspec.spec import layers, predsim
from fgspec.spec.shapes import Axis, Extent, flat

Outputs = tuple[Float[Array, "n k"], Float[Array, "n d"]]
"""Outputs of the head, and rows of features that are compared."""


def _root(squares: Float[Array, "..."]) -> Float[Array, "..."]:
    """The square root, with a derivative of 0 at 0, where that of the root is infinite."""
    positive = squares > 0
    return jnp.where(positive, jnp.sqrt(jnp.where(positive, squares, 1)), 0)


class Deviation(layers.Layer):
    """The standard deviation of every channel over the positions of a map."""

    linear: ClassVar[bool] = False
    type: Literal["deviation"] = "deviation"

    def end(self, start: Extent) -> Extent:
        """One position."""
        return flat(start.width)

    def mixes(self, start: Extent) -> frozenset[Axis]:
        """All positions."""
        return frozenset({"patch"})

    def apply(
        self, params: Mapping[str, Any], x: Float[Array, "n p g c"], start: Extent
    ) -> Float[Array, "n 1 1 d"]:
        """The root of the mean squared distance from the mean.

        Dividing by one position less would change nothing: similarities are of directions.
        """
        spread = _root(jnp.square(x - x.mean(1, keepdims=True)).mean(1))
        return spread.reshape(len(x), 1, 1, -1)


def similarities(rows: Float[Array, "n d"]) -> Float[Array, "n n"]:
    """The cosine of all pairs of rows, after each row's own mean is subtracted.

    A row whose numbers are all equal has similarity 0 to all, and no derivative, instead of a
    division by zero.
    """
    centred = rows - rows.mean(-1, keepdims=True)
    length = _root(jnp.square(centred).sum(-1, keepdims=True))
    unit = centred / jnp.where(length > 0, length, 1)
    return unit @ unit.T


class Predsim(predsim.Predsim):
    """Local prediction and similarity."""

    def chains(self, place: Any, head: tuple[Layer, ...]) -> tuple[tuple[Layer, ...], ...]:
        """The head, and beside it what similarities are taken of."""
        start: Extent = place.features
        if start[:2] == (1, 1):
            return head, (full("similar", start, start.width, bias=False),)
        options: dict[str, Any] = {"bias": False, "activation": NoActivation()}
        maps = conv("similar", start, start.width, None, **options)
        spread = Layer("spread", Deviation(), maps.end, activation=NoActivation())
        return head, (maps, spread)

    def value(
        self, outputs: Outputs, targets: Int[Array, " n"], others: Outputs | None = None
    ) -> Float[Array, " n"]:
        """The loss of every row; its part of the similarity loss is that of its own pairs.

        `others` is not used: other rows are read with their gradient.
        """
        scores, rows = outputs
        labels = jax.nn.one_hot(targets, scores.shape[-1], dtype=rows.dtype)
        gaps = similarities(rows) - similarities(labels)
        prediction = CrossEntropy().value(scores, targets)
        return (1 - self.beta) * prediction + self.beta * jnp.square(gaps).mean(-1)

    def quantities(
        self, outputs: Outputs, targets: Int[Array, " n"]
    ) -> Mapping[Any, tuple[Array, str]]:
        """Outputs of the head, features and one-hot labels."""
        scores, rows = outputs
        labels = jax.nn.one_hot(targets, scores.shape[-1])
        return {"o": (scores, "nc"), "f": (rows, "nd"), "t": (labels, "nc")}

    def predict(self, outputs: Outputs) -> Int[Array, " n"]:
        """The class with the largest output of the head."""
        return outputs[0].argmax(-1)

    def metrics(self, outputs: Outputs, targets: Int[Array, " n"]) -> dict[str, Bool[Array, " n"]]:
        """Whether the head's prediction is wrong (`error`) or right (`accuracy`)."""
        right = self.predict(outputs) == targets
        return {"error": ~right, "accuracy": right}
