"""The forward gradient as one formula; how its directional derivatives are taken is an argument."""

from collections.abc import Callable, Mapping
from typing import Any

import jax
import jax.numpy as jnp

Tree = Mapping[str, Any]


def forward_gradient(
    directions: Callable[[Any], tuple[Tree, Tree]],
    slopes: Callable[[Tree, Any], Any],
    times: Callable[[Any, Tree], Tree],
    samples: int,
    predicted: Tree | None = None,
    redrawn: bool = False,
) -> dict[str, Any]:
    """The estimate P + sum over k = 1..K of c_k <T - P, u_k> v_k.

    T is the target's gradient, u_k are directions and v_k their partners, and P is a prediction of
    T that lowers the variance (a control variate).

    Args:
        directions: sample index -> (u, v), each by name.
        slopes: (u, sample index) -> c <T - P, u>, one value for everything that has its own.
        times: (slopes, v) -> their product, by name.
        samples: K.
        predicted: P by name; zero where a name is missing.
        redrawn: whether v is drawn a second time when its slope is known. Otherwise it is stored
            until then.

    Returns:
        The estimate, by the names of the directions.
    """

    def one_sample(sample: Any) -> Tree:
        with jax.named_scope("perturbations"):
            u, v = directions(sample)
        with jax.named_scope("tangents"):
            along = slopes(u, sample)
        if redrawn:
            with jax.named_scope("perturbations"):
                v = directions(_once_known(sample, along))[1]
        return times(along, v)

    total, prediction = _summed(one_sample, samples), predicted or {}
    return {
        name: array + prediction[name] if name in prediction else array
        for name, array in total.items()
    }


def one_by_one(draw: Callable[[Any], Tree], samples: int) -> Callable[[Any], tuple[Tree, Tree]]:
    """Sample index -> (u, u / K): independent directions, whose products are averaged."""

    def directions(sample: Any) -> tuple[Tree, Tree]:
        u = draw(sample)
        return u, u if samples == 1 else jax.tree.map(lambda array: array / samples, u)

    return directions


def _once_known(sample: Any, along: Any) -> Any:
    """The same sample index, in a form that makes XLA compute what depends on it anew and later.

    Without the barrier XLA would see the second draw as the first one and store it.
    """
    return jax.lax.optimization_barrier((jnp.asarray(sample, jnp.int32), along))[0]


def _summed(one_sample: Callable[[Any], Tree], samples: int) -> Tree:
    """The sum over samples, computed one by one so that only one is in memory at a time."""
    if samples == 1:
        return one_sample(0)

    def add(total: Tree, sample: Any) -> tuple[Tree, None]:
        return jax.tree.map(jnp.add, total, one_sample(sample)), None

    indices = jnp.arange(samples)
    shapes = jax.eval_shape(one_sample, indices[0])
    zeros = jax.tree.map(lambda s: jnp.zeros(s.shape, s.dtype), shapes)
    return jax.lax.scan(add, zeros, indices)[0]
