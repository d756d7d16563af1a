"""What must agree between the fields of a spec, one small check each.

A check names the sections it reads as its parameters, or `rule` for the rule's name, and runs when
all of them are valid. A field that nothing reads may hold its default, as it does in a resolved
spec, and nothing else.
"""

import inspect
from collections.abc import Callable, Iterable, Iterator, Mapping
from functools import cache
from typing import Any, cast

from fgspec.check import compile_options as lowering
from fgspec.check import perturbation as perturbing
from fgspec.check import phases as phasing
from fgspec.problems.problems import Problem, nearest
from fgspec.spec.architectures import Architecture
from fgspec.spec.base import Interval
from fgspec.spec.data import Data
from fgspec.spec.dataset_info import LABEL_WORDS
from fgspec.spec.example_means import mixing
from fgspec.spec.gradient import Gradient, Perturbation
from fgspec.spec.kinds import OneOf, methods_in, names_of
from fgspec.spec.losses import Local, Losses
from fgspec.spec.mesh import AXES, Mesh
from fgspec.spec.metrics import TEST, VALID, answer_of, today
from fgspec.spec.objectives import OBJECTIVES, Objective
from fgspec.spec.phases import losses_in
from fgspec.spec.run import Checkpoint, Compile, Diagnostics, Expect, Training
from fgspec.spec.shapes import divisors
from fgspec.spec.start import StartFrom
from fgspec.yaml.load import Path

METRICS = (
    "train/learning_rate",
    "optim/grad_norm",
    "perf/step_time_s",
    "perf/examples_per_s",
    "data/wait_s",
)
"""The metrics every run has besides the losses and what its objective reports."""


def duration(training: Training) -> Iterator[Problem]:
    """Epochs or steps, not both and not neither."""
    epochs: Path = ("training", "epochs")
    if training.epochs is None and training.steps is None:
        yield Problem(("training",), "give either epochs or steps", False)
    elif training.epochs is not None and training.steps is not None:
        message = "give either epochs or steps; remove one of the two"
        yield Problem(("training", "steps"), message, others=(epochs,))


def validation(data: Data) -> Iterator[Problem]:
    """Examples or a fraction, not both and not neither."""
    if data.validation is not None:
        of = (data.validation.examples, data.validation.fraction)
        if of == (None, None):
            message = "give either examples or fraction, such as {fraction: 0.1}"
            yield Problem(("data", "validation"), message, False)
        elif None not in of:
            message = "give either examples or fraction; remove one of the two"
            others: tuple[Path, ...] = (("data", "validation", "examples"),)
            yield Problem(("data", "validation", "fraction"), message, others=others)


def beginning(start_from: StartFrom | None) -> Iterator[Problem]:
    """A run or a file, and a checkpoint of a run."""
    if start_from is None:
        return
    if start_from.run is None and start_from.file is None:
        yield Problem(("start_from",), "give either run or file", False)
    elif start_from.run is not None and start_from.file is not None:
        message = "give either run or file; remove one of the two"
        yield Problem(("start_from", "file"), message, others=(("start_from", "run"),))
    elif start_from.file is not None and start_from.step != StartFrom().step:
        message = "never read: a file holds only one step; remove it"
        yield Problem(("start_from", "step"), message)


def intervals(
    training: Training, checkpoint: Checkpoint, diagnostics: Diagnostics
) -> Iterator[Problem]:
    """Every interval counts epochs or steps."""
    found: dict[Path, Interval] = {
        ("training", "evaluate_every"): training.evaluate_every,
        ("training", "log_every"): training.log_every,
        ("checkpoint", "every"): checkpoint.every,
    }
    if training.stop_early is not None:
        found["training", "stop_early", "patience"] = training.stop_early.patience
    if diagnostics.every is not None:
        found["diagnostics", "every"] = diagnostics.every
    else:
        for name in ("samples", "noise_scale"):
            if getattr(diagnostics, name) != getattr(Diagnostics(), name):
                message = "never read without diagnostics.every; add that or remove this"
                yield Problem(("diagnostics", name), message)
    for path, interval in found.items():
        if (interval.epochs is None) == (interval.steps is None):
            yield Problem(path, "give either epochs or steps, such as {epochs: 1}")


def noise_scale(
    architecture: Architecture,
    losses: Losses,
    gradient: Gradient,
    data: Data,
    diagnostics: Diagnostics,
) -> Iterator[Problem]:
    """The gradient-noise scale is that of a mean over examples, and taken from equal parts."""
    path: Path = ("diagnostics", "noise_scale")
    parts = diagnostics.noise_scale
    if parts is None:
        return
    mixed = mixing(architecture, losses, gradient)
    if mixed is not None:
        message = f"the gradient is not a mean over examples, as {mixed.reason}; remove it"
        yield Problem(path, message, others=(mixed.path,))
    elif data.batch_size % parts:
        near = divisors(data.batch_size, parts)
        message = f"must divide the {data.batch_size} examples of a batch; {near}"
        yield Problem(path, message, others=(("data", "batch_size"),))


def labels(data: Data, losses: Losses) -> Iterator[Problem]:
    """The objectives, and that of the classifier beside them, take what the labels are."""
    kind, final, of_final = data.source.label_kind(), losses.objective, ("losses", "objective")
    read = [(at, objective, "") for at, objective in (*losses.placed(), (of_final, final))]
    read.append((of_final, final.answer(), f"trains its classifier by {final.answer()}, "))
    for at, objective, beside in read:
        if kind in objective.takes:
            continue
        own = " or ".join(LABEL_WORDS[taken] for taken in objective.takes)
        known = cast(list[type[Objective]], OneOf(OBJECTIVES).built_in())
        fits = [fitting for fitting in known if kind in fitting.takes and fitting.answers]
        fits.sort(key=lambda fitting: len(fitting.takes))  # those made for such labels first
        use = ", ".join(name for fitting in fits for name in names_of(fitting))
        message = (
            f"{beside}needs labels that are {own}, but those of {data.source} are "
            f"{LABEL_WORDS[kind]}; use an objective for them, such as {use}"
        )
        yield Problem(at, message, others=(("data", "source"),))
        return


def views(data: Data, losses: Losses) -> Iterator[Problem]:
    """Views of an example differ, where an objective compares them."""
    for at, objective in losses.placed():
        if objective.views > 1 and not data.augment.changes:
            message = f"{objective} compares two augmented views; use byol"
            yield Problem(("data", "augment", "type"), message, others=((*at, "type"),))
            return


def loss_sites(architecture: Architecture, losses: Losses) -> Iterator[Problem]:
    """Local losses close the last block."""
    count = architecture.block_count()
    if losses.local is None or losses.local.last == "final" or count is None:
        return
    blocks, path = count
    if blocks % losses.local.every:
        near = divisors(blocks, losses.local.every)
        message = f"must divide the {blocks} blocks, or the last block would have no loss; {near}"
        yield Problem(("losses", "local", "every"), message, others=(path,))


def head(losses: Losses) -> Iterator[Problem]:
    """A head that needs the grid of positions is given it."""
    local = losses.local
    if local is not None and local.aggregation == "replicated" and local.head.reads_grid:
        path: Path = ("losses", "local", "head", "type")
        message = f"{local.head.reads_grid}, which aggregation replicated averages away; use pooled"
        yield Problem(path, message, others=(("losses", "local", "aggregation"),))


def objectives(losses: Losses) -> Iterator[Problem]:
    """Every objective stands where it can, and has what it reads."""
    at, own, local = ("losses", "local", "objective"), losses.of_local, losses.local
    if why := losses.objective.local_only:
        message = f"{why}; use cross_entropy here, and losses.local.objective: {losses.objective}"
        yield Problem(("losses", "objective", "type"), message)
        return
    if local is None:
        return
    if local.objective is not None and local.last == "local" and not losses.objective.answers:
        message = "never read: every loss is local, with an objective of its own; use cross_entropy"
        yield Problem(("losses", "objective", "type"), message, others=(at,))
    if own.reads_grid and local.aggregation == "replicated":
        message = f"{own.reads_grid}, which aggregation replicated averages away; use pooled"
        yield Problem(("losses", "local", "aggregation"), message, others=((*at, "type"),))
    unread = ("head",) * (not own.reads_head) + ("aggregation",) * own.reads_features
    for field in unread:
        if getattr(local, field) != getattr(Local(), field):
            message = f"never read: {own} reads the features themselves; remove it"
            yield Problem(("losses", "local", field), message, others=((*at, "type"),))


def classifier(architecture: Architecture, losses: Losses, gradient: Gradient) -> Iterator[Problem]:
    """A classifier of several blocks teaches none of them, and sees each example by itself."""
    at: Path = ("losses", "classifier_reads")
    if losses.classifier_reads == "last":
        return
    taught = losses.local is None or losses.local.last == "final"
    count, coupled = architecture.block_count(), architecture.coupling()
    if taught or not gradient.target.reads_local:
        message = "blocks learn from the classifier, which then reads only the last; use last"
        yield Problem(at, message, others=(("losses", "local"),))
    elif coupled is not None:
        message = f"{coupled.name} keeps running statistics for the last block only; use last"
        yield Problem(at, message, others=(coupled.path,))
    elif count is not None and count[0] < 2:
        yield Problem(at, "there is no block after the first; use last", others=(count[1],))


def replication(
    architecture: Architecture, losses: Losses, gradient: Gradient
) -> Iterator[Problem]:
    """Losses are replicated over axes that exist, where copies make a difference."""
    path: Path = ("losses", "local", "replicate")
    axes = losses.local.replicate if losses.local is not None else None
    if axes is None:
        return
    if not gradient.estimator.perturbs:
        message = "never read: copies of a loss do not change an exact gradient; remove it"
        yield Problem(path, message, others=(("gradient", "estimator", "type"),))
    elif missing := [axis for axis in axes if axis not in architecture.loss_axes]:
        message = f"{architecture} has no {' and no '.join(missing)} axis; remove it"
        yield Problem(path, message, others=(("architecture", "type"),))
    elif axes and losses.local is not None and losses.local.aggregation == "pooled":
        message = (
            "a pooled head reads all patches and groups together, so it has no copies "
            "along them; remove it"
        )
        yield Problem(path, message, others=(("losses", "local", "aggregation"),))
    elif len(set(axes)) < len(axes):
        yield Problem(path, "names an axis twice")


def isolation(losses: Losses, gradient: Gradient) -> Iterator[Problem]:
    """What is isolated, what is targeted and where losses sit must fit together."""
    target: Path = ("gradient", "target")
    isolate: Path = ("losses", "isolate")
    direct = gradient.estimator.isolates_layers
    if gradient.target.reads_local and losses.local is None:
        message = "needs local losses; add losses.local: {every: 1} or use global"
        yield Problem(target, message)
    elif losses.isolate == "block" and losses.local is None:
        yield Problem(
            isolate, "needs a local loss at the end of each block; add losses.local: {every: 1}"
        )
    elif losses.isolate == "block" and not gradient.target.inside:
        message = "no gradient passes between isolated blocks; use local"
        yield Problem(target, message, others=(isolate,))
    elif gradient.target.inside and losses.isolate == "none":
        message = (
            "this target uses only the block's own loss, so blocks must be isolated; use "
            "isolate: block"
        )
        yield Problem(isolate, message, others=(target,))
    elif gradient.target.reads_local and direct:
        message = "direct feedback sends the error of the final loss to each layer; use global"
        yield Problem(target, message, others=(("gradient", "estimator", "type"),))
    elif not gradient.target.reads_local and _ends_in_a_local_loss(losses, gradient):
        message = f"target {gradient.target} does not include local losses; use final"
        yield Problem(("losses", "local", "last"), message, others=(target,))
    elif (losses.isolate == "layer") != direct:
        told = "only direct feedback isolates layers; use none or block"
        isolates = "direct feedback isolates layers; use layer"
        message = told if losses.isolate == "layer" else isolates
        yield Problem(isolate, message, others=(("gradient", "estimator", "type"),))


def _ends_in_a_local_loss(losses: Losses, gradient: Gradient) -> bool:
    """Whether a spec says so, and nothing else of it already needs the final loss there."""
    local, perturbation = losses.local, gradient.perturbation
    exact = perturbation is not None and (
        bool(perturbation.guides) or perturbation.last_block == "exact"
    )
    return local is not None and local.last == "local" and not exact


def linear_maps(architecture: Architecture, gradient: Gradient) -> Iterator[Problem]:
    """Backward weights stand for maps that are linear in their input."""
    place = architecture.nonlinear()
    if gradient.estimator.linear_maps and place is not None:
        message = "is not linear in its input, so backward weights cannot replace it; use exact"
        yield Problem(place, message, False, (("gradient", "estimator", "type"),))


def exact_steps(gradient: Gradient) -> Iterator[Problem]:
    """Only what is estimated can be exact now and then."""
    if gradient.exact_every is not None and gradient.estimator.always_exact:
        message = "never read: every update of this estimator is exact; remove it"
        path: Path = ("gradient", "exact_every")
        yield Problem(path, message, others=(("gradient", "estimator", "type"),))


def norm_gradient(architecture: Architecture, gradient: Gradient) -> Iterator[Problem]:
    """Only an activity-space estimate is pulled back layer by layer."""
    path = architecture.ignored_norm()
    if path is None:
        return
    message = "only has an effect when activations are perturbed; remove it"
    if not gradient.estimator.perturbs:
        yield Problem(path, message, others=(("gradient", "estimator", "type"),))
    elif not (gradient.perturbation or Perturbation()).space.layerwise:
        yield Problem(path, message, others=(("gradient", "perturbation", "space"),))
    elif gradient.perturbation is not None and gradient.perturbation.projects:
        message = "projections go back through normalizations exactly; remove it"
        yield Problem(path, message, others=(("gradient", "perturbation", "projection"),))


def expectation(
    expect: Expect | None, architecture: Architecture, losses: Losses, data: Data
) -> Iterator[Problem]:
    """An expectation is about a metric that a run writes."""
    count = architecture.block_count()
    local = expect is not None and expect.metric.startswith("local_loss/")
    if count is None and local and losses.local is not None:
        return
    blocks = count[0] if count is not None else 0
    every = losses.local.every if losses.local is not None else blocks + 1
    reported = ("loss", *answer_of(data, losses).reports)
    sets = ("train", *((VALID,) if data.validation is not None else ()), TEST)
    known = [f"{when}/{name}" for when in sets for name in reported]
    known += [*METRICS, *(f"local_loss/block{k}" for k in range(every - 1, blocks, every))]
    if losses.local is None and not losses.objective.answers:
        known.append("train/objective")
    if expect is not None and today(expect.metric) not in known:
        yield Problem(("expect", "metric"), f"no such metric; {nearest(expect.metric, known)}")


def mesh_axes(mesh: Mesh) -> Iterator[Problem]:
    """At most one axis takes what is left."""
    left = [name for name in AXES if getattr(mesh, name) == -1]
    for name in left[1:]:
        message = "only one axis can be -1; give a number of devices"
        yield Problem(("mesh", name), message, others=(("mesh", left[0]),))


def residence(data: Data, compile: Compile) -> Iterator[Problem]:
    """Only images that are in memory can be put on a device whole."""
    if compile.input == "device" and data.source.decoded:
        message = (
            f"images of {data.source} are decoded batch by batch, not kept in memory; use "
            "auto or host"
        )
        yield Problem(("compile", "input"), message, others=(("data", "source", "type"),))


CHECKS: tuple[Callable[..., Iterator[Problem]], ...] = (
    duration,
    validation,
    beginning,
    intervals,
    noise_scale,
    labels,
    views,
    loss_sites,
    head,
    objectives,
    classifier,
    replication,
    isolation,
    *perturbing.CHECKS,
    linear_maps,
    exact_steps,
    norm_gradient,
    *lowering.CHECKS,
    *phasing.CHECKS,
    expectation,
    mesh_axes,
    residence,
)


@cache
def read_by(run: Callable[..., Any]) -> frozenset[str]:
    """The sections that a check, or the method `problems` of a class, names as parameters."""
    return frozenset(inspect.signature(run).parameters.keys() - {"self", "at"})


def check(sections: Mapping[str, Any]) -> list[Problem]:
    """Run every check whose sections are all valid.

    Args:
        sections: validated sections by name; under `rule` the name of the rule, or None.
    """
    known = {name: section for name, section in sections.items() if name != "phases"}
    problems = _checked(sections, CHECKS) + _by_methods(known)
    if not {"phases", "losses", "gradient"} <= sections.keys():
        return problems
    for index, phase in enumerate(sections["phases"]):
        own = losses_in(phase, sections["losses"], sections["gradient"])
        inside = {**known, "losses": own, "gradient": phase.gradient}
        found = _checked(inside, CHECKS) + _by_methods({"gradient": phase.gradient}, inside)
        problems += phasing.within(index, found, problems)
    return problems


def _checked(
    sections: Mapping[str, Any], checks: Iterable[Callable[..., Iterator[Problem]]]
) -> list[Problem]:
    problems: list[Problem] = []
    for run in checks:
        names = read_by(run)
        if names <= sections.keys():
            problems += run(**{name: sections[name] for name in names})
    return problems


def _by_methods(own: Mapping[str, Any], around: Mapping[str, Any] | None = None) -> list[Problem]:
    """What the methods of some sections say of all sections, which are the same by default."""
    problems: list[Problem] = []
    sections = own if around is None else around
    for at, method in (found for name in own for found in methods_in(own[name], (name,))):
        names = read_by(type(method).problems)
        if names <= sections.keys():
            problems += method.problems(at, **{name: sections[name] for name in names})
    return problems
