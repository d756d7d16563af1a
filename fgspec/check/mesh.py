"""Which meshes fit a spec and a machine; no JAX, so that `check` is quick."""

from collections.abc import Callable, Iterator
from dataclasses import replace
from math import prod
from typing import Any, NamedTuple

from fgspec.problems.problems import Problem
from fgspec.spec.experiment import Experiment
from fgspec.spec.mesh import AXES, fill, sizes
from fgspec.spec.shapes import divisors
from fgspec.yaml.load import Path


def _counts(experiment: Experiment, axis: Any) -> Iterator[tuple[Path, int]]:
    """Sizes of a named axis, and the fields that decide them."""
    if axis == "batch":
        yield ("data", "batch_size"), experiment.data.batch_size
    else:
        yield from experiment.architecture.axis_sizes(axis)


def mesh_problems(experiment: Experiment) -> list[Problem]:
    """What of a spec its mesh does not divide, or couples its stages; -1 divides everything."""
    split = [name for name in ("data", "group") if getattr(experiment.mesh, name) > 1]
    found = [problem for name in split for problem in _unfit(experiment, name)]
    return [*found, *(_stages(experiment) if experiment.mesh.stage > 1 else ())]


def _unfit(experiment: Experiment, name: str) -> Iterator[Problem]:
    at, size = ("mesh", name), getattr(experiment.mesh, name)
    axes = [rule.axis for rule in experiment.mesh.rules if rule.over == name]
    counts = [(axis, *of) for axis in axes for of in _counts(experiment, axis) if of[1] > 1]
    for axis, path, count in dict.fromkeys(counts):
        if count % size:
            said = {"batch": "examples of a batch", "group": "groups", "patch": "patches"}[axis]
            message = f"must divide the {count} {said}; {divisors(count, size)}"
            yield Problem(at, message, others=(path,))
            return
    if not counts:
        what = " or ".join(axes) or "named"
        yield Problem(at, f"this network has no {what} axis to split; use 1")


class _Couples(NamedTuple):
    """What makes one block's update wait for another's, and what to say instead."""

    path: Path
    does: Callable[[Experiment], bool]
    message: str


_COUPLES: tuple[_Couples, ...] = (
    _Couples(
        ("gradient", "target"),
        lambda spec: not spec.gradient.target.inside,
        "stages learn independently, but gradients of this target cross blocks; use local",
    ),
    _Couples(
        ("gradient", "perturbation", "projection", "type"),
        lambda spec: spec.gradient.perturbation is not None and spec.gradient.perturbation.projects,
        "projections need the gradients of all blocks at once; use none",
    ),
    _Couples(
        ("losses", "objective", "type"),
        lambda spec: not spec.losses.objective.answers,
        "this objective needs a second pass through all stages; use cross_entropy",
    ),
    _Couples(
        ("losses", "local", "objective"),
        lambda spec: spec.losses.rows > 1,
        "beside more rows than examples the classifier needs a second pass through all stages; use "
        "cross_entropy",
    ),
    _Couples(
        ("losses", "classifier_reads"),
        lambda spec: spec.losses.classifier_reads != "last",
        "the classifier reads features of several stages; use last",
    ),
)


def _stages(experiment: Experiment) -> Iterator[Problem]:
    """Every stage has a chain of blocks of its own, and learns from nothing behind it."""
    at: Path = ("mesh", "stage")
    coupled = experiment.architecture.coupling()
    if coupled is not None and experiment.gradient.target.inside:
        message = (
            "stages cannot keep running statistics; use another normalization, or mesh.stage: 1"
        )
        yield Problem(coupled.path, message, others=(at,))
        return
    for row in _COUPLES:
        if row.does(experiment):
            yield Problem(row.path, f"{row.message}, or mesh.stage: 1", others=(at,))
            return
    count = experiment.architecture.block_count()
    if count is None:
        return
    (blocks, path), local = count, experiment.losses.local
    chains = -(-blocks // (local.every if local is not None else 1))
    if experiment.mesh.stage > chains:
        message = f"must be at most {chains}, the number of block chains with their own loss"
        yield Problem(at, message, others=(path,))


def device_problems(experiment: Experiment, devices: int, backend: str) -> list[Problem]:
    """What of a spec's mesh so many devices cannot be.

    Args:
        experiment: which `mesh_problems` has nothing against.
        devices: that there are.
        backend: their kind, such as `cpu`.
    """
    mesh = experiment.mesh
    given = prod(size for size in sizes(mesh) if size != -1)
    filled = next((name for name in AXES if getattr(mesh, name) == -1), None)
    if filled is not None and devices % given:
        message = (
            f"takes the rest of {_count(devices)}, but the other axes need {given}, which "
            f"does not divide {devices}"
        )
        return [
            Problem(("mesh", filled), f"{message}; {divisors(devices, given)} for the other axes")
        ]
    if filled is not None:
        found = mesh_problems(experiment.on(fill(mesh, devices)))
        size = f"is {devices // given} on {_count(devices)} and "
        return [replace(p, message=size + p.message) if p.path[1] == filled else p for p in found]
    if given <= devices:
        return []
    largest = max(AXES, key=lambda name: getattr(mesh, name))
    others: tuple[Path, ...] = tuple(
        ("mesh", name) for name in AXES if name != largest and getattr(mesh, name) > 1
    )
    remedy = f"use at most {devices // (given // getattr(mesh, largest))}"
    if given // getattr(mesh, largest) > devices:
        remedy = "use fewer"
    if backend == "cpu":
        remedy += f", or set XLA_FLAGS=--xla_force_host_platform_device_count={given} to simulate"
    verb = "is" if devices == 1 else "are"
    return [
        Problem(
            ("mesh", largest),
            f"needs {given} devices, but {_count(devices)} {verb} available; {remedy}",
            others=others,
        )
    ]


def _count(devices: int) -> str:
    return f"{devices} device{'s' if devices != 1 else ''}"
