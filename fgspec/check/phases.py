"""What must agree between the phases of a run; see `fgspec.check.consistency`."""

from collections.abc import Callable, Iterable, Iterator
from dataclasses import replace

from fgspec.problems.problems import Problem
from fgspec.spec.gradient import Gradient
from fgspec.spec.losses import Losses
from fgspec.spec.mesh import Mesh
from fgspec.spec.phases import Phase
from fgspec.spec.run import Compile, Training
from fgspec.yaml.load import Path

Phases = tuple[Phase, ...]


def lengths(phases: Phases, training: Training) -> Iterator[Problem]:
    """Epochs or steps, and fewer of them than the run has."""
    for index, phase in enumerate(phases):
        at: Path = ("phases", index)
        if phase.epochs is None and phase.steps is None:
            yield Problem(at, "give either epochs or steps, such as {epochs: 1}", False)
        elif phase.epochs is not None and phase.steps is not None:
            message = "give either epochs or steps; remove one of the two"
            yield Problem((*at, "steps"), message, others=((*at, "epochs"),))
    for unit in ("epochs", "steps"):
        told = [getattr(phase, unit) for phase in phases]
        whole = getattr(training, unit)
        if told and None not in (*told, whole) and sum(told) >= whole:
            message = (
                f"the phases last {sum(told)} {unit}, but must leave some of the run's {whole} to "
                "the spec's own gradient; make them shorter, or leave the last one out and give "
                "its gradient as the spec's own"
            )
            yield Problem(("phases",), message, False, (("training", unit),))


def heads(phases: Phases, losses: Losses, gradient: Gradient) -> Iterator[Problem]:
    """All phases train the same parameters: local heads in all of them, or in none."""
    if losses.local is None:
        return
    for index, phase in enumerate(phases):
        if (own := phase.gradient.trains_heads) != gradient.trains_heads:
            trains, leaves = ("it", "the spec's own gradient") if own else ("the other", "it")
            message = (
                f"the parameters of phases must be the same, but {trains} trains the local heads, "
                f"and {leaves} guesses by heads that do not learn; use another guess"
            )
            others: tuple[Path, ...] = (("gradient", "perturbation", "guess", "type"),)
            yield Problem(("phases", index, "gradient"), message, False, others)


def program(phases: Phases, compile: Compile, mesh: Mesh) -> Iterator[Problem]:
    """One program serves all phases, which may need all blocks at once."""
    if phases and compile.blocks == "scanned":
        message = "phases that reach over blocks cannot share scanned ones; use unrolled"
        yield Problem(("compile", "blocks"), message, others=(("phases",),))
    if phases and mesh.stage > 1:
        message = "stages cannot train phases; use 1"
        yield Problem(("mesh", "stage"), message, others=(("phases",),))


CHECKS: tuple[Callable[..., Iterator[Problem]], ...] = (lengths, heads, program)


def within(index: int, problems: Iterable[Problem], known: Iterable[Problem]) -> Iterator[Problem]:
    """Problems of a phase, by the paths of the spec that it is a phase of.

    Args:
        index: of the phase.
        problems: of the experiment as it is in that phase.
        known: those that the spec has without it.
    """
    seen = {(problem.path, problem.message) for problem in known}
    for problem in problems:
        if (problem.path, problem.message) not in seen:
            others = tuple(_placed(index, path) for path in problem.others)
            yield replace(problem, path=_placed(index, problem.path), others=others)


def _placed(index: int, path: Path) -> Path:
    """Of its own gradient, or where gradients stop, which that decides."""
    if path == ("losses", "isolate"):
        return ("phases", index, "gradient")
    return ("phases", index, *path) if path[:1] == ("gradient",) else path
