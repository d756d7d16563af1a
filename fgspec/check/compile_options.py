"""What `compile` can ask of which rule; see `fgspec.check.consistency`."""

from collections.abc import Callable, Iterator

from fgspec.problems.problems import Problem
from fgspec.spec.architectures import Architecture
from fgspec.spec.directional import irreversible, unpushable
from fgspec.spec.gradient import Gradient, Perturbation
from fgspec.spec.losses import Losses
from fgspec.spec.run import Compile
from fgspec.spec.scanning import unscannable
from fgspec.yaml.load import Path

ESTIMATOR: Path = ("gradient", "estimator", "type")


def passes(
    architecture: Architecture, losses: Losses, compile: Compile, gradient: Gradient
) -> Iterator[Problem]:
    """Rematerialisation needs a reverse pass of its own, scans equal blocks."""
    backward = gradient.estimator.backward or gradient.exact_every is not None
    if compile.rematerialize != "auto" and not backward:
        message = "only affects estimators with a backward pass; remove it"
        path: Path = ("compile", "rematerialize")
        yield Problem(path, message, others=(("gradient", "estimator", "type"),))
    why = unscannable(architecture, losses, gradient)
    if compile.blocks == "scanned" and why is not None:
        coupled = architecture.coupling()
        reason: Path = coupled.path if coupled is not None else ("gradient", "target")
        yield Problem(("compile", "blocks"), f"{why}; use unrolled", others=(reason,))


def perturbed(compile: Compile, gradient: Gradient) -> Iterator[Problem]:
    """Lowerings of perturbations are read where something is perturbed."""
    if gradient.estimator.perturbs:
        return
    for field in ("losses", "noise", "directional"):
        if getattr(compile, field) != "auto":
            message = "never read by this estimator; remove it"
            yield Problem(("compile", field), message, others=(ESTIMATOR,))


def copies(losses: Losses, compile: Compile) -> Iterator[Problem]:
    """Copies are computed together where a row moves its own loss only."""
    coupling = losses.coupling()
    if compile.losses == "fused" and coupling is not None:
        message = f"{coupling.name} couples the loss copies of all rows; use naive"
        yield Problem(("compile", "losses"), message, others=(coupling.path,))


def noise(compile: Compile, gradient: Gradient) -> Iterator[Problem]:
    """Noise that is drawn by itself can be drawn again."""
    path: Path = ("compile", "noise")
    perturbation = gradient.perturbation or Perturbation()
    if compile.noise == "auto" or not gradient.estimator.perturbs:
        return
    if perturbation.projects:
        message = "never read by projections; remove it"
        yield Problem(path, message, others=(("gradient", "perturbation"),))
    elif compile.noise == "drawn" and not perturbation.guess.set.drawn_alone:
        message = "the samples of this set are drawn together; use stored"
        yield Problem(path, message, others=(("gradient", "perturbation", "guess", "set"),))


def directional(
    architecture: Architecture, losses: Losses, compile: Compile, gradient: Gradient
) -> Iterator[Problem]:
    """Derivatives are taken in a mode that can tell apart what has one of its own."""
    path: Path = ("compile", "directional")
    if compile.directional == "auto" or not gradient.estimator.perturbs:
        return
    if not gradient.estimator.differentiates:
        yield Problem(
            path,
            "never read: this estimator takes differences, not derivatives; remove it",
            others=(ESTIMATOR,),
        )
        return
    forward = compile.directional == "forward"
    why = irreversible(architecture, losses, gradient)
    why = unpushable(architecture, losses, gradient) if forward else why
    if why is not None:
        yield Problem(path, f"{why}; use {'reverse' if forward else 'forward'}")


def precision(compile: Compile, gradient: Gradient) -> Iterator[Problem]:
    """Few digits are enough for derivatives, not for differences nor projections on guesses."""
    if compile.precision == "float32":
        return
    path: Path = ("compile", "precision")
    if not gradient.estimator.differentiates:
        message = "differences of losses would be mostly rounding errors; use float32"
        yield Problem(path, message, others=(("gradient", "estimator", "type"),))
    elif gradient.perturbation is not None and gradient.perturbation.projects:
        message = "projections are computed in float32; use float32"
        yield Problem(path, message, others=(("gradient", "perturbation"),))


CHECKS: tuple[Callable[..., Iterator[Problem]], ...] = (
    passes,
    perturbed,
    copies,
    noise,
    directional,
    precision,
)
