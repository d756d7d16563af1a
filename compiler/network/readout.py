"""Readouts: the layers between features and a loss, in the classifier and in local heads."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from jaxtyping import Array, Float

from compiler.named_arrays.axes import Axis
from compiler.named_arrays.precision import in_full, precise
from compiler.network.block import Block, apply_block, block_params
from compiler.network.layers import LayerTrace
from compiler.network.norms import Moments, Norm
from compiler.network.shapes import Layer


def averaged(x: Float[Array, "n p g c"]) -> Float[Array, "n 1 1 f"]:
    """The average over patches, with the groups concatenated."""
    return x.mean(1, keepdims=True).reshape(x.shape[0], 1, 1, -1)


@dataclass(frozen=True)
class Readout:
    """From features to outputs: `[normalization] [average over patches] layers`.

    Attributes:
        layers: the layers; the last one has the outputs [1, 1, k].
        norm: the normalization of the features, or None.
        averages: whether the layers read the average over patches, with the groups concatenated,
            instead of every position.
    """

    layers: tuple[Layer, ...]
    norm: Norm | None = None
    averages: bool = True

    def params(self) -> dict[str, Any]:
        """A `ParamSpec` for each parameter, by layer and name; by name if there is one layer."""
        by_layer = block_params(Block("", self.layers))
        return dict(by_layer[self.layers[0].name]) if len(self.layers) == 1 else dict(by_layer)

    def mixes(self) -> frozenset[Axis]:
        """The axes along which a copy of the loss depends on features other than its own.

        A normalization of the features mixes its axes. A normalization among the layers mixes only
        examples, because patches and groups have been averaged and concatenated before it. Without
        an average, the layers mix all patches and groups.
        """
        mixed: set[Axis] = set(self.norm.mixes) if self.norm is not None else set()
        norms = [n for layer in self.layers for n in (layer.before, layer.after) if n is not None]
        if any(norm.running for norm in norms):
            mixed.add("batch")
        if not self.averages:
            mixed.update(("patch", "group"))
        return frozenset(mixed)

    def entering(self, x: Float[Array, "n p g c"]) -> Float[Array, "n q h d"]:
        """The features that loss copies depend on: normalized, not averaged, at least float32."""
        x = precise(x)
        return x if self.norm is None else self.norm(x)

    @in_full
    def outputs(
        self,
        params: Mapping[str, Any],
        x: Float[Array, "n p g c"],
        feedback: Mapping[str, Any] | None = None,
        running: Mapping[str, Mapping[str, Moments]] | None = None,
    ) -> tuple[Float[Array, "n k"], dict[str, LayerTrace]]:
        """The outputs, and the trace of every layer by its name.

        Args:
            params: parameters in the structure of `params()`.
            x: the features from `entering`, averaged already or not.
            feedback: backward weights in the same structure.
            running: moments by layer and place, to normalize with instead of the batch's.
        """
        x = precise(x)
        entering = averaged(x) if self.averages else x
        backward = self._named(feedback) if feedback is not None else None
        block = Block("", self.layers)
        out, traces = apply_block(block, self._named(params), entering, None, backward, running)
        return out.reshape(x.shape[0], -1), traces

    def _named(self, tree: Mapping[str, Any]) -> Mapping[str, Any]:
        return {self.layers[0].name: tree} if len(self.layers) == 1 else tree
