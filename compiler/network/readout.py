"""Readouts: the layers between features and a loss, in the classifier and in local heads."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from jaxtyping import Array, Float

from compiler.named_arrays.axes import Axis
from compiler.named_arrays.precision import in_full, precise
from compiler.network.block import Block, block_params, layer_outputs
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
        layers: the layers, of one chain or of several; those of the classifier end in [1, 1, k].
        norm: the normalization of the features, or None.
        averages: whether the layers read the average over patches, with the groups concatenated,
            instead of every position.
        ends: the last layers of the chains, by name; empty where there is one chain.
        bare: whether the outputs are the features themselves.
    """

    layers: tuple[Layer, ...]
    norm: Norm | None = None
    averages: bool = True
    ends: tuple[str, ...] = ()
    bare: bool = False

    @property
    def copied(self) -> bool:
        """Whether its loss can have copies that each see their own features change."""
        return self.averages or self.bare

    @property
    def shapes(self) -> tuple[tuple[int, ...], ...]:
        """Of the outputs of an example: for every chain [k], or [rows, columns, k]."""
        ends = (layer.end for layer in self.layers if layer.name in self._ends)
        return tuple((*(end[:2] if end[:2] != (1, 1) else ()), end.width) for end in ends)

    @property
    def _ends(self) -> tuple[str, ...]:
        return self.ends or (self.layers[-1].name,)

    def params(self) -> dict[str, Any]:
        """A `ParamSpec` for each parameter, by layer and name; by name if there is one layer."""
        by_layer = block_params(Block("", self.layers))
        if len(self.layers) == 1:
            return dict(by_layer.get(self.layers[0].name, {}))
        return dict(by_layer)

    def mixes(self) -> frozenset[Axis]:
        """The axes along which a copy of the loss depends on features other than its own.

        A normalization of the features mixes its axes. A normalization among the layers mixes only
        examples, because patches and groups have been averaged and concatenated before it. Without
        an average, layers mix all patches and groups.
        """
        mixed: set[Axis] = set(self.norm.mixes) if self.norm is not None else set()
        norms = [n for layer in self.layers for n in (layer.before, layer.after) if n is not None]
        if any(norm.running for norm in norms):
            mixed.add("batch")
        if not self.copied:
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
    ) -> tuple[Any, dict[str, LayerTrace]]:
        """The outputs, and the trace of every layer by its name.

        They are an array [n, *shape], or a tuple of them if there are several chains.

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
        named = self._named(params or {})
        by_layer, traces = layer_outputs(block, named, entering, None, backward, running)
        outputs = tuple(
            by_layer[name].reshape(x.shape[0], *shape)
            for name, shape in zip(self._ends, self.shapes, strict=True)
        )
        return outputs if self.ends else outputs[0], traces

    def _named(self, tree: Mapping[str, Any]) -> Mapping[str, Any]:
        return {self.layers[0].name: tree} if len(self.layers) == 1 else tree
