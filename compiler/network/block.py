"""Blocks: layers that read or add the outputs of earlier layers of the block."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import jax
from jaxtyping import Array, Float

from compiler.named_arrays.computed_once import computed_once
from compiler.network.layers import LayerTrace, apply_layer
from compiler.network.norms import Moments
from compiler.network.shapes import Layer
from fgspec.spec.shapes import INPUT, Extent, ParamSpec

OUTPUT = "output"
"""The last part of a perturbation's name, if it is added after a layer's activation."""


# Layers have names, so that no flags are needed: a residual, a shortcut and a projection are all
# layers that add outputs by name.
@dataclass(frozen=True)
class Block:
    """A list of layers; each reads the block's input or the output of an earlier layer."""

    name: str
    layers: tuple[Layer, ...]

    @property
    def start(self) -> Extent:
        """The shape of the block's input."""
        return self.layers[0].start

    @property
    def end(self) -> Extent:
        """The shape of the block's output, which is that of its last layer."""
        return self.layers[-1].end

    def sources(self) -> dict[str, str]:
        """The name of what each layer reads, by the layer's name."""
        names = (INPUT, *(layer.name for layer in self.layers))
        pairs = zip(self.layers, names, strict=False)
        return {layer.name: layer.source or before for layer, before in pairs}


def in_block(name: str) -> Any:
    """A named scope for the operations of one block; `compiler.cost.scopes` reads it."""
    return jax.named_scope(f"block={name}")


def is_trained(layer: Layer) -> bool:
    """Whether a layer has parameters."""
    return bool(layer.params())


def block_params(block: Block) -> dict[str, dict[str, ParamSpec]]:
    """The parameters of a block, by layer and name; layers without any are left out."""
    by_layer = {layer.name: layer.params() for layer in block.layers}
    return {name: params for name, params in by_layer.items() if params}


def apply_block(
    block: Block,
    params: Mapping[str, Any],
    x: Float[Array, "n p g c"],
    taps: Mapping[str, Float[Array, "..."]] | None = None,
    feedback: Mapping[str, Any] | None = None,
    running: Mapping[str, Mapping[str, Moments]] | None = None,
) -> tuple[Float[Array, "n q h d"], dict[str, LayerTrace]]:
    """The output of a block and the trace of every layer; arguments as of `layer_outputs`."""
    outputs, traces = layer_outputs(block, params, x, taps, feedback, running)
    return outputs[block.layers[-1].name], traces


def layer_outputs(
    block: Block,
    params: Mapping[str, Any],
    x: Float[Array, "n p g c"],
    taps: Mapping[str, Float[Array, "..."]] | None = None,
    feedback: Mapping[str, Any] | None = None,
    running: Mapping[str, Mapping[str, Moments]] | None = None,
) -> tuple[dict[str, Float[Array, "n q h d"]], dict[str, LayerTrace]]:
    """The output and the trace of every layer of a block, by the layer's name.

    Args:
        block: the block.
        params: parameters by layer and name.
        x: the input.
        taps: perturbations, added to pre-activations by layer, and to layers' outputs by
            `layer/output`. Layers that are not named have none.
        feedback: backward weights by layer and name, for layers whose errors do not go through the
            forward weights.
        running: moments by layer and place, to normalize with instead of those of the batch.
    """
    taps, feedback, sources = taps or {}, feedback or {}, block.sources()
    outputs = {INPUT: x}
    traces: dict[str, LayerTrace] = {}
    for layer in block.layers:
        name = layer.name
        added = [taps[name]] if name in taps else []
        added += [outputs[other] for other in layer.adds]
        outputs[name], traces[name] = apply_layer(
            layer,
            params.get(name, {}),
            outputs[sources[name]],
            added,
            feedback.get(name),
            running[name] if running is not None else None,
        )
        if layer.adds and layer is not block.layers[-1]:
            outputs[name] = computed_once(outputs[name])
        if f"{name}/{OUTPUT}" in taps:
            outputs[name] += taps[f"{name}/{OUTPUT}"].astype(outputs[name].dtype)
    return outputs, traces
