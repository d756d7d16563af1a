"""Laws of the parts of a learning rule: objectives, estimators, guesses, targets and others.

Each function takes an instance, or a class whose defaults give one, and checks it in small
networks.
"""

from collections.abc import Iterator, Mapping
from dataclasses import replace
from functools import lru_cache, partial
from math import prod
from typing import Any, cast

import jax
import jax.numpy as jnp
import numpy as np

from compiler.compile import compile_plan
from compiler.estimators.projections import Group
from compiler.named_arrays.paths import flatten, unflatten
from compiler.named_arrays.random_streams import address, key_data
from compiler.network.block import OUTPUT
from compiler.network.network import forward, layers_in
from compiler.network.running import initial
from compiler.objectives.replicated import fused, naive
from compiler.plan.plan import KEPT, Plan, make_plan
from compiler.plan.stacks import stacked
from compiler.update.forward_passes import answer_targets, as_seen, clean_features, rows, stem
from compiler.update.program import Program
from compiler.update.state import State
from fgspec.check.consistency import check
from fgspec.loading.defaults import complete
from fgspec.loading.field_errors import validate
from fgspec.spec.backward_weights import BackwardWeights
from fgspec.spec.dataset_info import DatasetInfo, LabelKind
from fgspec.spec.estimators import Estimator, Exact
from fgspec.spec.experiment import Experiment
from fgspec.spec.guesses import Guess, Normal
from fgspec.spec.heads import Head
from fgspec.spec.kinds import working
from fgspec.spec.objectives import Objective
from fgspec.spec.predictions import Prediction
from fgspec.spec.projections import Coefficient, Granularity, Grouping, Scale
from fgspec.spec.rules import RULES, Rule
from fgspec.spec.sample_sets import SampleSet
from fgspec.spec.spaces import Space
from fgspec.spec.targets import Target
from fgspec.testing.formulas import evaluated
from fgspec.testing.law import array, law, method_of

INFO = DatasetInfo(
    name="law",
    image_shape=(4, 4, 2),
    classes=3,
    train_examples=64,
    test_examples=16,
    mean=(0.5, 0.5),
    std=(0.25, 0.25),
)
"""The made-up data that laws are checked on."""

MIXER = {
    "type": "local_mixer",
    "blocks": 2,
    "patches": 2,
    "channels": 4,
    "groups": 2,
    "normalization": {"type": "local_layer_norm", "epsilon": 0.1},
}
"""A network with all named axes, whose examples do not affect each other."""

CLOSE = 1e-4
"""The largest difference of equal gradients, relative to the largest number."""

AGAINST = -0.1
"""An estimate whose cosine with its gradient is lower has the wrong sign; noise cannot explain it.
With true backward weights, fgspec's estimators are above 0.6, and below -0.6 with a wrong sign."""


def experiment_of(rule: str, tree: Mapping[str, Any], **methods: Any) -> Experiment:
    """Make a small experiment.

    Args:
        rule: the name of an installed rule; empty for none.
        tree: further fields, as in a spec.
        methods: sections or methods, which need not be registered, by their path with `__` for
            dots, such as `losses__objective`.

    Raises:
        AssertionError: the language refuses the experiment.
    """
    settings = dict(cast(type[Rule], RULES.kind(rule)).settings) if rule else {}
    base: dict[str, Any] = {
        "fgspec": 1,
        "name": "law",
        "data": {"source": {"type": "synthetic"}, "batch_size": 4},
        "architecture": MIXER,
        "training": {"epochs": 2},
    }
    experiment, problems = validate(_over(_over(base, settings), tree))
    assert experiment is not None, f"the language refuses a law's spec: {problems}"
    for path, method in methods.items():
        experiment = _with(experiment, path.split("__"), method)
    sections = {name: getattr(experiment, name) for name in type(experiment).model_fields}
    refused = [f"{'.'.join(map(str, p.path))}: {p.message}" for p in check(sections)]
    assert not refused, f"the language refuses a law's spec: {'; '.join(refused)}"
    return complete(experiment)


def _over(base: Mapping[str, Any], top: Mapping[str, Any]) -> dict[str, Any]:
    merged = dict(base)
    for key, value in top.items():
        old = merged.get(key)
        if isinstance(old, Mapping) and isinstance(value, Mapping) and "type" not in value:
            value = _over(old, value)
        merged[key] = value
    return merged


def _with(section: Any, path: list[str], method: Any) -> Any:
    name, *rest = path
    value = method if not rest else _with(getattr(section, name), rest, method)
    return section.model_copy(update={name: value})


def program_of(experiment: Experiment, info: DatasetInfo = INFO) -> Program:
    """The program of an experiment on made-up data; it is compiled only once."""
    return _program(cast(Any, experiment), info)


@lru_cache(maxsize=32)  # several laws use the same program, and most of their time is compiling
def _program(experiment: Any, info: DatasetInfo) -> Program:
    return compile_plan(make_plan(experiment, info))


def batch_of(program: Program, seed: int = 0) -> dict[str, Any]:
    """Random images and labels."""
    rng, size = np.random.default_rng(seed), program.plan.experiment.data.batch_size
    image = rng.random((size, *program.plan.data.image_shape), np.float32)
    return {"image": array(image), "label": labels_of(program.plan.data, size, rng)}


def state_of(program: Program, seed: int = 0) -> State:
    """A state with random parameters, so that no gradient vanishes.

    Backward weights are random or zero, as their role says.
    """
    plan, rng = program.plan, np.random.default_rng(seed + 1)
    shapes = jax.eval_shape(lambda: program.init(seed))

    def drawn(leaf: Any) -> Any:
        return array(0.3 * rng.standard_normal(leaf.shape), leaf.dtype)

    still = jax.tree.map(lambda leaf: np.zeros(leaf.shape, leaf.dtype), shapes)
    return still._replace(
        params=jax.tree.map(drawn, shapes.params),
        feedback=unflatten(
            {
                path: array((spec.role == "weight") * 0.3 * rng.standard_normal(spec.shape))
                for path, spec in flatten(plan.feedback()).items()
            }
        ),
        statistics=initial(plan.network),
        key=key_data(seed),
    )


def distance(a: Any, b: Any) -> float:
    """The largest difference of two trees, relative to the largest number of the second."""
    # NumPy is used, because JAX would compile even a maximum for every shape.
    pairs = list(zip(_arrays(a), _arrays(b), strict=True))
    # Unlike max(), np.max is NaN if any number is, and NaN fails every comparison.
    gap, largest = (
        np.max([np.abs(part).max() for part in parts])
        for parts in ([x - y for x, y in pairs], [y for _, y in pairs])
    )
    return float(gap / np.maximum(largest, 1e-12))


def _arrays(tree: Any) -> list[Any]:
    return [np.asarray(leaf) for leaf in jax.tree.leaves(tree)]


# -------------------------------------------------------------------------------- objectives


@law
def check_objective(objective: Objective | type[Objective]) -> None:
    """An objective is trained by its own gradient, and evaluated by its own loss and metrics.

    * Exact rules give `jax.grad` of its loss, and forward gradients over a full basis equal it.
    * Fused copies of the loss equal naive ones.
    * Outputs with a low loss have a better main metric than others, and predict the label.

    All this is checked with each kind of label that the objective takes.

    Args:
        objective: an instance, or a class.
    """
    made = method_of(objective)
    assert made.takes, f"{made}: `takes` is empty; name the kinds of labels that it takes"
    for kind in made.takes:
        info = info_of(kind)
        own = working(made.for_labels(kind))
        _check_rows(own, info)
        _check_metrics(own, info)
        _check_formulas(own, info)
        _check_fusion(own, info)
        # Rules do not depend on labels, so other kinds of labels are checked with one rule only,
        # because compiling a program takes seconds.
        first, final = kind == made.takes[0], "lg-bp" if own.local_only else "bp"
        for rule in dict.fromkeys((final, "l-bp", "lg-bp")) if first else ("lg-bp",):
            _check_gradient(own, rule, info)
        _check_evaluation(own, final if first else "lg-bp", info)
    # Which copies are credited does not depend on the labels. Perturbed weights are credited like
    # activations, except for losses that couple rows, because all rows share the noise of weights.
    own, info = working(made.for_labels(made.takes[0])), info_of(made.takes[0])
    for rule in ("lg-fg-a",) if own.coupling() is None else ("lg-fg-a", "lg-fg-w"):
        _check_forward(own, rule, info)


def info_of(kind: LabelKind) -> DatasetInfo:
    """The made-up data, with labels of this kind."""
    if kind == "class":
        return INFO
    return replace(INFO, classes=0, label=kind, numbers=3, label_square=3.0)


def labels_of(info: DatasetInfo, rows: int, rng: np.random.Generator) -> Any:
    """Random labels, in the form that the data have."""
    if info.label == "vector":
        return array(rng.standard_normal((rows, *info.label_shape)))
    return array(rng.integers(0, info.classes or 2, (rows, *info.label_shape)), np.int32)


def _losing(objective: Objective, rule: str, info: DatasetInfo) -> Program:
    """The program of a rule with this objective, which is used locally if it is only for that."""
    # The file is never read, because the program is compiled for `info`.
    source = {"type": "npz", "path": "law.npz", "labels": info.label}
    data: dict[str, Any] = {} if info.label == "class" else {"source": source}
    if objective.views > 1:
        data["augment"] = {"type": "crop_flip", "padding": 1}
    losses: dict[str, Any] = {}
    if objective.reads_grid:
        losses["local"] = {"aggregation": "pooled"}
    if objective.local_only and info.label != "class":
        losses["objective"] = {"type": "reconstruction"}  # takes any labels
    at = "losses__local__objective" if objective.local_only else "losses__objective"
    tree = {"data": data, "losses": losses}
    return program_of(experiment_of(rule, tree, **{at: objective}), info)


def _targets(objective: Objective, info: DatasetInfo, labels: Any) -> Any:
    """The targets for these labels, random images and random features of the last block."""
    rng = np.random.default_rng(5)
    images = rng.standard_normal((len(labels), *info.image_shape))
    wanted = objective.targets(labels, lambda: array(images))
    if not objective.reads_last:
        return wanted
    end = _losing(objective, "lg-bp", info).plan.network.blocks[-1].end
    last = array(rng.standard_normal((len(labels), *end.features)))
    return objective.targets_from_last(wanted, last, end)


def _batch_for(objective: Objective, program: Program) -> dict[str, Any]:
    batch = batch_of(program)
    if objective.views > 1:
        image = np.asarray(batch["image"])
        batch["views"] = array(np.concatenate([image, image[:, ::-1]]))
    return batch


def _shapes(objective: Objective, info: DatasetInfo) -> tuple[tuple[int, ...], ...]:
    """The shapes of a row's outputs, one for each chain of the first local loss's head."""
    plan = _losing(objective, "lg-bp", info).plan
    return plan.readout(plan.units[0][1]).shapes


def _cut(objective: Objective, info: DatasetInfo, flat: Any) -> Any:
    """Outputs in the form that `value` reads, from rows that are flat vectors."""
    shapes = _shapes(objective, info)
    parts = jnp.split(flat, np.cumsum([prod(shape) for shape in shapes])[:-1], axis=-1)
    outputs = [part.reshape(len(flat), *shape) for part, shape in zip(parts, shapes, strict=True)]
    return outputs[0] if len(outputs) == 1 else tuple(outputs)


def _count(objective: Objective, info: DatasetInfo) -> int:
    """How many numbers the outputs of a row have, for all chains together."""
    return sum(map(prod, _shapes(objective, info)))


def _outputs(objective: Objective, info: DatasetInfo, rows: int, seed: int = 0) -> tuple[Any, Any]:
    """Random outputs, with each row as a flat vector, and their targets."""
    rng, k = np.random.default_rng(seed), _count(objective, info)
    labels = labels_of(info, rows, rng)
    return array(rng.standard_normal((rows, k))), _targets(objective, info, labels)


def _check_rows(objective: Objective, info: DatasetInfo) -> None:
    """A row's loss depends only on its own outputs, unless the objective declares otherwise."""
    outputs, labels = _outputs(objective, info, 6)
    value = jax.jit(lambda flat, labels: objective.value(_cut(objective, info, flat), labels))
    values = value(outputs, labels)
    assert values.shape == (6,), (
        f"{objective}: value() returns the shape {values.shape}, must be one number per row, (6,)"
    )
    slopes = jax.jit(jax.jacobian(value))(outputs, labels)
    off = np.abs(slopes).max(-1) * (1 - np.eye(6))
    if objective.coupling() is None:
        assert off.max() == 0, (
            f"{objective}: the loss of a row has a gradient by outputs of other rows; declare it "
            "in coupling(), or apply jax.lax.stop_gradient to them"
        )
    _, other_labels = _outputs(objective, info, 6, seed=9)
    reads_labels = not np.array_equal(value(outputs, other_labels), values)
    assert objective.needs_labels == reads_labels, (
        f"{objective}: its loss {'reads' if reads_labels else 'never reads'} the labels; set "
        f"needs_labels = {reads_labels}"
    )
    few, rest = np.split(np.asarray(outputs), 2)
    moved = array(np.concatenate([few, rest + 1]))
    reads_others = not np.array_equal(value(moved, labels)[:3], values[:3])
    assert objective.compares == reads_others, (
        f"{objective}: the loss of a row {'reads' if reads_others else 'never reads'} the outputs "
        f"of other rows; set compares = {reads_others}"
    )
    if not reads_others:
        fewer = value(array(few), labels[:3])
        gap = np.abs(np.asarray(fewer) - np.asarray(values)[:3]).max()
        assert gap < CLOSE, (
            f"{objective}: the loss of a row changes by {gap:.1e} if the batch has more rows; "
            "value() must not average over the batch, which fgspec does"
        )
    metrics = jax.jit(
        lambda flat, labels: dict(objective.metrics(_cut(objective, info, flat), labels))
    )
    by_name = metrics(outputs, labels)
    names = tuple(by_name)
    assert sorted(names) == sorted(objective.reports), (
        f"{objective}: metrics() returns {names}, but `reports` names {objective.reports}"
    )
    for name, metric in by_name.items():
        assert metric.shape == (6,), f"{objective}: {name} has the shape {metric.shape}, not (6,)"
    if objective.answers:
        assert objective.headline in objective.reports, (
            f"{objective}: metrics() has no {objective.headline}, which is its headline"
        )
        answers = np.asarray(jax.jit(objective.predict)(outputs))
        assert len(answers) == 6, f"{objective}: predict() must return one answer per row"
        integers = answers.shape == (6,) and answers.dtype.kind in "iu"
        assert integers or not objective.classifies, (
            f"{objective}: predict() returns {answers.dtype} {list(answers.shape)}, which are not "
            "classes; return integers [n], or set classifies = False"
        )
    scale = objective.scale(info)
    assert np.isfinite(scale), f"{objective}: scale() is {scale}, must be finite"
    assert scale > 0, f"{objective}: scale() is {scale}, must be > 0"


def _check_metrics(objective: Objective, info: DatasetInfo) -> None:
    """Among many outputs, those with the lowest loss have the best metric and the right answer."""
    if not objective.answers:
        return
    tried, rng = 500, np.random.default_rng(2)
    classes = np.arange(info.classes)
    labels = array(classes, np.int32) if info.label == "class" else labels_of(info, 3, rng)
    wanted = np.asarray(_targets(objective, info, labels))
    # A loss can be smallest at small or at large outputs, so both are tried.
    outputs = rng.standard_normal((tried, objective.outputs(info))) * rng.uniform(0, 5, (tried, 1))
    outputs = array(outputs)
    value, metrics = jax.jit(objective.value), jax.jit(objective.metrics)
    losses = [
        value(outputs, array(np.repeat(target[None], tried, 0), wanted.dtype)) for target in wanted
    ]
    right = array(np.asarray(outputs)[np.argmin(losses, 1)])
    name, less = objective.headline, objective.lower_is_better
    good, bad = (
        np.asarray(metrics(right, array(targets, wanted.dtype))[name], np.float64).mean()
        for targets in (wanted, np.roll(wanted, 1, axis=0))
    )
    assert good < bad if less else good > bad, (
        f"{objective}: its headline {name} is {good:g} on outputs of low loss and {bad:g} on the "
        f"same outputs with wrong labels, but lower_is_better is {less}; see metrics()"
    )
    answers = np.asarray(jax.jit(objective.predict)(right))
    if objective.classifies and info.label == "class":
        assert np.array_equal(answers, classes), (
            f"{objective}: predict() returns {answers.tolist()} for outputs whose loss is lowest "
            f"with the labels {classes.tolist()}"
        )


def _check_formulas(objective: Objective, info: DatasetInfo) -> None:
    """The formulas of an objective, if it has any, evaluate to its value."""
    if not tuple(objective.formulas()):
        return
    flat, targets = _outputs(objective, info, 6, seed=3)
    value = jax.jit(objective.value)
    for size in (1.0, 0.3):  # large numbers alone would not tell a softplus from its limit
        outputs = _cut(objective, info, flat * size)
        expected = np.asarray(value(outputs, targets), np.float64)
        gap = distance(evaluated(objective, outputs, targets), expected)
        assert gap < CLOSE, f"{objective}: the loss of formulas() differs from value() by {gap:.1e}"


def _check_fusion(objective: Objective, info: DatasetInfo) -> None:
    """Fused copies of a replicated loss equal naive copies, for any tangent and cotangent."""
    if objective.coupling() is not None:
        return
    rng = np.random.default_rng(1)
    weight = array(rng.standard_normal((6, _count(objective, info))))
    x = array(rng.standard_normal((4, 2, 3, 2)))
    labels = _outputs(objective, info, 4)[1]

    def value(readout: Any, features: Any) -> Any:
        return objective.value(_cut(objective, info, features @ readout), labels)

    axes = ("patch", "group")
    error, turn = (rng.standard_normal(shape) for shape in ((4, 2, 3), x.shape))

    @jax.jit
    def sides(weight: Any, x: Any, error: Any, turn: Any) -> Any:
        def of(copies: Any) -> Any:
            values, pull = jax.vjp(copies, weight, x)
            still = jnp.zeros_like(weight)
            return values, pull(error)[1], jax.jvp(copies, (weight, x), (still, turn))[1]

        return of(fused(value, axes)), of(naive(value, axes))

    ours, theirs = sides(weight, x, array(error), array(turn))
    for what, fast, expected in zip(("values", "gradients", "tangents"), ours, theirs, strict=True):
        gap = distance(fast, expected)
        assert gap < CLOSE, (
            f"{objective}: {what} of fused copies differ from those of naive copies by {gap:.1e}"
        )


def _check_gradient(objective: Objective, rule: str, info: DatasetInfo) -> None:
    program = _losing(objective, rule, info)
    state, batch = state_of(program), _batch_for(objective, program)
    gradient, _ = program.gradient(state, batch)
    expected = jax.jit(partial(_by_hand, program.plan))(state, batch)
    for section, own in expected.items():
        gap = distance(gradient[section], own)
        assert gap < CLOSE, (
            f"{objective}: under {rule} the gradient of {section} differs from jax.grad of its own "
            f"loss by {gap:.1e}"
        )


def _check_forward(objective: Objective, rule: str, info: DatasetInfo) -> None:
    """The mean of forward gradients is the exact gradient, for replicated losses.

    If losses couple rows, the noise of each row is credited with the losses of all rows.
    """
    program = _losing(objective, rule, info)
    state, batch = state_of(program), _batch_for(objective, program)
    mean, exact = _mean_over_basis(program, state, batch), _exact(program, state, batch)
    gap = distance(mean, exact)
    assert gap < 5 * CLOSE, (
        f"{objective}: under {rule} the mean of forward gradients differs from the exact gradient "
        f"by {gap:.1e}; if a row's loss has a gradient by other rows, declare it in coupling()"
    )


def _by_hand(plan: Plan, state: State, batch: Mapping[str, Any]) -> dict[str, Any]:
    """The gradient of the sum of the target's losses, stopped where the plan says."""
    params, answer = state.params, plan.answer
    image = batch["views"] if "views" in batch else batch["image"]
    labels = jnp.concatenate([batch["label"]] * plan.views)
    if plan.rows_each > plan.views:
        image, targets = rows(plan, batch, state.key, state.step)
        labels = targets.local
    x = stem(plan, image)
    blocks, local = plan.network.blocks, plan.experiment.losses.local is not None

    def wanted(objective: Objective) -> Any:
        known = objective.targets(labels, lambda: as_seen(plan, image))
        if not objective.reads_last:
            return known
        last = jax.lax.stop_gradient(forward(blocks, params["blocks"], x).output)
        return objective.targets_from_last(known, last, blocks[-1].end)

    def read(site: Any, params: Any, features: Any) -> Any:
        readout, own = plan.readout(site), params
        for name in plan.place(site):
            own = own.get(name, {})
        outputs = readout.outputs(own, readout.entering(features))[0]
        objective = plan.objective_at(site)
        return objective.value(outputs, wanted(objective)).mean()

    def backbone(own: Any) -> Any:
        total, features = jnp.zeros(()), x
        for chain, site in plan.units:
            entering = jax.lax.stop_gradient(features) if plan.target.inside else features
            features = forward(chain, own, entering).output
            counts = local or site.name == "final"
            last = site == plan.units[-1][1]
            if counts and (plan.target.reads_local or last):
                total += read(site, params, features)
        return total

    def readouts(own: Any) -> Any:
        trace = jax.lax.stop_gradient(forward(blocks, params["blocks"], x))
        total = jnp.zeros(())
        for site in plan.headed_sites():
            total += read(site, {**params, "heads": own}, trace.features[site.block])
        return total

    def classifier(own: Any) -> Any:
        read, known = forward(blocks, params["blocks"], x).output, wanted(answer)
        if plan.reads_clean:
            read = clean_features(replace(plan, stacks=()), state, batch["image"])
            known = answer_targets(plan, batch)
        outputs = plan.network.classifier.outputs(own, jax.lax.stop_gradient(read))[0]
        return answer.value(outputs, known).mean()

    found = {"blocks": jax.grad(backbone)(params["blocks"])}
    found["classifier"] = jax.grad(classifier)(params["classifier"])
    return found | ({"heads": jax.grad(readouts)(params["heads"])} if "heads" in params else {})


def _check_evaluation(objective: Objective, rule: str, info: DatasetInfo) -> None:
    program = _losing(objective, rule, info)
    state, batch, plan = state_of(program), batch_of(program), program.plan
    answer = plan.answer

    @jax.jit
    def by_hand(state: State, batch: Any) -> dict[str, Any]:
        clean = clean_features(replace(plan, stacks=()), state, batch["image"])
        outputs = plan.network.classifier.outputs(state.params["classifier"], clean)[0]
        wanted = answer.targets(batch["label"], lambda: as_seen(plan, batch["image"]))
        named = {"loss": answer.value(outputs, wanted)}
        named |= answer.metrics(outputs, wanted)
        return {name: values.sum() for name, values in named.items()}

    sums = program.evaluate(state, batch)
    for name, own in by_hand(state, batch).items():
        reported, expected = float(sums[name]), float(own)
        assert abs(reported - expected) <= CLOSE * max(1.0, abs(expected)), (
            f"{objective}: evaluation reports {name} {reported:g}, but the objective's own value "
            f"is {expected:g}"
        )


@law
def check_prediction(prediction: Prediction | type[Prediction]) -> None:
    """A prediction's outputs depend only on their own image, and evaluation measures them."""
    made = method_of(prediction)
    program = program_of(experiment_of("lg-bp", made.needs, losses__prediction=made))
    state, batch, plan = state_of(program), batch_of(program), program.plan
    outputs = np.asarray(program.outputs(state, batch["image"]))
    wanted = (len(batch["label"]), plan.answer.outputs(plan.data))
    assert outputs.shape == wanted, (
        f"{made}: outputs() returns the shape {outputs.shape}, must be {wanted}"
    )
    assert np.isfinite(outputs).all(), f"{made}: outputs are not finite"
    assert np.ptp(outputs, 0).max() > 0, f"{made}: outputs are the same for all images"
    turned = program.outputs(state, array(np.asarray(batch["image"])[::-1]))
    gap = distance(np.asarray(turned)[::-1], outputs)
    assert gap < CLOSE, f"{made}: outputs of an image depend on others in the batch, by {gap:.1e}"
    named = {"loss": plan.answer.value(array(outputs), batch["label"])}
    named |= plan.answer.metrics(array(outputs), batch["label"])
    sums = program.evaluate(state, batch)
    for name, values in named.items():
        reported, expected = float(sums[name]), float(values.sum())
        assert abs(reported - expected) <= CLOSE * max(1.0, abs(expected)), (
            f"{made}: evaluation reports {name} {reported:g}, but that of its outputs is "
            f"{expected:g}"
        )


# -------------------------------------------------------------------------------- estimators


@law
def check_estimator(estimator: Estimator | type[Estimator]) -> None:
    """Every array learns that has an exact gradient, and the declared bias is right.

    * Within three steps, every array of the blocks whose exact gradient is not zero gets an
      estimate that is not zero.
    * Without a declared bias, the mean of the estimate is the exact gradient. With one, the
      estimate points in its direction if backward weights are the true ones.
    * Scanned blocks learn the same as unrolled ones.
    * An update is a pure function.
    * With `exact_every`, only the exact updates change.

    Args:
        estimator: an instance, or a class.
    """
    made = method_of(estimator)
    for target, program in _programs(made):
        _check_all_learn(made, target, program)
        _check_pure(made, program)
        if not made.biased():
            _check_unbiased(made, target, program)
    if made.biased():
        _check_direction(made)
    _check_scanned(made)
    if not made.always_exact:
        _check_exact_updates(made)


def _settings(estimator: Estimator, target: str) -> dict[str, Any]:
    isolated = "layer" if estimator.isolates_layers else "block" if target == "local" else "none"
    local = {} if target == "local" else None
    return {"losses": {"local": local, "isolate": isolated}, "gradient": {"target": target}}


def _programs(
    estimator: Estimator, more: Mapping[str, Any] | None = None
) -> Iterator[tuple[str, Program]]:
    """The programs of an estimator with the targets that it can have."""
    targets = ("global",) if estimator.isolates_layers else ("global", "local")
    # A full basis of perturbations costs more with each row. Without perturbations, more rows
    # average over what is random.
    rows = 4 if estimator.perturbs else 16
    for target in targets:
        tree = _over(_settings(estimator, target), {"data": {"batch_size": rows}, **(more or {})})
        yield target, program_of(experiment_of("", tree, gradient__estimator=estimator))


def _exact(program: Program, state: State, batch: Any) -> Any:
    """The exact gradient of the program's target at a state, by block."""
    gradient = program.plan.experiment.gradient
    update = {"estimator": Exact(), "perturbation": None}
    losses = program.plan.experiment.losses
    isolate = "none" if losses.isolate == "layer" else losses.isolate
    experiment = program.plan.experiment.model_copy(
        update={
            "gradient": gradient.model_copy(update=update),
            "losses": losses.model_copy(update={"isolate": isolate}),
        }
    )
    exact = program_of(experiment, program.plan.data)
    return exact.gradient(state._replace(feedback={}), batch)[0]["blocks"]


def _check_all_learn(estimator: Estimator, target: str, program: Program) -> None:
    state, batch = state_of(program), batch_of(program)
    seen, wanted, found = set[str](), set[str](), dict[str, Any]()
    for _ in range(3):
        exact = flatten(_exact(program, state, batch))
        found = flatten(program.gradient(state, batch)[0]["blocks"])
        wanted |= _without_rounding(exact).keys()
        seen |= {path for path, leaf in found.items() if np.asarray(leaf).any()}
        state, _ = program.update(_copied(state), batch)
    still = [path for path in found if path in wanted - seen]
    assert not still, (
        f"{estimator}: under target {target} {', '.join(still)} never learn: their estimates stay "
        "zero; if it has backward weights, check how they begin (ParamSpec.role)"
    )


def _copied(state: State) -> State:
    """A copy of a state, because an update reuses the buffers of its state."""
    return jax.tree.map(np.array, state)


def _check_pure(estimator: Estimator, program: Program) -> None:
    state, batch = state_of(program), batch_of(program)
    twice = [program.update(_copied(state), batch)[0] for _ in range(2)]
    leaves = zip(*map(jax.tree.leaves, twice), strict=True)
    assert all(np.array_equal(a, b) for a, b in leaves), (
        f"{estimator}: two updates of the same state differ; draw random numbers with "
        "context.noise, or from the key and the step"
    )


def _check_exact_updates(estimator: Estimator) -> None:
    """With `exact_every: 2` the second update takes the exact gradient, the first an estimate."""
    *_, (target, program) = _programs(estimator)
    experiment = program.plan.experiment
    gradient = experiment.gradient.model_copy(update={"exact_every": 2})
    often = program_of(experiment.model_copy(update={"gradient": gradient}), program.plan.data)
    first, batch = state_of(program), batch_of(program)
    second = first._replace(step=first.step + 1)
    exact = _exact(program, first, batch)
    wanted = {"first": program.gradient(first, batch)[0]["blocks"], "second": exact}
    for update, state in {"first": first, "second": second}.items():
        gap = distance(often.gradient(state, batch)[0]["blocks"], wanted[update])
        assert gap < CLOSE, (
            f"{estimator}: under target {target} with exact_every: 2, the gradient of the {update} "
            f"of two updates is wrong by {gap:.1e}"
        )
    for update, state in {"first": first, "second": second}.items() if first.feedback else ():
        before = flatten(state.feedback)
        after = flatten(often.update(_copied(state), batch)[0].feedback)
        moves = any(not np.array_equal(after[path], leaf) for path, leaf in before.items())
        learns = estimator.learns_backward and update == "first"
        assert moves == learns, (
            f"{estimator}: at the {update} of two updates, of which the second is exact, its "
            f"backward weights {'change' if moves else 'do not change'}; check learns_backward"
        )


def _check_unbiased(estimator: Estimator, target: str, program: Program) -> None:
    state, batch = state_of(program), batch_of(program)
    exact = _exact(program, state, batch)
    mean = _mean_over_basis(program, state, batch)
    gap = distance(mean, exact)
    assert gap < 5 * CLOSE, (
        f"{estimator}: under target {target} its mean differs from the exact gradient by "
        f"{gap:.1e}; correct it, or describe the difference in `bias`"
    )


def _mean_over_basis(program: Program, state: State, batch: Any) -> Any:
    """The sum of the estimates over an orthonormal basis of each joint space of perturbations.

    It equals the mean over noise of unit variance. Without perturbations, it is the estimate.
    """
    plan = program.plan
    if plan.perturbation is None:
        return program.gradient(state, batch)[0]["blocks"]
    vectors, count = _basis(plan)
    experiment = plan.experiment
    perturbation = experiment.gradient.perturbation
    assert perturbation is not None
    perturbation = perturbation.model_copy(update={"samples": count})
    gradient = experiment.gradient.model_copy(update={"perturbation": perturbation})
    many = program_of(experiment.model_copy(update={"gradient": gradient}), plan.data)
    estimate, _ = many.gradient(state, batch, vectors)
    return jax.tree.map(lambda leaf: np.asarray(leaf) * count, estimate["blocks"])


def _basis(plan: Plan) -> tuple[dict[str, Any], int]:
    """An orthonormal basis of every segment's space, and the number of its vectors.

    If rows have separate noise, all rows get the same vectors, unless their losses are coupled.
    """
    rows, given, total = plan.space.rows, dict[str, Any](), 0
    rows = 0 if plan.experiment.losses.coupling() is not None else rows
    for segment in plan.segments:
        elements = plan.perturbed(segment)
        shapes = {name: e.shape[rows:] for name, e in elements.items()}
        sizes = [prod(shape) for shape in shapes.values()]
        whole = np.eye(sum(sizes), dtype=np.float32)
        total = max(total, len(whole))
        parts = np.split(whole, np.cumsum(sizes)[:-1], axis=1)
        for (name, shape), part in zip(shapes.items(), parts, strict=True):
            lead = elements[name].shape[:rows]
            vectors = part.reshape(len(whole), *[1] * rows, *shape)
            given[name] = np.broadcast_to(vectors, (len(whole), *lead, *shape))
    padded = {
        name: array(np.pad(v, [(0, total - len(v))] + [(0, 0)] * (v.ndim - 1)))
        for name, v in given.items()
    }
    return padded, total


def _check_direction(estimator: Estimator) -> None:
    """With true backward weights, no estimate points against its exact gradient.

    With random backward weights the sign has no meaning, because they are as likely as their
    negatives, and training adapts to either. Estimators whose backward weights are neither forward
    weights nor Jacobians are not checked.
    """
    # Without activations a layer's Jacobian is the same for every example. And if all weights have
    # the same magnitude, estimators that use only their signs send the same errors back.
    straight = {**MIXER, "normalization": {"type": "none"}, "activation": "none"}
    target, program = next(_programs(estimator, {"architecture": straight}))
    state, batch = state_of(program), batch_of(program)
    params = jax.tree.map(lambda leaf: array(0.3 * np.sign(leaf)), state.params)
    state = state._replace(params=params)
    weights = _true_backward_weights(program.plan, state, batch)
    if weights is None:
        return
    state = state._replace(feedback=weights)
    exact = flatten(_exact(program, state, batch))
    # An estimator's own noise would change its backward weights, which would not be true any more.
    still = {name: array(np.zeros(own.shape)) for name, own in program.perturbations().items()}
    if program.plan.perturbation is None and still:
        estimates = flatten(program.gradient(state, batch, still)[0]["blocks"])
    else:
        estimates = flatten(_mean_over_basis(program, state, batch))
    for path, leaf in _without_rounding(exact).items():
        wanted, estimate = np.ravel(leaf), np.ravel(estimates[path])
        cosine = wanted @ estimate / max(np.linalg.norm(wanted) * np.linalg.norm(estimate), 1e-30)
        assert cosine > AGAINST, (
            f"{estimator}: under target {target} the estimate of {path} points against its exact "
            f"gradient (cosine {cosine:.2f})"
            + (", although its backward weights are the true ones here" if weights else "")
            + "; check its sign"
        )


def _without_rounding(gradient: Mapping[str, Any]) -> dict[str, Any]:
    """The arrays of a gradient that are not zero up to rounding.

    An array's gradient is zero if the normalization that follows removes its effect.
    """
    sizes = {path: float(np.abs(leaf).max()) for path, leaf in gradient.items()}
    return {
        path: gradient[path] for path, size in sizes.items() if size > 1e-5 * max(sizes.values())
    }


def _true_backward_weights(plan: Plan, state: State, batch: Any) -> dict[str, Any] | None:
    """The true values of backward weights: forward weights, or mean Jacobians of the outputs.

    Returns:
        The weights by section, block, layer and name; None if some are neither of these.
    """
    shapes = {path: spec.shape for path, spec in flatten(plan.feedback()).items()}
    direct = {path: spec.shape for path, spec in plan.to_every_layer().items()}
    true: dict[str, Any] = flatten(state.params)
    if any(shape == direct.get(path) for path, shape in shapes.items()):
        sign = plan.estimator.feedback_sign
        jacobians = jax.jit(partial(_mean_jacobians, plan))(state, batch)
        true = true | {path: sign * jacobian for path, jacobian in jacobians.items()}
    if any(path not in true or true[path].shape != shape for path, shape in shapes.items()):
        return None
    return unflatten({path: true[path] for path in shapes})


def _mean_jacobians(plan: Plan, state: State, batch: Any) -> dict[str, Any]:
    """The mean Jacobian of the network's outputs by each layer's, [k, p, g, c], by weight path."""
    x, blocks = stem(plan, batch["image"]), plan.network.blocks
    layers = dict(layers_in(blocks))

    def outputs(moved: Mapping[str, Any]) -> Any:
        taps = {
            f"{path}/{OUTPUT}": jnp.broadcast_to(own, (len(x), *own.shape))
            for path, own in moved.items()
        }
        trace = forward(blocks, state.params["blocks"], x, taps=taps)
        read = plan.network.classifier.outputs(state.params["classifier"], trace.output)[0]
        # Cross entropy depends only on differences of outputs, so their mean is subtracted.
        return (read - read.mean(-1, keepdims=True)).mean(0)

    still = {path: jnp.zeros(layer.outputs) for path, layer in layers.items()}
    return {f"blocks/{path}/w": own for path, own in jax.jacrev(outputs)(still).items()}


def _check_scanned(estimator: Estimator) -> None:
    """Scanned blocks learn the same as unrolled ones, in three blocks of which two are equal."""
    if estimator.couples_blocks or estimator.isolates_layers:
        return
    deep = {"architecture": {**MIXER, "blocks": 3}}
    tree = _over(_settings(estimator, "local"), deep)
    programs = [
        program_of(experiment_of("", _over(tree, {"compile": how}), gradient__estimator=estimator))
        for how in ({"blocks": "unrolled"}, {"blocks": "scanned"})
    ]
    assert programs[1].plan.stacks, f"{estimator}: equal blocks are not scanned"
    batch = batch_of(programs[0])
    state, stack = state_of(programs[0]), jax.jit(partial(stacked, programs[1].plan.stacks))
    feedback = stack(state.feedback) if state.feedback else {}
    scanned = state_of(programs[1])._replace(params=stack(state.params), feedback=feedback)
    grads = [p.gradient(s, batch)[0] for p, s in zip(programs, (state, scanned), strict=True)]
    gap = distance(grads[1], grads[0])
    assert gap < CLOSE, (
        f"{estimator}: gradients of scanned blocks differ from those of unrolled ones by {gap:.1e}"
    )


# -------------------------------------------------------------------------------- directions


@law
def check_guess(guess: Guess | type[Guess]) -> None:
    """A drawn guess has mean 0, variance 1 and its kurtosis; others give every block a guess."""
    made = method_of(guess)
    if made.made:
        _check_made(made)
        return
    key = address(key_data(0), "law")
    drawn = made.draw(key, (4000,), (2, 4))
    assert drawn.shape == (4000, 2, 4), (
        f"{made}: draw() returns the shape {drawn.shape}, must be (4000, 2, 4)"
    )
    assert drawn.dtype == jnp.float32, f"{made}: draw() returns {drawn.dtype}, must be float32"
    assert np.array_equal(drawn, made.draw(key, (4000,), (2, 4))), (
        f"{made}: two draws with the same key differ"
    )
    rows = np.asarray(drawn, np.float64).reshape(4000, -1)
    products = rows[:, :, None] * rows[:, None]
    assert np.abs(rows.mean(0)).max() < 0.08, f"{made}: its mean is not zero"
    assert (np.abs(products.mean(0) - np.eye(8)) < np.maximum(0.12, _error(products))).all(), (
        f"{made}: its numbers do not have the variance 1, or are correlated"
    )
    # |u|^4 / d has the mean d + kurtosis - 1. With heavy tails, its standard error is larger.
    fourth = np.square(np.square(rows).sum(1)) / 8 - (8 - 1)
    says = made.kurtosis_of((2, 4))
    assert abs(fourth.mean() - says) < max(0.6, _error(fourth)), (
        f"{made}: its kurtosis is about {fourth.mean():.2f}, but kurtosis_of() says {says}"
    )


def _error(sample: np.ndarray) -> Any:
    """Four standard errors of the mean over the first axis."""
    return 4 * sample.std(0) / len(sample) ** 0.5


def _check_made(guess: Guess) -> None:
    tree = {
        "losses": {"local": {"last": "final"}},
        "gradient": {
            "target": "global",
            "estimator": {"type": "forward"},
            "perturbation": {"space": "block_output"},
        },
    }
    made = experiment_of("", tree, gradient__perturbation__guess=guess)
    program = program_of(made)
    state, batch = state_of(program), batch_of(program)
    grads = flatten(program.gradient(state, batch)[0]["blocks"])
    silent = [p for p, leaf in grads.items() if p.endswith("/w") and not np.asarray(leaf).any()]
    assert not silent, f"{guess}: {', '.join(silent)} get no guess"
    assert all(np.isfinite(leaf).all() for leaf in grads.values()), (
        f"{guess}: an estimate is not finite"
    )


@law
def check_sample_set(samples: SampleSet | type[SampleSet]) -> None:
    """The mean of sum v u^T, with directions u and partners v, is the identity, except for a bias.

    This holds whatever the set keeps between updates: both its start and random arrays are tried.
    """
    made = method_of(samples)
    normal, size, count = working(Normal()), 6, 4
    keys = jax.random.split(address(key_data(1), "law"), 3000)

    def outer(key: Any, kept: Any) -> Any:
        draws = {"a": normal.draw(key, (count, 1), (size,))}
        u, v = made.spread_around(draws, 1, kept) if kept else made.spread(draws, 1)
        return jnp.einsum("kri,krj->ij", v["a"], u["a"])

    random = {"a": normal.draw(address(key_data(2), "law"), (), (size,))}
    for kept in ({}, random) if made.keeps else ({},):
        mean = np.asarray(jax.vmap(partial(outer, kept=kept))(keys).mean(0), np.float64)
        off = np.abs(mean - np.eye(size)).max()
        assert (off < 0.1) == (not made.bias), (
            f"{made}: the mean of sum v u^T differs from the identity by {off:.2f}, but its bias "
            f"is {made.bias or 'empty'}"
        )
    if made.keeps:
        _check_kept(made)
    u, v = (
        made.spread({"a": jnp.ones((count, 2, size)), "b": jnp.ones((count, 2, 3))}, 1)
        if (made.drawn_alone)
        else made.spread({"a": normal.draw(keys[0], (count, 2), (size,))}, 1)
    )
    assert u.keys() == v.keys(), f"{made}: partners and directions have different names"


def _check_kept(samples: SampleSet) -> None:
    """What a set keeps has the declared shapes, and is updated from the estimates."""
    tree = {
        "gradient": {
            "estimator": {"type": "forward"},
            "perturbation": {
                "space": "weight",
                "samples": 3,
                "guess": {"type": "normal", "set": samples.model_dump(mode="json")},
            },
        }
    }
    program = program_of(experiment_of("", tree))
    declared = samples.kept(program.plan)
    assert declared, f"{samples}: `keeps` is {samples.keeps!r}, but kept() declares nothing"
    state, batch = program.init(0), batch_of(program)
    kept = flatten(state.feedback)
    assert {f"{KEPT}/{name}": spec.shape for name, spec in declared.items()} == {
        name: array.shape for name, array in kept.items()
    }, f"{samples}: the state of a run does not have the arrays that kept() declares"
    estimate = flatten(program.gradient(state, batch)[0]["blocks"])
    wanted = samples.next_kept({name: kept[f"{KEPT}/{name}"] for name in declared}, estimate)
    after = flatten(program.update(_copied(state), batch)[0].feedback)
    gap = distance(after, {f"{KEPT}/{name}": array for name, array in wanted.items()})
    assert gap < CLOSE, (
        f"{samples}: after an update, the arrays of a run differ from next_kept() by {gap:.1e}"
    )


@law
def check_space(space: Space | type[Space]) -> None:
    """Forward gradients over a full basis of the space are exact, with and without local losses."""
    made = method_of(space)
    for rule in ("fg-a", "lg-fg-a"):
        made_experiment = experiment_of(rule, {}, gradient__perturbation__space=made)
        program = program_of(made_experiment)
        state, batch = state_of(program), batch_of(program)
        mean, exact = _mean_over_basis(program, state, batch), _exact(program, state, batch)
        gap = distance(mean, exact)
        assert gap < 5 * CLOSE, (
            f"{made}: over a full basis, under {rule}, the estimate differs from the exact "
            f"gradient by {gap:.1e}"
        )


# ------------------------------------------------------------------------------- projections


@law
def check_scale(scale: Scale | type[Scale]) -> None:
    """A scale has a positive factor per slope; projections do not depend on the guess's length."""
    made = method_of(scale)
    along = array([1.0, -2.0, 0.5])
    for length in (1.0, 3.0):
        group = Group(along * length, jnp.full(3, 4.0 * length**2), 4)
        factor = made.scale(group, 2, 3.0)
        assert factor.shape == along.shape, (
            f"{made}: scale() returns the shape {factor.shape}, must be {along.shape}"
        )
        assert bool((factor > 0).all()), f"{made}: a factor is not positive"
        if made.projects:
            estimate = factor * along * length * length
            expected = along * 1.0 / 4.0
            assert distance(estimate, expected) < CLOSE, (
                f"{made}: `projects` is true, but the estimate depends on the length of the guess"
            )


@law
def check_coefficient(coefficient: Coefficient | type[Coefficient]) -> None:
    """A coefficient is the derivative, unless it declares that it is a control."""
    made = method_of(coefficient)
    along, coin = array([2.0, -3.0]), array([1.0, 1.0])
    factor = made.coefficient(along, coin)
    assert factor.shape == along.shape, (
        f"{made}: coefficient() returns the shape {factor.shape}, must be {along.shape}"
    )
    same = bool((factor == along).all())
    assert same == (not made.control), (
        f"{made}: `control` is {made.control!r}, but it is {'' if same else 'not '}the derivative"
    )


@law
def check_granularity(granularity: Granularity | type[Granularity]) -> None:
    """With guesses made from the network, all weights get a finite estimate that is not zero."""
    made = method_of(granularity)
    tree = {
        "losses": {"local": {"last": "final"}},
        "gradient": {
            "target": "global",
            "estimator": {"type": "forward"},
            "perturbation": {"space": "weight", "guess": "local"},
        },
    }
    program = program_of(
        experiment_of("", tree, gradient__perturbation__projection__granularity=made)
    )
    state, batch = state_of(program), batch_of(program)
    for path, leaf in flatten(program.gradient(state, batch)[0]["blocks"]).items():
        assert np.isfinite(leaf).all(), f"{made}: the estimate of {path} is not finite"
        assert np.asarray(leaf).any() or not path.endswith("/w"), (
            f"{made}: the estimate of {path} is zero"
        )


@law
def check_grouping(grouping: Grouping | type[Grouping]) -> None:
    """Every array belongs to one group, and blocks without a common loss to different groups."""
    made = method_of(grouping)
    names = ("block0/a/w", "block0/a/b", "block1/a/w")
    titles = [made.title(name, {}) for name in names]
    assert all(isinstance(title, str) for title in titles), f"{made}: titles must be text"
    apart = [made.title(name, {"block0": "block0", "block1": "block1"}) for name in names]
    assert not {apart[0], apart[1]} & {apart[2]}, (
        f"{made}: blocks that no gradient connects share a slope"
    )


# ------------------------------------------------------------------------- around the network


@law
def check_target(target: Target | type[Target]) -> None:
    """A target's segments cover all blocks and end in losses, and no exact gradient is zero."""
    made = method_of(target)
    isolate = "block" if made.inside else "none"
    tree = {"losses": {"local": {} if made.reads_local else None, "isolate": isolate}}
    program = program_of(experiment_of("", tree, gradient__target=made))
    units = program.plan.units
    segments = list(made.segments(units))
    blocks = {block.name for segment in segments for block in segment.blocks}
    assert blocks == {b.name for chain, _ in units for b in chain}, (
        f"{made}: segments() leaves out blocks"
    )
    for segment in segments:
        names = [block.name for block in segment.blocks]
        assert all(site.block in names for site in segment.sites), (
            f"{made}: a segment has a loss after a block that is not in it"
        )
        assert segment.sites[-1].block == names[-1], f"{made}: a segment does not end in a loss"
        if made.inside:
            assert len(segment.sites) == 1, (
                f"{made}: `inside` is true, but a segment has several losses"
            )
    grads = flatten(program.gradient(state_of(program), batch_of(program))[0]["blocks"])
    silent = [p for p, leaf in grads.items() if p.endswith("/w") and not np.asarray(leaf).any()]
    assert not silent, f"{made}: the gradient of {', '.join(silent)} is zero"


@law
def check_backward_weights(weights: BackwardWeights | type[BackwardWeights]) -> None:
    """Backward weights have the shape of the forward weights, and are a pure function."""
    made, rng = method_of(weights), np.random.default_rng(0)
    drawn, ahead = (array(rng.standard_normal((3, 4))) for _ in range(2))
    backward = made.matched(drawn, ahead)
    assert backward.shape == ahead.shape, (
        f"{made}: matched() returns the shape {backward.shape}, must be {ahead.shape}"
    )
    assert np.asarray(backward).any(), f"{made}: matched() is zero, so nothing would learn"
    assert np.array_equal(backward, made.matched(drawn, ahead)), (
        f"{made}: two calls of matched() differ"
    )


@law
def check_head(head: Head | type[Head]) -> None:
    """A head ends in one output per class, and its weights have a gradient."""
    made = method_of(head)
    for aggregation in ("pooled",) if made.reads_grid else ("pooled", "replicated"):
        tree = {"losses": {"local": {"aggregation": aggregation, "last": "final"}}}
        program = program_of(experiment_of("l-bp", tree, losses__local__head=made))
        (site,) = program.plan.headed_sites()
        outputs = program.plan.readout(site).layers[-1].outputs
        assert outputs == (1, 1, INFO.classes), (
            f"{made}: its outputs have the shape {outputs}, must be one number per class"
        )
        grads, _ = program.gradient(state_of(program), batch_of(program))
        for path, leaf in flatten(grads["heads"]).items():
            assert np.isfinite(leaf).all(), f"{made}: the gradient of {path} is not finite"
            assert np.asarray(leaf).any() or not path.endswith("/w"), (
                f"{made}: the gradient of {path} is zero"
            )


@law
def check_rule(rule: type[Rule]) -> None:
    """The settings of a rule make a valid spec, and an update is finite."""
    assert rule.title, f"{rule.__name__}: has no title"
    experiment, problems = validate(
        _over(
            {"fgspec": 1, "name": "law", "training": {"epochs": 2}, "architecture": MIXER},
            rule.settings,
        )
    )
    assert experiment is not None, f"{rule.__name__}: the language refuses its settings: {problems}"
    sections = {name: getattr(experiment, name) for name in type(experiment).model_fields}
    refused = [p.message for p in check(sections)]
    assert not refused, f"{rule.__name__}: its settings are refused: {'; '.join(refused)}"
    data = experiment.data.model_copy(update={"batch_size": 4})
    program = program_of(complete(experiment.model_copy(update={"data": data})))
    _, metrics = program.update(state_of(program), batch_of(program))
    assert all(np.isfinite(v).all() for v in metrics.values()), (
        f"{rule.__name__}: a metric of an update is not finite"
    )
