"""What an estimate is worth at a step of a run: against the exact gradient of its target."""

from collections.abc import Mapping
from typing import Any

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, Int

from compiler.estimate import Clock, drawn, estimate, make_context, matched, target_gradient
from compiler.losses.sites import readout_of
from compiler.noise import KeyData, address
from compiler.plan import Plan
from compiler.trees import flatten
from fgspec.spec.gradient import Feedback

Params = Mapping[str, Any]
Features = Float[Array, "n p g c"]
_FIXED = ("local", "fixed_ntk", "global", "above")
"""Guesses made from the network that are the same in every draw."""


def diagnosed(
    plan: Plan, params: Params, feedback: Params, batch: tuple[Features, Any], at: tuple[Any, Any]
) -> dict[str, Float[Array, ""]]:
    """Measures of the estimate, by name; see `fgspec.spec.run.Diagnostics`.

    Args:
        plan: the plan.
        params: of the whole network.
        feedback: backward weights as drawn.
        batch: the network's input and the labels of its rows.
        at: raw key of the run, and the step.
    """
    (x, labels), (key, step) = batch, at

    def estimated(key: KeyData) -> Any:
        clock = Clock(key, step, drawn(plan, key, step))
        context = make_context(plan, params, feedback, labels, clock)
        return estimate(plan, params, x, context)

    clock = Clock(key, step, drawn(plan, key, step))
    exact = target_gradient(plan, params, x, make_context(plan, params, {}, labels, clock)).grads
    found = estimated(key)
    measured = _against(found.grads, exact)
    if _draws(plan):
        streams = [address(key, "diagnostics", step, k) for k in range(_samples(plan))]
        keys = jnp.stack([jax.random.key_data(stream) for stream in streams])
        measured |= _signal_to_noise(lambda key: estimated(key).grads, exact, keys)
    measured |= _alignment(plan, params, feedback)
    return measured | _head_accuracy(plan, params, found.trace.features, labels)


def _samples(plan: Plan) -> int:
    return plan.experiment.diagnostics.samples


def _draws(plan: Plan) -> bool:
    perturbation = plan.experiment.gradient.perturbation
    return perturbation is not None and perturbation.guess.type not in _FIXED


def _flat(block: Params) -> Float[Array, " d"]:
    return jnp.concatenate([part.reshape(-1) for _, part in sorted(flatten(block).items())])


def _cosine(a: Float[Array, " d"], b: Float[Array, " d"]) -> Float[Array, ""]:
    size = jnp.linalg.norm(a) * jnp.linalg.norm(b)
    return jnp.where(size > 0, jnp.vdot(a, b) / jnp.where(size > 0, size, 1), 0)


def _against(found: Params, exact: Params) -> dict[str, Float[Array, ""]]:
    measured = {}
    for block, target in exact.items():
        own, wanted = _flat(found[block]), _flat(target)
        size = jnp.linalg.norm(wanted)
        measured[f"fg/cosine/{block}"] = _cosine(own, wanted)
        measured[f"fg/norm_ratio/{block}"] = jnp.linalg.norm(own) / jnp.where(size > 0, size, 1)
    return measured


def _signal_to_noise(draw: Any, exact: Params, keys: Any) -> dict[str, Float[Array, ""]]:
    """|gradient|^2 of every block, of the total variance of its estimate."""
    zero = {block: jnp.zeros_like(_flat(target)) for block, target in exact.items()}

    def add(total: Any, key: Any) -> tuple[Any, None]:
        sums, squares = total
        flat = {block: _flat(own) for block, own in draw(key).items()}
        sums = jax.tree.map(jnp.add, sums, flat)
        return (sums, {b: squares[b] + jnp.vdot(flat[b], flat[b]) for b in flat}), None

    start = (zero, dict.fromkeys(exact, jnp.zeros(())))
    (sums, squares), _ = jax.lax.scan(add, start, keys)
    count, measured = len(keys), {}
    for block, target in exact.items():
        variance = (squares[block] - jnp.vdot(sums[block], sums[block]) / count) / (count - 1)
        signal = jnp.square(jnp.linalg.norm(_flat(target)))
        measured[f"fg/snr/{block}"] = signal / jnp.maximum(variance, 1e-30)
    return measured


def _alignment(plan: Plan, params: Params, feedback: Params) -> dict[str, Float[Array, ""]]:
    """Cosine of the backward with the forward weights of every layer."""
    if not isinstance(plan.experiment.gradient.estimator, Feedback):
        return {}
    backward = flatten(matched(plan, feedback, params)["blocks"])
    forward = flatten(params["blocks"])
    return {
        f"fg/alignment/{path.removesuffix('/w')}": _cosine(b.reshape(-1), forward[path].reshape(-1))
        for path, b in backward.items()
    }


def _head_accuracy(
    plan: Plan, params: Params, features: Mapping[str, Features], labels: Int[Array, " n"]
) -> dict[str, Float[Array, ""]]:
    """The share of the batch that every local head classifies rightly."""
    measured = {}
    for site in plan.headed_sites() if plan.objective.classifies else ():
        readout = plan.readout(site)
        own, entering = readout_of(params, plan.place(site)), readout.entering(features[site.block])
        right = readout.outputs(own, entering)[0].argmax(-1) == labels
        measured[f"local_accuracy/{site.name}"] = right.astype(jnp.float32).mean()
    return measured
