"""Loops of a compiled program, unrolled where a backend runs them slowly."""

from collections.abc import Callable, Iterator
from functools import lru_cache
from typing import Any

import jax
import jax.extend.core as jex
import jax.numpy as jnp

from compiler.network.network import every_layer
from compiler.network.shapes import Layer
from compiler.plan.plan import Plan

SLOW_IN_LOOPS = {"cpu": "conv_general_dilated"}
"""By backend, the operation whose gradient is slow inside a loop.

On a CPU, the gradient of a convolution's weights takes 75 times as long in a loop of XLA as outside
of one, in every precision. One update of ResNet-18 in 8 blocks, batch 8: 7.4 seconds of CPU time in
a loop of one turn, 0.44 without it. The same holds inside a conditional: one update of direct
feedback through three layers of 32 channels, batch 32, took 0.45 seconds of CPU time in a branch,
0.03 outside.
"""


def written_out(plan: Plan) -> bool:
    """Whether the plan's programs must compute gradients of weights outside of loops here."""
    slow = SLOW_IN_LOOPS.get(jax.default_backend())
    return slow is not None and any(slow in _primitives(layer) for layer in _layers(plan))


def looped(
    plan: Plan, body: Callable[[Any, Any], tuple[Any, Any]], start: Any, over: Any
) -> tuple[Any, Any]:
    """`jax.lax.scan` of a body that computes gradients of weights; a loop only where that is fast.

    A single turn is never a loop.
    """
    turns = len(jax.tree.leaves(over)[0])
    return scanned(body, start, over, loops=turns > 1 and not written_out(plan))


def scanned(
    body: Callable[[Any, Any], tuple[Any, Any]], start: Any, over: Any, loops: bool
) -> tuple[Any, Any]:
    """`jax.lax.scan`, or the same computation without a loop."""
    if loops:
        return jax.lax.scan(body, start, over)
    # `unroll=True` would leave a loop of one turn, in which convolutions are as slow.
    outputs, state = [], start
    for turn in range(len(jax.tree.leaves(over)[0])):
        state, out = body(state, jax.tree.map(lambda array, turn=turn: array[turn], over))
        outputs.append(out)
    return state, jax.tree.map(lambda *arrays: jnp.stack(arrays), *outputs)


def _layers(plan: Plan) -> Iterator[Layer]:
    network = plan.network
    yield from (layer for _, layer in every_layer(network.blocks))
    for readout in (network.classifier, *(plan.readout(site) for site in plan.headed_sites())):
        yield from readout.layers


@lru_cache(maxsize=1024)
def _primitives(layer: Layer) -> frozenset[str]:
    """The names of JAX's primitives in a layer's map, from a trace of it."""
    params = {
        name: jax.ShapeDtypeStruct(spec.shape, jnp.float32) for name, spec in layer.params().items()
    }
    x = jax.ShapeDtypeStruct((1, *layer.inputs), jnp.float32)
    return frozenset(_names(jax.make_jaxpr(layer.map)(params, x).jaxpr))


def _names(program: jex.Jaxpr) -> Iterator[str]:
    for equation in program.eqns:
        yield equation.primitive.name
        for value in jax.tree.leaves(
            list(equation.params.values()), is_leaf=lambda value: hasattr(value, "eqns")
        ):
            inner = getattr(value, "jaxpr", value)
            if hasattr(inner, "eqns"):
                yield from _names(inner)
