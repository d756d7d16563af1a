"""Loops of a compiled program, written out where a backend runs them badly."""

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
"""What a backend runs badly inside a loop, by backend.

XLA's CPU compiler takes 75 times as long for the gradient of a convolution's weights in a loop as
outside of one, whatever the precision. One update of ResNet-18 in 8 blocks, batch 8: 7.4 seconds of
CPU time in a loop of one turn, 0.44 without it.
"""


def written_out(plan: Plan) -> bool:
    """Whether no loop of the plan's programs may hold gradients of weights on this backend."""
    slow = SLOW_IN_LOOPS.get(jax.default_backend())
    return slow is not None and any(slow in _primitives(layer) for layer in _layers(plan))


def looped(
    plan: Plan, body: Callable[[Any, Any], tuple[Any, Any]], start: Any, over: Any
) -> tuple[Any, Any]:
    """`jax.lax.scan` of a body that takes gradients of weights; as a loop where that is quick.

    A single turn is no loop.
    """
    turns = len(jax.tree.leaves(over)[0])
    return scanned(body, start, over, loops=turns > 1 and not written_out(plan))


def scanned(
    body: Callable[[Any, Any], tuple[Any, Any]], start: Any, over: Any, loops: bool
) -> tuple[Any, Any]:
    """`jax.lax.scan`, or the same without a loop."""
    if loops:
        return jax.lax.scan(body, start, over)
    # Not `unroll=True`, which leaves a loop of one turn, in which convolutions are as slow.
    found, state = [], start
    for turn in range(len(jax.tree.leaves(over)[0])):
        state, out = body(state, jax.tree.map(lambda part, turn=turn: part[turn], over))
        found.append(out)
    return state, jax.tree.map(lambda *parts: jnp.stack(parts), *found)


def _layers(plan: Plan) -> Iterator[Layer]:
    network = plan.network
    yield from (layer for _, layer in every_layer(network.blocks))
    for readout in (network.classifier, *(plan.readout(site) for site in plan.headed_sites())):
        yield from readout.layers


@lru_cache(maxsize=1024)
def _primitives(layer: Layer) -> frozenset[str]:
    """The names of JAX's operations in a layer's map, found by tracing it."""
    params = {n: jax.ShapeDtypeStruct(s.shape, jnp.float32) for n, s in layer.params().items()}
    x = jax.ShapeDtypeStruct((1, *layer.inputs), jnp.float32)
    return frozenset(_names(jax.make_jaxpr(layer.map)(params, x).jaxpr))


def _names(program: jex.Jaxpr) -> Iterator[str]:
    for equation in program.eqns:
        yield equation.primitive.name
        for part in jax.tree.leaves(
            list(equation.params.values()), is_leaf=lambda p: hasattr(p, "eqns")
        ):
            inner = getattr(part, "jaxpr", part)
            if hasattr(inner, "eqns"):
                yield from _names(inner)
