"""What an estimate is worth at a step of a run: against the exact gradient of its target."""

from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, Int, Shaped

from compiler.estimators.context import Context, Estimate, Noise, drawn, make_context
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
    found, parts = estimated(key, step), PARTS[plan.experiment.diagnostics.by]
    target = parts(exact)
    measured = _against(parts(found.grads), target)
    keys = key[None]
    if draws(plan):
        count = jnp.arange(plan.experiment.diagnostics.samples)
        streams = jax.vmap(lambda k: address(key, "diagnostics", step, k))(count)
        keys = jax.random.key_data(streams)

        def draw(key: KeyData) -> Any:
            return parts(estimated(key, step).grads)

        measured |= _signal_to_noise(plan, draw, target, keys)
    if plan.experiment.diagnostics.noise_scale is not None:
        measured |= _noise_scale(plan, params, feedback, rows, target, keys)
    measured |= _alignment(plan, params, feedback)
    return measured | _head_accuracy(plan, params, found.trace.features, rows.labels)


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
        drawing = rows._replace(key=key, step=step)
        return _estimate(plan, params, feedback, drawing, drawn(plan, key, step))

    noise = rows.noise(plan)
    forward = make_context(plan, params, {}, rows.labels, rows.key, rows.step, noise)
    return estimated, target_gradient(unrolled, blocks, rows.x, forward)


def _estimate(plan: Plan, params: Params, feedback: Params, rows: Rows, noise: Noise) -> Estimate:
    """The estimate from some rows along some noise; its gradients are by block."""
    unrolled, blocks = replace(plan, stacks=()), {"blocks": params["blocks"]}
    context = make_context(plan, params, feedback, rows.labels, rows.key, rows.step, noise)
    estimate = plan.estimator.network_gradient(unrolled, blocks, rows.x, context)
    return estimate._replace(grads=estimate.grads["blocks"])


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
    return jnp.concatenate([part.reshape(-1) for _, part in sorted(flatten(tree).items())])


def by_block(tree: Params) -> dict[str, Float[Array, " d"]]:
    """All numbers of every block."""
    return {block: flat(own) for block, own in tree.items()}


def by_layer(tree: Params) -> dict[str, Float[Array, " d"]]:
    """All numbers of every layer of blocks, by `block/layer`."""
    return {
        f"{block}/{layer}": flat(own)
        for block, layers in tree.items()
        for layer, own in layers.items()
    }


PARTS: dict[str, Callable[[Params], dict[str, Float[Array, " d"]]]] = {
    "block": by_block,
    "layer": by_layer,
}
"""Of a gradient, by `diagnostics.by`."""


def _cosine(a: Float[Array, " d"], b: Float[Array, " d"]) -> Float[Array, ""]:
    size = jnp.linalg.norm(a) * jnp.linalg.norm(b)
    return jnp.where(size > 0, inner(a, b) / jnp.where(size > 0, size, 1), 0)


def _against(found: Params, target: Params) -> dict[str, Float[Array, ""]]:
    measured = {}
    for part, wanted in target.items():
        own, size = found[part], jnp.linalg.norm(wanted)
        measured[f"fg/cosine/{part}"] = _cosine(own, wanted)
        measured[f"fg/norm_ratio/{part}"] = jnp.linalg.norm(own) / jnp.where(size > 0, size, 1)
    return measured


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

    def add(total: Any, at: Any) -> tuple[Any, None]:
        found = draw(at)
        off = {name: found[name] - target[name] for name in target}
        square = {name: inner(part, part) for name, part in off.items()}
        cosine = {name: _cosine(found[name], target[name]) for name in target}
        return jax.tree.map(jnp.add, total, (off, square, cosine)), None

    zeros = dict.fromkeys(target, jnp.zeros(()))
    start = (jax.tree.map(jnp.zeros_like, dict(target)), zeros, zeros)
    (off, square, cosine), _ = scanned(add, start, addresses, loops)
    count = len(addresses)
    return {
        name: Moments(
            mean=target[name] + off[name] / count,
            variance=(square[name] - inner(off[name], off[name]) / count) / (count - 1),
            cosine=cosine[name] / count,
        )
        for name in target
    }


def _signal_to_noise(
    plan: Plan, draw: Any, target: Params, keys: Any
) -> dict[str, Float[Array, ""]]:
    """|gradient|^2 of every part, of the total variance of its estimate."""
    found = moments(draw, target, keys, loops=not written_out(plan))
    return {
        f"fg/snr/{part}": inner(own, own) / jnp.maximum(found[part].variance, 1e-30)
        for part, own in target.items()
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

    The batch is cut into equal parts, whose estimates have the estimate of the batch as their mean:
    an example has in its part the noise that it has in the batch.

    Args:
        plan: the plan.
        params: of the whole network.
        feedback: backward weights as drawn.
        rows: of the step.
        target: the exact gradient of every part of the network.
        keys: of draws of the guess, over which is averaged; one where none is drawn.
    """
    spec, how = plan.experiment, plan.perturbation
    count, parts = spec.diagnostics.noise_scale or 1, PARTS[spec.diagnostics.by]
    size = spec.data.batch_size // count
    data = spec.data.model_copy(update={"batch_size": size})
    smaller = replace(plan, experiment=spec.model_copy(update={"data": data}))
    shared = how is not None and how.sharing == "batch"

    def cut(array: Shaped[Array, "m ..."]) -> Shaped[Array, "count r ..."]:
        """The rows of every part: of each view, every so many-th example."""
        apart = array.reshape(plan.objective.views, size, count, *array.shape[1:])
        return jnp.moveaxis(apart, 2, 0).reshape(count, -1, *array.shape[1:])

    x, labels, loops = cut(rows.x), cut(rows.labels), not written_out(plan)

    def of_draw(_: None, key: KeyData) -> tuple[None, dict[str, Any]]:
        whole = drawn(plan, key, rows.step)

        def estimated(index: Any) -> Any:
            def own(shapes: Mapping[str, tuple[int, ...]], sample: Any) -> dict[str, Any]:
                of_all = {name: (count * n, *shape) for name, (n, *shape) in shapes.items()}
                return {name: cut(noise)[index] for name, noise in whole(of_all, sample).items()}

            of_part = rows._replace(x=x[index], labels=labels[index], key=key)
            noise = whole if shared else own
            return parts(_estimate(smaller, params, feedback, of_part, noise).grads)

        found = moments(estimated, target, jnp.arange(count), loops)
        return None, {name: mean_over_examples(own, size, count) for name, own in found.items()}

    _, by_draw = scanned(of_draw, None, keys, loops)
    found = jax.tree.map(lambda each: each.mean(0), by_draw)
    every = jax.tree.map(lambda *each: sum(each, jnp.zeros(())), *found.values())
    measured = {}
    for part, (variance, squared) in {"": every, **found}.items():
        below = f"/{part}" if part else ""
        positive = squared > 0
        scale = jnp.where(positive, variance / jnp.where(positive, squared, 1), jnp.nan)
        measured[f"fg/noise_scale{below}"] = scale
        measured[f"fg/example_variance{below}"] = variance
        measured[f"fg/squared_norm{below}"] = squared
    return measured


class ExampleMoments(NamedTuple):
    """Of the estimate from a single example.

    Attributes:
        variance: of all numbers together, the trace of their covariance.
        squared: the squared norm of the mean.
    """

    variance: Float[Array, ""]
    squared: Float[Array, ""]


def mean_over_examples(found: Moments, size: int, count: int) -> ExampleMoments:
    """Unbiased moments of one example's estimate, from those of parts of a batch.

    Args:
        found: of the estimates from the parts, each the mean over its examples.
        size: examples of a part.
        count: parts.
    """
    squared = inner(found.mean, found.mean) - found.variance / count
    return ExampleMoments(variance=size * found.variance, squared=squared)


def _alignment(plan: Plan, params: Params, feedback: Params) -> dict[str, Float[Array, ""]]:
    """Cosine of the backward with the forward weights of every layer."""
    forward = flatten(params["blocks"])
    backward = flatten(plan.estimator.seen_backward(feedback, params).get("blocks", {}))
    if any(path not in forward or b.shape != forward[path].shape for path, b in backward.items()):
        return {}  # they stand for no forward weight
    return {
        f"fg/alignment/{path.removesuffix('/w')}": _cosine(b.reshape(-1), forward[path].reshape(-1))
        for path, b in backward.items()
    }


def _head_accuracy(
    plan: Plan, params: Params, features: Mapping[str, Features], labels: Int[Array, " n"]
) -> dict[str, Float[Array, ""]]:
    """The share of the batch that every local head classifies rightly."""
    measured = {}
    objective = plan.objective
    for site in plan.headed_sites() if "accuracy" in objective.reports else ():
        readout = plan.readout(site)
        own, entering = readout_of(params, plan.place(site)), readout.entering(features[site.block])
        right = objective.metrics(readout.outputs(own, entering)[0], labels)["accuracy"]
        measured[f"local_accuracy/{site.name}"] = right.astype(jnp.float32).mean()
    return measured
