"""Plan -> Program: the pure functions of a run, and the one jitted update."""

from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import optax
from jaxtyping import Array, Float, Int, UInt32

from compiler.gradient.exact import exact
from compiler.gradient.forward import forward_gradient
from compiler.gradient.segment import Estimate, Losses, Noise, Segment, Site
from compiler.losses.objectives import OBJECTIVES
from compiler.losses.replicated import LOWERINGS
from compiler.network.initialize import SCALES, initialize
from compiler.network.network import forward, patchify, pooled, standardizer
from compiler.noise import GUESSES, address, key_data
from compiler.optimizer import make_optimizer
from compiler.plan import Plan

Params = Mapping[str, Any]
Batch = Mapping[str, Array]
Perturbations = Mapping[str, Float[Array, "..."]]
Metrics = dict[str, Array]


class State(NamedTuple):
    """All that changes from step to step.

    Attributes:
        step: updates done, int32 [].
        params: float32 arrays under blocks, heads and classifier.
        optimizer: state of the optax transformation.
        key: raw threefry key of the run; it never changes.
    """

    step: Int[Array, ""]
    params: Params
    optimizer: Any
    key: UInt32[Array, "2"]


class Program(NamedTuple):
    """The pure functions of one plan.

    Attributes:
        plan: what they were made from.
        init: seed -> State.
        update: (State, batch) -> (State, metrics); jitted, the state's buffers are donated.
        gradient: (State, batch, perturbations=None) -> (gradient, metrics); jitted. The gradient
            has the structure of `State.params` and no learning-rate factor. `perturbations`, by
            the names the plan prints, each with a leading axis of samples, replace the noise.
        evaluate: (State, batch) -> sums over the batch: `loss`, `correct`, `count`; jitted.
    """

    plan: Plan
    init: Callable[[int], State]
    update: Any
    gradient: Callable[..., tuple[Params, Metrics]]
    evaluate: Callable[[State, Batch], Metrics]


def compile_plan(plan: Plan) -> Program:
    """Make the program of a plan; nothing is compiled before its first call.

    The batch is `image` [n, h, w, colours], integers in 0..255 or floats in [0, 1], and `label`
    int32 [n].
    """
    optimizer = make_optimizer(plan.experiment.optimizer, plan.steps, plan.steps_per_epoch)
    precise = jax.default_matmul_precision("highest")

    def init(seed: int) -> State:
        key = key_data(seed)
        scale = SCALES[plan.network.initialization]
        params = initialize(plan.parameters(), key, scale)
        return State(jnp.zeros((), jnp.int32), params, optimizer.init(params), key)

    @precise
    def gradient(
        state: State, batch: Batch, perturbations: Perturbations | None = None
    ) -> tuple[Params, Metrics]:
        return _gradient(plan, state, batch, perturbations)

    @precise
    def update(state: State, batch: Batch) -> tuple[State, Metrics]:
        grads, metrics = _gradient(plan, state, batch, None)
        metrics["optim/grad_norm"] = optax.tree.norm(grads)
        with jax.numpy_dtype_promotion("standard"):  # optax mixes step counts with floats
            steps, moments = optimizer.update(grads, state.optimizer, state.params)
        params: Any = optax.apply_updates(state.params, steps)
        return State(state.step + 1, params, moments, state.key), metrics

    @precise
    def evaluate(state: State, batch: Batch) -> Metrics:
        x = _stem(plan, batch)
        output = forward(plan.network.blocks, state.params["blocks"], x).output
        logits = _classify(plan, state.params, output)
        loss = OBJECTIVES[plan.experiment.losses.objective.type](logits, batch["label"])
        correct = (logits.argmax(-1) == batch["label"]).sum()
        count = jnp.asarray(loss.shape[0], jnp.int32)
        return {"loss": loss.sum(), "correct": correct, "count": count}

    return Program(
        plan, init, jax.jit(update, donate_argnums=0), jax.jit(gradient), jax.jit(evaluate)
    )


def _stem(plan: Plan, batch: Batch) -> Float[Array, "n p 1 f"]:
    data = plan.data
    raw = ((0.0,) * len(data.mean), (1.0,) * len(data.std))
    mean, std = (data.mean, data.std) if plan.experiment.data.standardize else raw
    return patchify(standardizer(mean, std)(batch["image"]), plan.network.patches)


def _linear(readout: Params, features: Float[Array, "n f"]) -> Float[Array, "n k"]:
    return features @ readout["w"] + readout["b"][None]


def _classify(plan: Plan, params: Params, output: Array) -> Float[Array, "n k"]:
    return _linear(params["classifier"], pooled(output, plan.network.classifier_norm))


def _readout_of(params: Params, site: Site) -> Params:
    return params["classifier"] if site.name == "final" else params["heads"][site.name]


def _losses(plan: Plan, params: Params, labels: Int[Array, " n"]) -> Losses:
    """The copies of a site's loss from the features after its block."""
    objective = OBJECTIVES[plan.experiment.losses.objective.type]
    lowering = plan.experiment.compile.losses

    def value(readout: Params, features: Float[Array, "n f"]) -> Float[Array, " n"]:
        return objective(_linear(readout, features), labels)

    def copies(site: Site, x: Float[Array, "n p g c"]) -> Float[Array, "..."]:
        readout = _readout_of(params, site)
        if site.name == "final":
            return value(readout, pooled(x, plan.network.classifier_norm))
        normed = plan.network.head_norm(x) if plan.network.head_norm is not None else x
        replicate = LOWERINGS["fused" if lowering == "auto" else lowering]
        return replicate(value, site.axes)(readout, normed)

    return copies


def _noise(plan: Plan, state: State, perturbations: Perturbations | None) -> Noise:
    perturbation = plan.experiment.gradient.perturbation

    def drawn(name: str, shape: tuple[int, ...], sample: Any) -> Float[Array, "..."]:
        assert perturbation is not None
        key = address(state.key, f"perturbation/{name}", state.step, sample)
        return GUESSES[perturbation.guess.type](key, shape)

    def given(name: str, shape: tuple[int, ...], sample: Any) -> Float[Array, "..."]:
        assert perturbations is not None
        return perturbations[name][sample].reshape(shape)

    return drawn if perturbations is None else given


def _gradient(
    plan: Plan, state: State, batch: Batch, perturbations: Perturbations | None
) -> tuple[Params, Metrics]:
    params, labels = state.params, batch["label"]
    noise = _noise(plan, state, perturbations)
    x = _stem(plan, batch)
    blocks: dict[str, Any] = {}
    features: dict[str, Array] = {}
    for segment in plan.segments:
        estimate = estimate_segment(plan, segment, params, x, labels, noise)
        blocks |= estimate.grads
        stopped = jax.lax.stop_gradient(estimate.trace)
        features |= stopped.features
        x = stopped.output
    readouts, metrics = _readout_gradient(plan, params, features, labels)
    return {"blocks": blocks, **readouts}, metrics


def estimate_segment(
    plan: Plan,
    segment: Segment,
    params: Params,
    x: Float[Array, "n p g c"],
    labels: Int[Array, " n"],
    noise: Noise,
) -> Estimate:
    """The gradient of one segment's blocks by the plan's estimator.

    Args:
        plan: of the whole network.
        segment: one of its segments.
        params: of the whole network.
        x: the segment's input.
        labels: of the examples.
        noise: (name, shape, sample) -> perturbation; not read by an exact estimator.
    """
    own = {block.name: params["blocks"][block.name] for block in segment.blocks}
    losses = _losses(plan, params, labels)
    if plan.perturbing is None:
        return exact(segment, own, x, losses)
    perturbed = (plan.perturbed(segment), noise)
    return forward_gradient(segment, own, x, losses, plan.perturbing, perturbed)


def _readout_gradient(
    plan: Plan, params: Params, features: Mapping[str, Array], labels: Int[Array, " n"]
) -> tuple[Params, Metrics]:
    """The exact one-layer gradient of every head and of the classifier, and the metrics.

    A head's is that of the mean loss, whatever the replication.
    """
    readouts = {name: params[name] for name in ("heads", "classifier") if name in params}

    def objective(readouts: Params) -> tuple[Float[Array, ""], Metrics]:
        losses = _losses(plan, readouts, labels)
        metrics: Metrics = {}
        for site in plan.local_sites():
            plain = Site(site.name, site.block)
            metrics[f"local_loss/{site.name}"] = losses(plain, features[site.block]).mean()
        logits = _classify(plan, readouts, features[plan.network.blocks[-1].name])
        final = OBJECTIVES[plan.experiment.losses.objective.type](logits, labels).mean()
        correct = (logits.argmax(-1) == labels).astype(jnp.float32)
        total = sum(metrics.values(), final)
        return total, {"train/loss": final, "train/accuracy": correct.mean()} | metrics

    grads, metrics = jax.grad(objective, has_aux=True)(readouts)
    return grads, metrics
