"""Forward passes through parts of a network, with scanned stacks and rematerialization."""

from collections.abc import Mapping, Sequence
from functools import partial
from typing import Any

import jax
from jaxtyping import Array, Float

from compiler.network.block import Block
from compiler.network.network import Trace, forward, params_of
from compiler.plan.loops import scanned
from compiler.plan.stacks import Stack

Params = Mapping[str, Any]
Features = Float[Array, "n p g c"]
Part = tuple[Block, ...] | Stack
"""A chain of blocks, or a stack of equal units that share one compiled body."""


def through(
    parts: Sequence[Part],
    params: Params,
    x: Features,
    feedback: Params | None = None,
    running: Any = None,
    every: int | None = None,
    loops: bool = True,
) -> Trace:
    """Run the parts of a network one after the other.

    Args:
        parts: the parts in order.
        params: parameters under `blocks` by block, layer and name, and under `stacks` by stack.
        x: the input of the first block, [n, p, g, c].
        feedback: backward weights in the same structure.
        running: moments of normalizations, to use instead of the batch's.
        every: store the input of every so many blocks for the reverse pass, which then computes
            everything between them again. None stores everything.
        loops: whether equal units may be compiled as a loop; see
            `compiler.plan.loops.written_out`.

    Returns:
        The output of the last part, and features and traces of all blocks that are not scanned.
    """
    backward, total = feedback or {}, Trace(x, {}, {})
    for part in parts:
        if isinstance(part, Stack):
            block_params = params["stacks"][part.name]["blocks"]
            stack_feedback = backward.get("stacks", {}).get(part.name, {}).get("blocks", {})
            x = _scanned(part, block_params, stack_feedback, total.output, every, loops)
            total = total._replace(output=x, features=total.features | {part.last: x})
            continue
        size = every or len(part)
        chunks = [part[start : start + size] for start in range(0, len(part), size)]
        # With a single chunk recomputing would save nothing: everything is needed at once.
        recomputes = every is not None and (len(chunks) > 1 or len(parts) > 1)
        for chunk in chunks:
            run: Any = partial(forward, chunk, feedback=backward.get("blocks"), running=running)
            run = jax.checkpoint(run) if recomputes else run
            block_params = {block.name: params_of(block, params) for block in chunk}
            trace = run(block_params, total.output)
            features, layers = total.features | trace.features, total.layers | trace.layers
            total = Trace(trace.output, features, layers)
    return total


def _scanned(
    stack: Stack, params: Params, feedback: Params, x: Features, every: int | None, loops: bool
) -> Features:
    """The features after all units of a stack; parameters have the names of its template."""

    def one_unit(x: Features, unit: Any) -> tuple[Features, None]:
        block_params, backward = unit
        return forward(stack.template[0], block_params, x, feedback=backward or None).output, None

    def several_units(x: Features, units: Any) -> tuple[Features, None]:
        return scanned(one_unit, x, units, loops)

    units = (params, feedback)
    if every is None:
        return several_units(x, units)[0]
    depth = len(stack.units)
    full_chunks = depth // every * every
    chunks = jax.tree.map(
        lambda array: array[:full_chunks].reshape(-1, every, *array.shape[1:]), units
    )
    stored = jax.checkpoint(several_units)
    x, _ = scanned(stored, x, chunks, loops)
    tail = jax.tree.map(lambda array: array[full_chunks:], units)
    return stored(x, tail)[0] if depth > full_chunks else x
