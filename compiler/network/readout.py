"""Readouts: the classifier, and the heads of local losses."""

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
    """The average over patches, all groups in a row."""
    return x.mean(1, keepdims=True).reshape(x.shape[0], 1, 1, -1)


@dataclass(frozen=True)
class Readout:
    """From features to outputs: `[norm] [average over patches, groups in a row] layers`.

    Attributes:
        layers: the last gives the outputs, [1, 1, k].
        norm: of the features.
        averages: whether the layers read the average over patches instead of every position.
    """

    layers: tuple[Layer, ...]
    norm: Norm | None = None
    averages: bool = True

    def params(self) -> dict[str, Any]:
        """`ParamSpec` by layer and name; of a single layer by name."""
        found = block_params(Block("", self.layers))
        return dict(found[self.layers[0].name]) if len(self.layers) == 1 else dict(found)

    def mixes(self) -> frozenset[Axis]:
        """The axes along which the copies of a loss are not each of their own features.

        A normalization of the features mixes its axes; one among the layers mixes only examples,
        as whatever else it mixes has been averaged; what is not averaged is read as a whole.
        """
        mixed: set[Axis] = set(self.norm.mixes) if self.norm is not None else set()
        norms = [n for layer in self.layers for n in (layer.before, layer.after) if n is not None]
        if any(norm.running for norm in norms):
            mixed.add("batch")
        if not self.averages:
            mixed.update(("patch", "group"))
        return frozenset(mixed)

    def entering(self, x: Float[Array, "n p g c"]) -> Float[Array, "n q h d"]:
        """Features that a loss is replicated over: normalized, not averaged, at least float32."""
        x = precise(x)
        return x if self.norm is None else self.norm(x)

    @in_full
    def outputs(
        self,
        params: Mapping[str, Any],
        x: Float[Array, "n p g c"],
        feedback: Mapping[str, Any] | None = None,
        known: Mapping[str, Mapping[str, Moments]] | None = None,
    ) -> tuple[Float[Array, "n k"], dict[str, LayerTrace]]:
        """The outputs and the trace of every layer, by its name.

        Args:
            params: in the structure of `params()`.
            x: the features, see `entering`; averaged already or not.
            feedback: backward weights in the same structure.
            known: moments by layer and place, instead of the batch's.
        """
        x = precise(x)
        read = averaged(x) if self.averages else x
        back = self._named(feedback) if feedback is not None else None
        block = Block("", self.layers)
        out, traces = apply_block(block, self._named(params), read, None, back, known)
        return out.reshape(x.shape[0], -1), traces

    def _named(self, tree: Mapping[str, Any]) -> Mapping[str, Any]:
        return {self.layers[0].name: tree} if len(self.layers) == 1 else tree
