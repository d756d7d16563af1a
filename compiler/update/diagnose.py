"""What an estimate is worth at a step of a run: against the exact gradient of its target."""

from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, Int, Shaped

from compiler.estimators.context import Context, Estimate, drawn, make_context
from compiler.estimators.site_losses import readout_of
from compiler.named_arrays.paths import flatten
from compiler.named_arrays.precision import inner
from compiler.named_arrays.random_streams import KeyData, address
from compiler.plan.loops import scanned, written_out
from compiler.plan.plan import Plan
from compiler.update.learn import Rows
from fgspec.spec.estimators import Exact
from fgspec.spec.kinds import working

Params = Mapping[str, Any]
Features = Float[Array, "n p g c"]


def diagnosed(
    plan: Plan,
    params: Params,
    feedback: Params,
    rows: Rows,
) -> dict[str, Float[Array, ""]]:
    """Measures of the estimate, by name; see `fgspec.spec.run.Diagnostics`.

    Args:
        plan: the plan.
        params: of the whole network.
        feedback: backward weights as drawn.
        rows: of the step.
    """
    key, step = rows.key, rows.step
    estimated, exact = estimates(plan, params, feedback, rows)
    estimate, parts = estimated(key, step), PARTS[plan.experiment.diagnostics.by]
    target = parts(exact)
    measures = _against(parts(estimate.grads), target)
    if draws(plan):
        count = jnp.arange(plan.experiment.diagnostics.samples)
        streams = jax.vmap(lambda index: address(key, "diagnostics", step, index))(count)
        keys = jax.random.key_data(streams)

        def draw(key: KeyData) -> Any:
            return parts(estimated(key, step).grads)

        measures |= _signal_to_noise(plan, draw, target, keys)
    measures |= _alignment(plan, params, feedback)
    return measures | _head_accuracy(plan, params, estimate.trace.features, rows.labels)


def estimates(
    plan: Plan,
    params: Params,
    feedback: Params,
    rows: Rows,
) -> tuple[Callable[[KeyData, Any], Estimate], Params]:
    """The estimate of one batch by the key and step of its draws, and its target's exact gradient.

    Takes what `diagnosed` takes.
    """
    unrolled, blocks = replace(plan, stacks=()), {"blocks": params["blocks"]}

    def estimated(key: KeyData, step: Any) -> Estimate:
        noise = drawn(plan, key, step)
        context = make_context(plan, params, feedback, rows.labels, key, step, noise)
        estimate = plan.estimator.network_gradient(unrolled, blocks, rows.x, context)
        return estimate._replace(grads=estimate.grads["blocks"])

    noise = rows.noise(plan)
    forward = make_context(plan, params, {}, rows.labels, rows.key, rows.step, noise)
    return estimated, target_gradient(unrolled, blocks, rows.x, forward)


def target_gradient(plan: Plan, params: Params, x: Features, context: Context) -> Params:
    """The exact gradient of the plan's target by block, whatever its estimator.

    Args:
        plan: unrolled.
        params: of all blocks, under `blocks`.
        x: the network's input.
        context: without backward weights.
    """
    segments = tuple(plan.target.segments(plan.units))
    reverse = working(Exact())
    estimate = reverse.network_gradient(replace(plan, segments=segments), params, x, context)
    return estimate.grads["blocks"]


def draws(plan: Plan) -> bool:
    """Whether the estimate of a plan is another at every step: a fresh draw of its guess."""
    perturbation = plan.perturbation
    return perturbation is not None and perturbation.guess.varies


def flat(tree: Params) -> Float[Array, " d"]:
    """All numbers of a nested dictionary, in the order of their paths."""
    return jnp.concatenate([array.reshape(-1) for _, array in sorted(flatten(tree).items())])


def by_block(tree: Params) -> dict[str, Float[Array, " d"]]:
    """All numbers of every block."""
    return {block: flat(block_tree) for block, block_tree in tree.items()}


def by_layer(tree: Params) -> dict[str, Float[Array, " d"]]:
    """All numbers of every layer of blocks, by `block/layer`."""
    return {
        f"{block}/{layer}": flat(layer_tree)
        for block, layers in tree.items()
        for layer, layer_tree in layers.items()
    }


PARTS: dict[str, Callable[[Params], dict[str, Float[Array, " d"]]]] = {
    "block": by_block,
    "layer": by_layer,
}
"""Of a gradient, by `diagnostics.by`."""


def _cosine(a: Float[Array, " d"], b: Float[Array, " d"]) -> Float[Array, ""]:
    size = jnp.linalg.norm(a) * jnp.linalg.norm(b)
    return jnp.where(size > 0, inner(a, b) / jnp.where(size > 0, size, 1), 0)


def _against(estimate: Params, target: Params) -> dict[str, Float[Array, ""]]:
    measures = {}
    for part, exact in target.items():
        estimated, size = estimate[part], jnp.linalg.norm(exact)
        measures[f"fg/cosine/{part}"] = _cosine(estimated, exact)
        measures[f"fg/norm_ratio/{part}"] = jnp.linalg.norm(estimated) / jnp.where(
            size > 0, size, 1
        )
    return measures


class Moments(NamedTuple):
    """Of the draws g of an estimate, [d], against its target t.

    Attributes:
        mean: of g.
        variance: of all numbers together, E|g - E g|^2; the estimate of it that has no bias.
        cosine: mean of the cosine of g with t.
    """

    mean: Float[Array, " d"]
    variance: Float[Array, ""]
    cosine: Float[Array, ""]


def moments(
    draw: Callable[[Any], Mapping[str, Float[Array, " d"]]],
    target: Mapping[str, Float[Array, " d"]],
    addresses: Shaped[Array, "k ..."],
    loops: bool = True,
) -> dict[str, Moments]:
    """Moments of an estimate over its draws, by the names of what it estimates.

    Deviations from the target are summed instead of the estimates, so that rounding does not hide
    the variance of estimates that are close to it.

    Args:
        draw: address -> estimates.
        target: of the estimates.
        addresses: of k draws.
        loops: whether the draws may be a loop; see `compiler.plan.loops.written_out`.
    """

    def add(total: Any, draw_address: Any) -> tuple[Any, None]:
        estimate = draw(draw_address)
        deviation = {name: estimate[name] - target[name] for name in target}
        square = {name: inner(difference, difference) for name, difference in deviation.items()}
        cosine = {name: _cosine(estimate[name], target[name]) for name in target}
        return jax.tree.map(jnp.add, total, (deviation, square, cosine)), None

    zeros = dict.fromkeys(target, jnp.zeros(()))
    start = (jax.tree.map(jnp.zeros_like, dict(target)), zeros, zeros)
    (deviation, square, cosine), _ = scanned(add, start, addresses, loops)
    count = len(addresses)
    return {
        name: Moments(
            mean=target[name] + deviation[name] / count,
            variance=(square[name] - inner(deviation[name], deviation[name]) / count) / (count - 1),
            cosine=cosine[name] / count,
        )
        for name in target
    }


def _signal_to_noise(
    plan: Plan, draw: Any, target: Params, keys: Any
) -> dict[str, Float[Array, ""]]:
    """|gradient|^2 of every part, of the total variance of its estimate."""
    moments_of = moments(draw, target, keys, loops=not written_out(plan))
    return {
        f"fg/snr/{part}": inner(gradient, gradient) / jnp.maximum(moments_of[part].variance, 1e-30)
        for part, gradient in target.items()
    }


def _alignment(plan: Plan, params: Params, feedback: Params) -> dict[str, Float[Array, ""]]:
    """Cosine of the backward with the forward weights of every layer."""
    forward = flatten(params["blocks"])
    backward = flatten(plan.estimator.seen_backward(feedback, params).get("blocks", {}))
    if any(
        path not in forward or weights.shape != forward[path].shape
        for path, weights in backward.items()
    ):
        return {}  # they stand for no forward weight
    return {
        f"fg/alignment/{path.removesuffix('/w')}": _cosine(
            weights.reshape(-1), forward[path].reshape(-1)
        )
        for path, weights in backward.items()
    }


def _head_accuracy(
    plan: Plan, params: Params, features: Mapping[str, Features], labels: Int[Array, " n"]
) -> dict[str, Float[Array, ""]]:
    """The share of the batch that every local head classifies rightly."""
    measures = {}
    objective = plan.objective
    for site in plan.headed_sites() if "accuracy" in objective.reports else ():
        readout = plan.readout(site)
        readout_params = readout_of(params, plan.place(site))
        entering = readout.entering(features[site.block])
        right = objective.metrics(readout.outputs(readout_params, entering)[0], labels)["accuracy"]
        measures[f"local_accuracy/{site.name}"] = right.astype(jnp.float32).mean()
    return measures
