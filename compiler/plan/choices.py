"""Choices between computations by the number of the update, and how often each is taken."""

import re
from collections.abc import Callable, Sequence
from typing import Any

import jax
import jax.numpy as jnp
from jaxtyping import Array, Int

SCOPE = "updates=%s"
"""The named scope of such a choice: a trace has no other word of how often a branch is taken."""

_SCOPE = re.compile(r"(?:^|/)updates=([0-9,]+)$")


def one_in(
    every: int, step: Int[Array, ""], seldom: Callable[[], Any], usual: Callable[[], Any]
) -> Any:
    """`seldom()` at updates `every`, 2 `every`, 3 `every` and so on, `usual()` at all others.

    Args:
        every: how often; 1 is always.
        step: the number of updates done before this one.
        seldom: returns a tree of arrays.
        usual: returns arrays in the same structure, shapes and dtypes.
    """
    if every == 1:
        return seldom()
    with jax.named_scope(_named(every - 1, 1)):
        return jax.lax.cond((step + 1) % every == 0, seldom, usual)


def in_turn(
    spans: Sequence[range], step: Int[Array, ""], functions: Sequence[Callable[[], Any]]
) -> Any:
    """The function whose span of updates `step` is in; the last one also after its span.

    Args:
        spans: consecutive spans of updates, from 0 on.
        step: the number of updates done before this one.
        functions: one for each span; they return arrays in the same structure, shapes and dtypes.
    """
    starts = jnp.array([span.start for span in spans[1:]], step.dtype)
    with jax.named_scope(_named(*map(len, spans))):
        return jax.lax.switch((step >= starts).sum(dtype=jnp.int32), list(functions))


def _named(*updates: int) -> str:
    return SCOPE % ",".join(map(str, updates))


def shares(scope: str) -> tuple[float, ...]:
    """The shares of updates in which the branches of a conditional run, in JAX's order of them.

    Args:
        scope: the named scopes around the conditional, joined by slashes.

    Returns:
        A share for each branch; nothing for a conditional that is none of these choices.
    """
    found = _SCOPE.search(scope)
    counts = [int(count) for count in found[1].split(",")] if found else []
    return tuple(count / sum(counts) for count in counts)
