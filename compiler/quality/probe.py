"""Measures each layer's gradient estimate on one batch, against its target's exact gradient."""

from collections.abc import Mapping
from dataclasses import replace
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Int

from compiler.compile import compile_plan
from compiler.plan.loops import written_out
from compiler.plan.plan import Plan
from compiler.plan.sharding import traced_on
from compiler.quality.statistics import quality
from compiler.update.diagnose import by_layer, draws, estimates, moments
from compiler.update.learn import rows_of
from compiler.update.state import State

ROUNDS = 16
"""The number of groups of draws; the spread of their means gives the bias's standard error."""


class Probe(NamedTuple):
    """How an estimate g of a layer's gradient compares with the exact gradient t, on one batch.

    Relative measures are None where t is zero.

    Attributes:
        cosine: the mean over draws of the cosine between g and t.
        bias: |E g - t| / |t|.
        bias_z: the squared bias divided by its standard error; None if the estimate is not random.
        variance: E|g - E g|^2 / |t|^2.
        signal_to_noise: |t|^2 / E|g - E g|^2; None if the variance is zero.
        gradient: |t|.
        step: the length of the optimizer's next step.
    """

    cosine: float | None
    bias: float | None
    bias_z: float | None
    variance: float | None
    signal_to_noise: float | None
    gradient: float
    step: float


def probed(plan: Plan, state: State, batch: Mapping[str, Any], each: int) -> dict[str, Probe]:
    """Measure the estimate of every layer, by `block/layer`.

    Args:
        plan: a plan without stacks.
        state: the state at which to measure; augmentation uses its step.
        batch: a batch as an update takes it.
        each: the number of draws in each of `ROUNDS` rounds, at least 2. An estimate that is not
            random is computed twice.
    """
    drawn = draws(plan)
    rounds, each = (ROUNDS, each) if drawn else (1, 2)
    measure = jax.jit(traced_on(plan, _measured(plan)))
    results = []
    for index in range(rounds):
        steps = state.step + index * each + jnp.arange(each, dtype=jnp.int32)
        results.append(jax.device_get(measure(state, batch, steps)))
    lengths = jax.device_get(jax.jit(_steps(plan))(state, batch))
    return {
        layer: _probe(
            [moments_of[layer] for moments_of, _ in results], target, drawn, float(lengths[layer])
        )
        for layer, target in results[0][1].items()
    }


def _measured(plan: Plan) -> Any:
    def measured(state: State, batch: Any, steps: Int[Array, " k"]) -> Any:
        """Moments of the estimates over the draws of these steps, and exact gradients, by layer."""
        rows = rows_of(plan, state, batch)
        estimated, exact = estimates(plan, state.params, state.feedback, rows)
        target = by_layer(exact)

        def draw(step: Any) -> dict[str, Any]:
            return by_layer(estimated(state.key, step).grads)

        return moments(draw, target, steps, loops=not written_out(plan)), target

    return measured


def _steps(plan: Plan) -> Any:
    program = compile_plan(replace(plan, stacks=()))

    def lengths(state: State, batch: Any) -> dict[str, Any]:
        new = program.update(state, batch)[0].params.get("blocks", {})
        step = jax.tree.map(jnp.subtract, new, state.params.get("blocks", {}))
        return {layer: jnp.linalg.norm(layer_step) for layer, layer_step in by_layer(step).items()}

    return lengths


def _probe(rounds: list[Any], target: Any, drawn: bool, step: float) -> Probe:
    """The measures of a layer, from the moments of every round."""
    size = float(np.linalg.norm(target))
    if size == 0:
        return Probe(None, None, None, None, None, 0.0, step)
    cosine = float(np.mean([round_.cosine for round_ in rounds]))
    if not drawn:
        bias = float(np.linalg.norm(rounds[0].mean - target)) / size
        return Probe(cosine, bias, None, 0.0, None, size, step)
    means = np.stack([round_.mean for round_ in rounds])
    variances = np.stack([round_.variance for round_ in rounds])
    measured = quality(means, variances, cosine, target)
    signal = 1 / measured.variance if measured.variance > 0 else None
    return Probe(cosine, measured.bias, measured.bias_z, measured.variance, signal, size, step)
