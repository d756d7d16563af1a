"""Plan -> Program: the pure functions that a run calls, such as the jitted update."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from functools import cached_property, partial
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import optax
from jaxtyping import Array, Float

from compiler.named_arrays.random_streams import key_data
from compiler.network.running import moved
from compiler.optimizers.make import learning_rate
from compiler.plan.loops import looped, written_out
from compiler.plan.plan import Plan
from compiler.plan.sharding import everywhere, placed, shardings, traced_on
from compiler.update.diagnose import diagnosed
from compiler.update.examine import Seen, are_finite, examined, not_finite
from compiler.update.forward_passes import (
    answer_targets,
    answered,
    classifier_gradient,
    clean_features,
    evaluated,
    features_after,
    outputs,
)
from compiler.update.learn import (
    Collecting,
    Keep,
    Learned,
    Rows,
    Stepping,
    keep_all,
    learn,
    rows_of,
)
from compiler.update.pipeline import pipelined
from compiler.update.state import (
    State,
    by_name,
    clipped,
    optimizer_of,
    start,
    unstacked_gradient,
    updated,
)
from fgspec.errors import UserError

Params = Mapping[str, Any]
Batch = Mapping[str, Array]
Records = Mapping[str, Array]
GivenRecords = Mapping[str, Array | np.ndarray]
Perturbations = Mapping[str, Float[Array, "..."]]
Metrics = dict[str, Array]
Given = Callable[[], Mapping[str, Any]]
"""Returns initial parameters that are read instead of drawn, by path (`blocks/block0/w`)."""


class Program:
    """The pure functions of one plan; each is compiled at its first call.

    A batch has `image` [n, h, w, colours], integers in 0..255 or floats in [0, 1], and `label`:
    classes [n], int32; vectors [n, k], float32; or labels of 0 and 1 [n, k], int32. It may also
    have `views` [m, h, w, colours], floats in [0, 1]: augmented images for the blocks to train on,
    with example i of n in rows i, n + i, and so on.

    `compiler.compile.compile_plan` makes a program.

    Attributes:
        plan: the plan.
        given: returns the initial parameters that are read instead of drawn.
        init: seed -> `State`; jitted.
        update: (State, batch) -> (State, metrics); jitted, donates the state's buffers.
        updates: (State, records, whole=None) -> (State, metrics); jitted, donates the state's
            buffers. Records are batches whose arrays have a leading axis of k updates, or `index`
            [k, n], the indices of examples in the training set `whole`. Metrics have a leading
            axis of updates, too.
        evaluate: (State, batch) -> sums over the batch: `loss`, the objective's metrics, `count`;
            jitted.
        answered: (State, batch) -> the result of `evaluate`, and the outputs [n, k] of the
            classifier; jitted.
        outputs: (State, images) -> the outputs [n, k] of the classifier; jitted.
        features: (State, images, block=NAME) -> the features [n, p, g, c] after the block; jitted.
        diagnose: (State, batch) -> measures of this step's gradient estimate; jitted.
        by_host: whether the host chooses a program for every update, see `at`; false where one
            program has conditionals.
        learning_rate: step -> the learning rate of the update after so many, before factors of
            parts.
    """

    def __init__(self, plan: Plan, stages: tuple[range, ...] = (), given: Given = dict) -> None:
        self.plan = plan
        self.given = given
        self._stages = stages
        self._optimizer = optimizer_of(plan)
        replicated = everywhere(plan)  # for what hosts read: there may be several hosts
        state_shardings = replicated and shardings(self.abstract())
        self._begin = self._jit(
            "init", partial(start, plan, self._optimizer), out_shardings=state_shardings
        )
        donating = partial(
            self._jit,
            donate_argnums=0,
            out_shardings=state_shardings and (state_shardings, replicated),
        )
        reading = partial(self._jit, out_shardings=replicated)
        self._fixed: dict[tuple[int, bool], Program] = {}
        self.by_host = (
            plan.chooses
            and plan.fixed is None
            and written_out(plan)
            and plan.experiment.mesh.stage == 1  # stages are at different updates at one time
        )
        self.update: Any = donating("update", self._update)
        self.updates: Any = donating("updates", self._updates)
        if self.by_host:
            self.update = _ByHost(self, "update", self.update)
            self.updates = _ByHost(self, "updates", self.updates)
        self.evaluate: Any = reading("evaluate", partial(evaluated, plan))
        self.answered: Any = reading("answered", partial(answered, plan))
        self.outputs: Any = reading("outputs", partial(outputs, plan))
        self.features: Any = reading(
            "features", partial(features_after, plan), static_argnames="block"
        )
        self.diagnose: Any = reading("diagnose", self._diagnose)
        if plan.phases:
            phased = [Program(phase) for _, phase in plan.phases]
            self.diagnose = partial(_diagnosed_in_phase, plan, phased)
        self._finite: Any = reading("finite", partial(are_finite, plan))
        self._gradient: Any = self._jit("gradient", self._gradient_of_step)
        self.learning_rate = partial(
            learning_rate, plan.experiment.optimizer, plan.steps, plan.steps_per_epoch
        )

    def _jit(self, name: str, function: Callable[..., Any], **options: Any) -> Any:
        traced: Any = traced_on(self.plan, function)
        traced.__name__ = name  # profiles and files of the compilation cache have this name
        return jax.jit(traced, **options)

    def init(self, seed: int) -> State:
        """The state before the first step."""
        return self._begin(key_data(seed), dict(self.given()))

    def at(self, step: int) -> "Program":
        """The program of the update after so many: this one, unless the host has to choose."""
        if not self.by_host:
            return self
        choice = self.plan.choice(step)
        if choice not in self._fixed:
            self._fixed[choice] = Program(replace(self.plan, fixed=choice), given=self.given)
        return self._fixed[choice]

    def abstract(self) -> State:
        """The state's shapes, each with its sharding on the plan's mesh."""
        begin = partial(start, self.plan, self._optimizer)
        return placed(self.plan, jax.eval_shape(begin, key_data(0)))

    def not_finite(self, state: State) -> list[str]:
        """The names of the state's arrays with a NaN or an infinity, in the network's order."""
        finite = np.asarray(self._finite(state))
        return [] if finite.all() else not_finite(self.plan, state, finite)

    def examined(self, state: State, batch: Batch) -> list[Seen]:
        """Activations, losses, gradients and updates of one step, to find what is not finite."""
        return examined(self.plan, state, batch, self.gradient, self.update)

    def gradient(
        self,
        state: State,
        batch: Batch,
        perturbations: Perturbations | None = None,
        *,
        float64: bool = False,
    ) -> tuple[Params, Metrics]:
        """The gradient that `update` would use, by block, and the metrics of the step.

        The computation is that of `update`, before clipping and the optimizer.

        Args:
            state: the state before the step.
            batch: a batch, see the class.
            perturbations: perturbations to use instead of random ones, with the names and shapes
                of `perturbations()`.
            float64: whether to compute in float64, from the state's float32 parameters.

        Raises:
            UserError: the perturbations have other names or shapes.
        """
        if perturbations is not None:
            self._refuse_other(perturbations)
        if not float64:
            program = self.at(int(state.step)) if self.by_host else self
            return program._gradient(state, batch, perturbations)
        # With x64 JAX makes int64 numbers, which meet the int32 ones of the state.
        with jax.enable_x64(True), jax.numpy_dtype_promotion("standard"):
            wide = partial(jax.tree.map, _wide)
            wide_batch = {name: _unit_interval(name, array) for name, array in batch.items()}
            program = self._wide.at(int(state.step)) if self.by_host else self._wide
            return program._gradient(wide(state), wide(wide_batch), wide(perturbations))

    @cached_property
    def _wide(self) -> "Program":
        """The program that computes in float64."""
        spec = self.plan.experiment
        compile = spec.compile.model_copy(update={"precision": "float64"})
        experiment = spec.model_copy(update={"compile": compile})
        return Program(replace(self.plan, experiment=experiment))

    @cached_property
    def _perturbed(self) -> dict[str, jax.ShapeDtypeStruct]:
        """The shapes of a step's perturbations, recorded in a trace of one step."""
        shapes_asked: dict[str, tuple[int, ...]] = {}
        plan, perturbation = self.plan, self.plan.perturbation
        drawn = perturbation is not None and not perturbation.guess.made
        samples = perturbation.samples if perturbation is not None and drawn else 1

        class Recording(Rows):
            """Rows whose noise is zero, and that record which noise was asked for."""

            def noise(self, plan: Plan) -> Any:
                def zeros(shapes: Mapping[str, tuple[int, ...]], sample: Any) -> dict[str, Any]:
                    shapes_asked.update(shapes)
                    return {name: jnp.zeros(shape) for name, shape in shapes.items()}

                return zeros

        def step(state: State, batch: Batch) -> Any:
            rows = Recording(*rows_of(plan, state, batch))
            return learn(plan, state, rows, Collecting(state)).grads

        unrolled = Program(replace(plan, stacks=()))
        plan = unrolled.plan
        batch = plan.images(plan.experiment.data.batch_size)
        jax.eval_shape(traced_on(plan, step), unrolled.abstract(), batch)
        return {
            name: jax.ShapeDtypeStruct((samples, *shape), jnp.float32)
            for name, shape in shapes_asked.items()
        }

    def perturbations(self) -> dict[str, jax.ShapeDtypeStruct]:
        """The names and shapes of a step's perturbations, samples first; may be empty.

        Empty if the spec has phases, whose perturbations differ.
        """
        return {} if self.plan.phases else dict(self._perturbed)

    def _refuse_other(self, perturbations: Perturbations) -> None:
        if self.plan.phases:
            raise UserError(
                "gradient: perturbations: cannot be given to a spec with phases, whose "
                "perturbations differ; take a spec without phases"
            )
        shapes_known = self.perturbations()
        for name in perturbations.keys() - shapes_known.keys():
            listed = ", ".join(shapes_known) or "none"
            raise UserError(
                f"gradient: perturbations: {name}: nothing of this name; known: {listed}"
            )
        for name, spec in shapes_known.items():
            if name not in perturbations:
                raise UserError(f"gradient: perturbations: {name} is missing; give {spec.shape}")
            if tuple(perturbations[name].shape) != spec.shape:
                raise UserError(
                    f"gradient: perturbations: {name} has the shape "
                    f"{tuple(perturbations[name].shape)}; must be {spec.shape}, samples first"
                )

    def _gradient_of_step(
        self, state: State, batch: Batch, perturbations: Perturbations | None
    ) -> tuple[Params, Metrics]:
        learned = self.learned(state, batch, Collecting(state), perturbations)
        return unstacked_gradient(self.plan, learned.grads, learned.stacks), learned.metrics

    def learned(
        self, state: State, batch: Batch, keep: Keep, perturbations: Perturbations | None = None
    ) -> Learned:
        """The gradients of all parameters at a step, with the classifier's, and its metrics."""
        plan = self.plan
        rows = rows_of(plan, state, batch, perturbations)
        learned = learn(plan, state, rows, keep)
        features, wanted = learned.output, rows.targets.final
        if plan.reads_clean:
            # One more pass, normalized with running statistics, so that the classifier trains on
            # the features that it sees in evaluation.
            features = clean_features(plan, state, batch["image"])
            wanted = answer_targets(plan, batch)
        classifier_grads, metrics, traces = classifier_gradient(
            plan, state.params, features, wanted
        )
        return learned._replace(
            grads={**learned.grads, **classifier_grads},
            squares=learned.squares + optax.tree.norm(classifier_grads, squared=True),
            metrics={**learned.metrics, **metrics},
            layers={**learned.layers, **traces},
        )

    def _update(self, state: State, batch: Batch) -> tuple[State, Metrics]:
        if self.plan.experiment.mesh.stage > 1:
            records = {name: array[None] for name, array in batch.items()}
            new, metrics = self._updates(state, records)
            return new, {name: array[0] for name, array in metrics.items()}
        plan, learned = self.plan, self._clipped(state, batch)
        params, moments = updated(plan, self._optimizer, state, learned.grads, learned.stacks)
        new = state._replace(
            step=state.step + 1,
            params=params,
            optimizer=moments,
            statistics=moved(state.statistics, learned.layers),
            feedback=state.feedback if learned.feedback is None else learned.feedback,
        )
        return new, {**learned.metrics, "optim/grad_norm": jnp.sqrt(learned.squares)}

    def _clipped(self, state: State, batch: Batch) -> Learned:
        """The gradients at a step after clipping; stacks have made their steps already."""
        plan, keep = self.plan, Stepping(self._optimizer, state)
        if not plan.experiment.optimizer.clip.whole:
            return self.learned(state, batch, keep)
        learned = self.learned(state, batch, Collecting(state))
        grads, stacks = clipped(plan, (learned.grads, learned.stacks))
        return learned._replace(grads=grads, stacks=keep_all(plan, keep, stacks))

    def _updates(self, state: State, records: Records, whole: Batch | None = None) -> Any:
        if self.plan.experiment.mesh.stage > 1:
            return pipelined(
                self.plan, self._optimizer, state, records, whole, _picked, self._stages
            )

        def update(state: State, record: Records) -> tuple[State, Metrics]:
            return self._update(state, _picked(record, whole))

        # Calls of two or more updates have the same bits. A single update is compiled without a
        # loop and may round differently.
        return looped(self.plan, update, state, records)

    def _diagnose(self, state: State, batch: Batch) -> Metrics:
        plan = self.plan
        named, rows = by_name(plan, state), rows_of(plan, state, batch)
        return diagnosed(plan, named.params, named.feedback, rows)


class _ByHost(NamedTuple):
    """An update whose program the host chooses, by the number of updates done.

    Attributes:
        program: chooses.
        name: the function's, `update` or `updates`.
        whole: the same with conditionals in it, which is only traced.
    """

    program: Program
    name: str
    whole: Any

    def __call__(self, state: State, records: GivenRecords, *more: Any) -> tuple[State, Metrics]:
        """One update, or several one by one."""
        if self.name == "update":
            return self.program.at(int(state.step)).update(state, records)
        return one_by_one(
            lambda state, record: self.program.at(int(state.step)).updates(state, record, *more),
            state,
            records,
        )

    def trace(self, *args: Any) -> Any:
        """The trace of all that is chosen between."""
        return self.whole.trace(*args)

    def lower(self, *args: Any) -> Any:
        """The first update of a run, lowered."""
        return getattr(self.program.at(0), self.name).lower(*args)


def one_by_one(
    update: Callable[[State, Any], tuple[State, Metrics]], state: State, records: GivenRecords
) -> tuple[State, Metrics]:
    """Several updates by calls of one each; metrics have a leading axis of updates."""
    metrics: list[Metrics] = []
    for index in range(len(jax.tree.leaves(records)[0])):
        record = jax.tree.map(lambda array, index=index: array[index : index + 1], records)
        state, of_update = update(state, record)
        metrics.append(of_update)
    return state, jax.tree.map(lambda *values: jnp.concatenate(values), *metrics)


def _diagnosed_in_phase(
    plan: Plan, programs: Sequence[Program], state: State, batch: Batch
) -> Metrics:
    """Measures of the estimate of the phase that a state is in."""
    phase = plan.choice(int(state.step))[0]
    own = programs[phase]
    return own.diagnose(state._replace(feedback=state.feedback.get(own.plan.slot, {})), batch)


def _picked(record: Records, whole: Batch | None) -> Batch:
    """The batch: the record itself, or the examples of the training set that it names."""
    if whole is None:
        return record
    return {name: array[record["index"]] for name, array in whole.items()}


def _unit_interval(name: str, array: Any) -> Any:
    """Integer images as float64 in [0, 1]; other arrays unchanged."""
    integers = name == "image" and jnp.issubdtype(array.dtype, jnp.integer)
    return jnp.asarray(array, jnp.float64) / 255 if integers else array


def _wide(leaf: Any) -> Any:
    """A floating-point array as float64; other arrays unchanged."""
    array = jnp.asarray(leaf)
    return array.astype(jnp.float64) if jnp.issubdtype(array.dtype, jnp.floating) else array
