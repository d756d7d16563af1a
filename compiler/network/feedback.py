"""Linear maps whose errors go back through backward weights instead of the forward weights.

Lillicrap et al. 2016 (feedback alignment); Liao et al. 2016 (sign symmetry).
"""

from collections.abc import Callable, Mapping
from typing import Any

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float

Params = Mapping[str, Float[Array, "..."]]
LinearMap = Callable[[Params, Float[Array, "..."]], Float[Array, "..."]]
"""(weights, x) -> y, linear in x."""


def with_feedback(apply: LinearMap, feedback: Params) -> LinearMap:
    """`apply`, whose error with respect to `x` is computed with the weights in `feedback`.

    The gradient of the weights needs only the input and the error at the output, so it is that of
    the forward weights.

    Args:
        apply: a map that is linear in its input.
        feedback: backward weights, with the names and shapes of the forward weights; none for
            biases.
    """

    @jax.custom_vjp
    def mapped(params: Params, backward: Params, x: Float[Array, "..."]) -> Float[Array, "..."]:
        return apply(params, x)

    def ahead(params: Params, backward: Params, x: Float[Array, "..."]) -> tuple[Any, Any]:
        return apply(params, x), (params, backward, x)

    def back(saved: Any, error: Float[Array, "..."]) -> tuple[Any, Any, Any]:
        params, backward, x = saved
        (param_grads,) = jax.vjp(lambda params: apply(params, x), params)[1](error)
        (x_grad,) = jax.vjp(lambda x: apply({**params, **backward}, x), x)[1](error)
        return param_grads, jax.tree.map(jnp.zeros_like, backward), x_grad

    mapped.defvjp(ahead, back)
    return lambda params, x: mapped(params, feedback, x)
