"""Diagnostics of a run: the gradient estimate of a step against its target's exact gradient."""

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
        params: the parameters of the whole network, by block.
        feedback: the backward weights, as drawn.
        rows: the rows of the step.
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
    """A function (key, step) -> estimate for one batch, and the exact gradient of the target.

    The arguments are those of `diagnosed`.
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
    """The exact gradient of the plan's target by block, whatever the plan's estimator is.

    Args:
        plan: a plan without stacks.
        params: the parameters of all blocks, under `blocks`.
        x: the network's input.
        context: the context of the step, without backward weights.
    """
    segments = tuple(plan.target.segments(plan.units))
    reverse = working(Exact())
    estimate = reverse.network_gradient(replace(plan, segments=segments), params, x, context)
    return estimate.grads["blocks"]


def draws(plan: Plan) -> bool:
    """Whether the plan's estimate is random: its guess is drawn anew at every step."""
    perturbation = plan.perturbation
    return perturbation is not None and perturbation.guess.varies


def flat(tree: Params) -> Float[Array, " d"]:
    """All numbers in nested dictionaries as one vector, in the order of their paths."""
    return jnp.concatenate([array.reshape(-1) for _, array in sorted(flatten(tree).items())])


def by_block(tree: Params) -> dict[str, Float[Array, " d"]]:
    """All numbers of each block as one vector."""
    return {block: flat(block_tree) for block, block_tree in tree.items()}


def by_layer(tree: Params) -> dict[str, Float[Array, " d"]]:
    """All numbers of each layer of blocks as one vector, by `block/layer`."""
    return {
        f"{block}/{layer}": flat(layer_tree)
        for block, layers in tree.items()
        for layer, layer_tree in layers.items()
    }


PARTS: dict[str, Callable[[Params], dict[str, Float[Array, " d"]]]] = {
    "block": by_block,
    "layer": by_layer,
}
"""How a gradient is divided into parts, by the value of `diagnostics.by`."""


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
    """Moments of an estimate g [d] over draws, and its cosine with the target t.

    Attributes:
        mean: the mean of g.
        variance: an unbiased estimate of E|g - E g|^2, the variance of all numbers together.
        cosine: the mean cosine between g and t.
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
    """Moments of an estimate over its draws, by the name of the part.

    Sums are of differences to the target, because rounding in sums of estimates would hide the
    variance of an estimate that is close to its target.

    Args:
        draw: address -> the parts of an estimate, by name.
        target: the parts of the exact gradient, by name.
        addresses: the addresses of k draws, along the first axis.
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
    """The signal-to-noise ratio of every part: |t|^2 / E|g - E g|^2."""
    moments_of = moments(draw, target, keys, loops=not written_out(plan))
    return {
        f"fg/snr/{part}": inner(gradient, gradient) / jnp.maximum(moments_of[part].variance, 1e-30)
        for part, gradient in target.items()
    }


def _alignment(plan: Plan, params: Params, feedback: Params) -> dict[str, Float[Array, ""]]:
    """The cosine between the backward and the forward weights of every layer."""
    forward = flatten(params["blocks"])
    backward = flatten(plan.estimator.seen_backward(feedback, params).get("blocks", {}))
    if any(
        path not in forward or weights.shape != forward[path].shape
        for path, weights in backward.items()
    ):
        return {}  # such as the matrices of direct feedback, which replace no forward weight
    return {
        f"fg/alignment/{path.removesuffix('/w')}": _cosine(
            weights.reshape(-1), forward[path].reshape(-1)
        )
        for path, weights in backward.items()
    }


def _head_accuracy(
    plan: Plan, params: Params, features: Mapping[str, Features], labels: Int[Array, " n"]
) -> dict[str, Float[Array, ""]]:
    """The accuracy of every local head on the batch."""
    measures = {}
    objective = plan.objective
    for site in plan.headed_sites() if "accuracy" in objective.reports else ():
        readout = plan.readout(site)
        readout_params = readout_of(params, plan.place(site))
        entering = readout.entering(features[site.block])
        right = objective.metrics(readout.outputs(readout_params, entering)[0], labels)["accuracy"]
        measures[f"local_accuracy/{site.name}"] = right.astype(jnp.float32).mean()
    return measures
