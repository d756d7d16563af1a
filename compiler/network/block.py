"""Blocks: layers that read and add the outputs of earlier ones."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import jax
from jaxtyping import Array, Float

from compiler.network.layers import LayerTrace, apply_layer
from compiler.network.norms import Moments
from compiler.network.shapes import Layer
from fgspec.spec.shapes import INPUT, Extent, ParamSpec

OUTPUT = "output"
"""What a layer gives, behind its activation, in the names of perturbations."""


# A list of layers with names instead of flags: a residual, a shortcut and a projection are all one
# layer that adds outputs by name.
@dataclass(frozen=True)
class Block:
    """Layers, each of which reads the output of an earlier one or the block's input."""

    name: str
    layers: tuple[Layer, ...]

    @property
    def start(self) -> Extent:
        """Of the block's input."""
        return self.layers[0].start

    @property
    def end(self) -> Extent:
        """Of the block's output, which is its last layer's."""
        return self.layers[-1].end

    def sources(self) -> dict[str, str]:
        """What each layer reads, by its name."""
        names = (INPUT, *(layer.name for layer in self.layers))
        pairs = zip(self.layers, names, strict=False)
        return {layer.name: layer.source or before for layer, before in pairs}


def in_block(name: str) -> Any:
    """The scope of what is done for one block, read by `compiler.cost.scopes`."""
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
    known: Mapping[str, Mapping[str, Moments]] | None = None,
) -> tuple[Float[Array, "n q h d"], dict[str, LayerTrace]]:
    """The output of a block and the trace of every layer.

    Args:
        block: the block.
        params: by layer and name.
        x: its input.
        taps: perturbations of pre-activations by layer, of layers' outputs by `layer/output`;
            absent ones are zero.
        feedback: backward weights by layer and name, where they are not the forward ones.
        known: moments by layer and place, instead of the batch's.
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
            known[name] if known is not None else None,
        )
        if layer.adds and layer is not block.layers[-1]:
            outputs[name] = computed_once(outputs[name])
        if f"{name}/{OUTPUT}" in taps:
            outputs[name] += taps[f"{name}/{OUTPUT}"].astype(outputs[name].dtype)
    return outputs[block.layers[-1].name], traces


def computed_once(x: Float[Array, "..."]) -> Float[Array, "..."]:
    """A residual sum that more layers follow: the same numbers, divided by one.

    XLA's CPU compiler computes cheap operations again wherever their result is read, but never a
    division. A sum along residual connections goes back to the first block, so that each block
    computed those before it anew: backprop of 16 blocks took 4.0 s instead of 2.4, fg-a 5.6 instead
    of 2.6. It drops an `optimization_barrier` before it decides that.
    """
    return x / (1 + 0 * jax.lax.stop_gradient(x))  # which the compiler cannot know to be one
