"""Diagnostics of a run: the gradient estimate of a step against its target's exact gradient."""

from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, Shaped

from compiler.estimators.context import Context, Estimate, Noise, drawn, make_context
from compiler.estimators.site_losses import Targets, readout_of
from compiler.named_arrays.paths import flatten
from compiler.named_arrays.precision import inner
from compiler.named_arrays.random_streams import KeyData, address
from compiler.plan.loops import scanned, written_out
from compiler.plan.plan import Plan
from compiler.update.learn import Rows
from compiler.update.which_gradient import exact_of_target

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
    measures |= _floor(target, parts(reordered_gradient(plan, params, rows)))
    keys = key[None]
    if draws(plan):
        count = jnp.arange(plan.experiment.diagnostics.samples)
        streams = jax.vmap(lambda index: address(key, "diagnostics", step, index))(count)
        keys = jax.random.key_data(streams)

        def draw(key: KeyData) -> Any:
            return parts(estimated(key, step).grads)

        measures |= _signal_to_noise(plan, draw, target, keys)
    if plan.experiment.diagnostics.noise_scale is not None:
        measures |= _noise_scale(plan, params, feedback, rows, target, keys)
    measures |= _alignment(plan, params, feedback)
    return measures | _head_accuracy(plan, params, estimate.trace.features, rows.targets)


def estimates(
    plan: Plan,
    params: Params,
    feedback: Params,
    rows: Rows,
) -> tuple[Callable[[KeyData, Any], Estimate], Params]:
    """A function (key, step) -> estimate for one batch, and the exact gradient of the target.

    The arguments are those of `diagnosed`.
    """
    unrolled, blocks = replace(plan, stacks=()), {"blocks": params.get("blocks", {})}

    def estimated(key: KeyData, step: Any) -> Estimate:
        drawing = rows._replace(key=key, step=step)
        return _estimate(plan, params, feedback, drawing, drawn(plan, key, step))

    noise = rows.noise(plan)
    forward = make_context(plan, params, {}, rows.targets, rows.key, rows.step, noise)
    return estimated, target_gradient(unrolled, blocks, rows.x, forward)


def reordered_gradient(plan: Plan, params: Params, rows: Rows) -> Params:
    """The exact gradient of the target by block in float32, of the examples in the opposite order.

    All sums over the batch are taken in another order, so it differs from the gradient by rounding
    alone. Where blocks compute with fewer digits than float32, the order of sums would not tell all
    of it: weights and activations are rounded in the same way in any order. The views of an example
    stay together.

    The arguments are those of `diagnosed`.
    """

    def reversed_rows(array: Shaped[Array, "m ..."]) -> Shaped[Array, "m ..."]:
        views = array.reshape(plan.objective.views, -1, *array.shape[1:])
        return views[:, ::-1].reshape(array.shape)

    x, targets = reversed_rows(rows.x), jax.tree.map(reversed_rows, rows.targets)
    compile = plan.experiment.compile.model_copy(update={"precision": plan.precise.name})
    experiment = plan.experiment.model_copy(update={"compile": compile})
    precise = replace(plan, stacks=(), experiment=experiment)
    blocks, x = {"blocks": params.get("blocks", {})}, x.astype(plan.precise)
    context = make_context(precise, params, {}, targets, rows.key, rows.step, rows.noise(precise))
    with jax.default_matmul_precision(precise.products):
        return target_gradient(precise, blocks, x, context)


def _floor(target: Params, reordered: Params) -> dict[str, Float[Array, ""]]:
    """By how much the exact gradient of every part is off by rounding, relative to its length."""
    return {
        f"fg/floor/{part}": jnp.linalg.norm(reordered[part] - exact)
        / jnp.maximum(jnp.linalg.norm(exact), 1e-30)
        for part, exact in target.items()
    }


def _estimate(plan: Plan, params: Params, feedback: Params, rows: Rows, noise: Noise) -> Estimate:
    """The estimate for some rows and some noise; its gradients are by block."""
    unrolled, blocks = replace(plan, stacks=()), {"blocks": params.get("blocks", {})}
    context = make_context(plan, params, feedback, rows.targets, rows.key, rows.step, noise)
    estimate = plan.estimator.network_gradient(unrolled, blocks, rows.x, context)
    return estimate._replace(grads=estimate.grads["blocks"])


def target_gradient(plan: Plan, params: Params, x: Features, context: Context) -> Params:
    """The exact gradient of the plan's target by block; arguments as of `exact_of_target`.

    The plan must be one without stacks.
    """
    return exact_of_target(plan, params, x, context).grads["blocks"]


def draws(plan: Plan) -> bool:
    """Whether the plan's estimate is random: its guess is drawn anew at every step."""
    perturbation = plan.perturbation
    return perturbation is not None and perturbation.guess.varies


def flat(tree: Params) -> Float[Array, " d"]:
    """All numbers in nested dictionaries as one vector, in the order of their paths."""
    return jnp.concatenate([array.reshape(-1) for _, array in sorted(flatten(tree).items())])


def by_block(tree: Params) -> dict[str, Float[Array, " d"]]:
    """All numbers of each block as one vector."""
    return {block: flat(block_tree) for block, block_tree in tree.items() if block_tree}


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


def _noise_scale(
    plan: Plan,
    params: Params,
    feedback: Params,
    rows: Rows,
    target: Mapping[str, Float[Array, " d"]],
    keys: Shaped[Array, "k ..."],
) -> dict[str, Float[Array, ""]]:
    """The simple noise scale of McCandlish et al. 2018, appendix A.1, of all blocks and each part.

    The batch is divided into equal slices. An example has the same noise in its slice as in the
    batch, so the mean of the slices' estimates is the estimate of the batch.

    Args:
        plan: the plan.
        params: the parameters of the whole network, by block.
        feedback: the backward weights, as drawn.
        rows: the rows of the step.
        target: the exact gradient of every part of the network.
        keys: the keys of draws of the guess, to average over; one key if it is not random.
    """
    spec, perturbation = plan.experiment, plan.perturbation
    count, parts = spec.diagnostics.noise_scale or 1, PARTS[spec.diagnostics.by]
    size = spec.data.batch_size // count
    data = spec.data.model_copy(update={"batch_size": size})
    smaller = replace(plan, experiment=spec.model_copy(update={"data": data}))
    shared = perturbation is not None and perturbation.sharing == "batch"

    def cut(array: Shaped[Array, "m ..."]) -> Shaped[Array, "count r ..."]:
        """The rows of every slice: those of every `count`-th example."""
        slices = array.reshape(plan.rows_each, size, count, *array.shape[1:])
        return jnp.moveaxis(slices, 2, 0).reshape(count, -1, *array.shape[1:])

    x, targets = cut(rows.x), jax.tree.map(cut, rows.targets)
    loops = not written_out(plan)

    def one_draw(_: None, key: KeyData) -> tuple[None, dict[str, Any]]:
        noise_of_batch = drawn(plan, key, rows.step)

        def estimated(index: Any) -> Any:
            def noise_of_slice(
                shapes: Mapping[str, tuple[int, ...]], sample: Any
            ) -> dict[str, Any]:
                batch_shapes = {
                    name: (count * row_count, *shape)
                    for name, (row_count, *shape) in shapes.items()
                }
                return {
                    name: cut(noise)[index]
                    for name, noise in noise_of_batch(batch_shapes, sample).items()
                }

            wanted = jax.tree.map(lambda array: array[index], targets)
            slice_rows = rows._replace(x=x[index], targets=wanted, key=key)
            noise = noise_of_batch if shared else noise_of_slice
            return parts(_estimate(smaller, params, feedback, slice_rows, noise).grads)

        moments_of_slices = moments(estimated, target, jnp.arange(count), loops)
        return None, {
            name: mean_over_examples(of_part, size, count)
            for name, of_part in moments_of_slices.items()
        }

    _, by_draw = scanned(one_draw, None, keys, loops)
    by_part = jax.tree.map(lambda values: values.mean(0), by_draw)
    all_blocks = jax.tree.map(lambda *values: sum(values, jnp.zeros(())), *by_part.values())
    measures = {}
    for part, (variance, squared) in {"": all_blocks, **by_part}.items():
        suffix = f"/{part}" if part else ""
        positive = squared > 0
        scale = jnp.where(positive, variance / jnp.where(positive, squared, 1), jnp.nan)
        measures[f"fg/noise_scale{suffix}"] = scale
        measures[f"fg/example_variance{suffix}"] = variance
        measures[f"fg/squared_norm{suffix}"] = squared
    return measures


class ExampleMoments(NamedTuple):
    """Moments of the estimate from a single example.

    Attributes:
        variance: the variance of all numbers together, the trace of their covariance.
        squared: the squared norm of the mean.
    """

    variance: Float[Array, ""]
    squared: Float[Array, ""]


def mean_over_examples(found: Moments, size: int, count: int) -> ExampleMoments:
    """Unbiased moments of one example's estimate, from those of slices of a batch.

    Args:
        found: the moments of the slices' estimates, each the mean over its examples.
        size: the number of examples in a slice.
        count: the number of slices.
    """
    squared = inner(found.mean, found.mean) - found.variance / count
    return ExampleMoments(variance=size * found.variance, squared=squared)


def _alignment(plan: Plan, params: Params, feedback: Params) -> dict[str, Float[Array, ""]]:
    """The cosine between the backward and the forward weights of every layer."""
    forward = flatten(params.get("blocks", {}))
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
    plan: Plan, params: Params, features: Mapping[str, Features], targets: Targets
) -> dict[str, Float[Array, ""]]:
    """The accuracy of every local head on the batch."""
    measures = {}
    for site in plan.headed_sites():
        objective, readout = plan.objective_at(site), plan.readout(site)
        if "accuracy" not in objective.reports:
            continue
        readout_params = readout_of(params, plan.place(site))
        entering = readout.entering(features[site.block])
        outputs = readout.outputs(readout_params, entering)[0]
        right = objective.metrics(outputs, targets.at(site))["accuracy"]
        measures[f"local_accuracy/{site.name}"] = right.astype(jnp.float32).mean()
    return measures
