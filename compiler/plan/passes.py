"""Forward passes through parts of a network, and what a reverse pass may compute again."""

from collections.abc import Mapping, Sequence
from functools import partial
from typing import Any

import jax
from jaxtyping import Array, Float

from compiler.network.block import Block
from compiler.network.network import Trace, forward
from compiler.plan.loops import scanned
from compiler.plan.stacks import Stack

Params = Mapping[str, Any]
Features = Float[Array, "n p g c"]
Part = tuple[Block, ...] | Stack
"""Blocks one after the other, or equal units that one compiled body serves."""


def through(
    parts: Sequence[Part],
    params: Params,
    x: Features,
    feedback: Params | None = None,
    known: Any = None,
    every: int | None = None,
    loops: bool = True,
) -> Trace:
    """Run the parts of a network one after the other.

    Args:
        parts: in order.
        params: under `blocks` by block, layer and name; of stacks under `stacks` by stack.
        x: what enters the first block, [n, p, g, c].
        feedback: backward weights in the same structure.
        known: moments of normalizations, instead of the batch's.
        every: blocks between two inputs that a reverse pass finds stored; what is inside them it
            computes again. None stores all.
        loops: whether equal units may be a loop; see `compiler.plan.loops.written_out`.

    Returns:
        Features and traces of every block that is not scanned, and the output of the last part.
    """
    back, total = feedback or {}, Trace(x, {}, {})
    for part in parts:
        if isinstance(part, Stack):
            own = params["stacks"][part.name]["blocks"]
            of = back.get("stacks", {}).get(part.name, {}).get("blocks", {})
            x = _scanned(part, own, of, total.output, every, loops)
            total = total._replace(output=x, features=total.features | {part.last: x})
            continue
        size = every or len(part)
        chunks = [part[start : start + size] for start in range(0, len(part), size)]
        # The input of a lone chunk is stored anyway: nothing is saved by computing it again.
        again = every is not None and (len(chunks) > 1 or len(parts) > 1)
        for chunk in chunks:
            run: Any = partial(forward, chunk, feedback=back.get("blocks"), known=known)
            run = jax.checkpoint(run) if again else run
            own = {block.name: params["blocks"][block.name] for block in chunk}
            trace = run(own, total.output)
            features, layers = total.features | trace.features, total.layers | trace.layers
            total = Trace(trace.output, features, layers)
    return total


def _scanned(
    stack: Stack, params: Params, feedback: Params, x: Features, every: int | None, loops: bool
) -> Features:
    """Through all units of a stack, by the names of its template."""

    def one(x: Features, unit: Any) -> tuple[Features, None]:
        own, backward = unit
        return forward(stack.template[0], own, x, feedback=backward or None).output, None

    def several(x: Features, units: Any) -> tuple[Features, None]:
        return scanned(one, x, units, loops)

    units = (params, feedback)
    if every is None:
        return several(x, units)[0]
    depth = len(stack.units)
    whole = depth // every * every
    chunks = jax.tree.map(lambda a: a[:whole].reshape(-1, every, *a.shape[1:]), units)
    stored = jax.checkpoint(several)
    x, _ = scanned(stored, x, chunks, loops)
    tail = jax.tree.map(lambda a: a[whole:], units)
    return stored(x, tail)[0] if depth > whole else x
