"""Plan -> Program: the pure functions of a run, and the one jitted update."""

from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import optax
from jaxtyping import Array, Float, Int, Shaped, UInt32

from compiler.augment.recipes import augmented
from compiler.diagnose import diagnosed
from compiler.estimate import Clock, drawn, estimate, given, make_context
from compiler.gradient.segment import Site
from compiler.losses.objectives import cross_entropy
from compiler.losses.sites import site_losses
from compiler.network.initialize import SCHEMES, initialize
from compiler.network.layers import LayerTrace
from compiler.network.network import forward, in_unit_interval, patchify, standardizer
from compiler.network.running import CLASSIFIER, Running, initial, moved, of_classifier
from compiler.noise import KeyData, key_data
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
        feedback: backward weights, fixed or learned; empty unless the estimator has them.
        statistics: running moments of batch normalizations; empty where there are none.
        key: raw threefry key of the run; it never changes.
    """

    step: Int[Array, ""]
    params: Params
    optimizer: Any
    feedback: Params
    statistics: Running
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
        diagnose: (State, batch) -> what the estimate of this step is worth; jitted.
    """

    plan: Plan
    init: Callable[[int], State]
    update: Any
    gradient: Callable[..., tuple[Params, Metrics]]
    evaluate: Callable[[State, Batch], Metrics]
    diagnose: Callable[[State, Batch], Metrics]


def compile_plan(plan: Plan) -> Program:
    """Make the program of a plan; nothing is compiled before its first call.

    The batch is `image` [n, h, w, colours], integers in 0..255 or floats in [0, 1], and `label`
    int32 [n].
    """
    optimizer = make_optimizer(plan.experiment.optimizer, plan.steps, plan.steps_per_epoch)
    precise = jax.default_matmul_precision("highest")

    def start(key: KeyData) -> State:
        scheme = SCHEMES[plan.network.initialization]
        params = initialize(plan.parameters(), key, scheme)
        feedback = initialize(plan.feedback(), key, scheme._replace(classifier=True), "feedback")
        statistics = initial(plan.network)
        step = jnp.zeros((), jnp.int32)
        return State(step, params, optimizer.init(params), feedback, statistics, key)

    @precise
    def gradient(
        state: State, batch: Batch, perturbations: Perturbations | None = None
    ) -> tuple[Params, Metrics]:
        return _gradient(plan, state, batch, perturbations)[:2]

    @precise
    def update(state: State, batch: Batch) -> tuple[State, Metrics]:
        grads, metrics, changed = _gradient(plan, state, batch, None)
        metrics["optim/grad_norm"] = optax.tree.norm(grads)
        with jax.named_scope("optimizer"):
            with jax.numpy_dtype_promotion("standard"):  # optax mixes step counts with floats
                steps, moments = optimizer.update(grads, state.optimizer, state.params)
            params: Any = optax.apply_updates(state.params, steps)
        moved_on = state._replace(step=state.step + 1, params=params, optimizer=moments)
        return moved_on._replace(**changed), metrics

    @precise
    def evaluate(state: State, batch: Batch) -> Metrics:
        return _evaluate(plan, state, batch)

    @precise
    def diagnose(state: State, batch: Batch) -> Metrics:
        labels = jnp.tile(batch["label"], plan.objective.views)
        rows = (_views(plan, state, batch["image"]), labels)
        return diagnosed(plan, state.params, state.feedback, rows, (state.key, state.step))

    started = jax.jit(start)  # one compilation instead of one for every shape

    def init(seed: int) -> State:
        return started(key_data(seed))

    donating = jax.jit(update, donate_argnums=0)
    return Program(plan, init, donating, jax.jit(gradient), jax.jit(evaluate), jax.jit(diagnose))


def _evaluate(plan: Plan, state: State, batch: Batch) -> Metrics:
    output = _frozen(plan, state, batch["image"])
    moments = of_classifier(state.statistics) if state.statistics else None
    read = plan.network.classifier.outputs
    logits, _ = read(state.params["classifier"], output, known=moments)
    loss = cross_entropy(logits, batch["label"])
    correct = (logits.argmax(-1) == batch["label"]).sum()
    count = jnp.asarray(loss.shape[0], jnp.int32)
    return {"loss": loss.sum(), "correct": correct, "count": count}


def _stem(plan: Plan, image: Shaped[Array, "n h w c"]) -> Float[Array, "n p 1 f"]:
    data = plan.data
    raw = ((0.0,) * len(data.mean), (1.0,) * len(data.std))
    mean, std = (data.mean, data.std) if plan.experiment.data.standardize else raw
    return patchify(standardizer(mean, std)(image), plan.network.grid)


@jax.named_scope("views")
def _views(plan: Plan, state: State, image: Shaped[Array, "n h w c"]) -> Float[Array, "m p 1 f"]:
    """What the blocks train on: every view of every example, augmented."""
    augment = plan.experiment.data.augment
    count = plan.objective.views
    views = augmented(augment, count, in_unit_interval(image), state.key, state.step)
    return _stem(plan, views)


def _gradient(
    plan: Plan, state: State, batch: Batch, perturbations: Perturbations | None
) -> tuple[Params, Metrics, dict[str, Any]]:
    """The gradient, the metrics, and what else of the state is of the next step."""
    params, objective = state.params, plan.objective
    labels = jnp.tile(batch["label"], objective.views)
    noise = drawn(plan, state.key, state.step) if perturbations is None else given(perturbations)
    clock = Clock(state.key, state.step, noise)
    context = make_context(plan, params, state.feedback, labels, clock)
    found = estimate(plan, params, _views(plan, state, batch["image"]), context)
    trace = jax.lax.stop_gradient(found.trace)
    clean = trace.output if objective.classifies else _frozen(plan, state, batch["image"])
    readouts, metrics, read = _readout_gradient(plan, params, trace.features, labels, clean)
    statistics = moved(state.statistics, {**trace.layers, **read})
    feedback = state.feedback if found.feedback is None else {"blocks": found.feedback}
    changed = {"statistics": statistics, "feedback": feedback}
    return {"blocks": found.grads, **readouts}, metrics, changed


def _frozen(plan: Plan, state: State, image: Shaped[Array, "n h w k"]) -> Float[Array, "n p g c"]:
    """What the blocks make of clean images in evaluation."""
    known = state.statistics or None
    x = _stem(plan, image)
    return forward(plan.network.blocks, state.params["blocks"], x, known=known).output


@jax.named_scope("readouts")
def _readout_gradient(
    plan: Plan,
    params: Params,
    features: Mapping[str, Array],
    labels: Int[Array, " m"],
    clean: Float[Array, "n p g c"],
) -> tuple[Params, Metrics, dict[str, LayerTrace]]:
    """The exact gradient of every head and of the classifier, the metrics, the classifier's trace.

    A head's is that of the mean loss over the rows, whatever the replication.

    Args:
        plan: the plan.
        params: of the whole network.
        features: after every block, of all m rows of the batch.
        labels: of the rows, one view after the other.
        clean: features that the classifier reads, of n examples.
    """
    readouts = {name: params[name] for name in ("heads", "classifier") if name in params}

    def objective(readouts: Params) -> tuple[Float[Array, ""], tuple[Metrics, Any]]:
        losses = site_losses(plan, readouts, {}, labels)
        metrics: Metrics = {}
        for site in plan.headed_sites():
            plain = Site(site.name, site.block)
            name = "train/objective" if site.name == "final" else f"local_loss/{site.name}"
            metrics[name] = losses(plain, features[site.block]).mean()
        logits, traces = plan.network.classifier.outputs(readouts["classifier"], clean)
        wanted = labels[: clean.shape[0]]
        final = cross_entropy(logits, wanted).mean()
        correct = (logits.argmax(-1) == wanted).astype(jnp.float32)
        total = sum(metrics.values(), final)
        metrics |= {"train/loss": final, "train/accuracy": correct.mean()}
        return total, (metrics, {f"{CLASSIFIER}/{name}": t for name, t in traces.items()})

    grads, (metrics, traces) = jax.grad(objective, has_aux=True)(readouts)
    return grads, metrics, traces
