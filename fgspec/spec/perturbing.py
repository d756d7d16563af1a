"""What must agree around a perturbation: space, guess, samples and projection."""

from collections.abc import Callable, Iterator
from typing import Any

from fgspec.diagnostics import Problem
from fgspec.spec.architectures import Architecture
from fgspec.spec.gradient import PERTURBING, Gradient, Perturbation
from fgspec.spec.losses import Losses
from fgspec.spec.structure import coupling
from fgspec.yaml12 import Path

BASE: Path = ("gradient", "perturbation")
ESTIMATOR: Path = ("gradient", "estimator", "type")
GUESS: Path = (*BASE, "guess", "type")
SET: Path = (*BASE, "guess", "set")
SPACE: Path = (*BASE, "space")
SAMPLES: Path = (*BASE, "samples")
_HEADS = ("local", "ntk", "fixed_ntk", "above")


def reads_heads(gradient: Gradient) -> bool:
    """Whether guesses are made from local losses."""
    guides = gradient.perturbation.guides if gradient.perturbation is not None else ()
    return any(guide in _HEADS for guide in guides)


def belongs(losses: Losses, gradient: Gradient) -> Iterator[Problem]:
    """Perturbations belong to the estimators that perturb, and have what their space needs."""
    found = gradient.perturbation
    if found is None:
        return
    if gradient.estimator.type not in PERTURBING:
        yield Problem(BASE, "never read by this estimator; remove it", False, (ESTIMATOR,))
        return
    if found.learned and found.sharing is not None:
        message = "never read: this guess is not drawn; remove it"
        yield Problem((*BASE, "sharing"), message, others=(GUESS,))
    elif found.space == "weight" and found.sharing == "views":
        message = "views share noise on features; say batch or example"
        yield Problem((*BASE, "sharing"), message, others=(SPACE,))
    if found.sharing == "views" and losses.objective.views == 1:
        message = "this objective has one view of each example; use example or batch"
        yield Problem((*BASE, "sharing"), message, others=(("losses", "objective", "type"),))


def sharing(architecture: Architecture, losses: Losses, gradient: Gradient) -> Iterator[Problem]:
    """Noise can tell apart the examples whose losses it tells apart."""
    found, at = gradient.perturbation, (*BASE, "sharing")
    if found is None or found.learned or found.sharing is None:
        return
    own = found.sharing == "example"
    if found.projects:
        if found.space == "weight" and own:
            message = "projections take noise on weights that is the batch's; say batch"
            yield Problem(at, message, others=((*BASE, "projection"),))
        elif found.space != "weight" and not own and found.projection.granularity == "batch":
            message = "one derivative for the batch times noise that it shares gives every "
            message += "example the gradient of all; say example"
            yield Problem(at, message, others=((*BASE, "projection", "granularity"),))
        return
    coupled = coupling(architecture, losses)
    as_paper = architecture.coupling() is None and found.credit == "paper"
    if coupled is not None and own == (found.space == "weight") and not as_paper:
        say = "batch" if own else "example"
        why = "couples examples, which then answer for each other's losses"
        yield Problem(at, f"{coupled.name} {why}; say {say}", others=(coupled.path,))


def samples(gradient: Gradient) -> Iterator[Problem]:
    """Sets of samples have the samples, the guess and the estimator that they need."""
    found = gradient.perturbation
    if found is None:
        return
    kind = found.guess.set
    if found.learned:
        if found.samples > 1 or kind != "independent":
            message = "never read: this guess is one direction; remove it"
            yield Problem(SAMPLES if found.samples > 1 else SET, message, others=(GUESS,))
    elif kind == "antithetic" and gradient.estimator.type != "finite_difference":
        message = "a derivative along -u says what the one along u does; say independent"
        yield Problem(SET, message, others=(ESTIMATOR,))
    elif kind == "antithetic" and found.samples % 2:
        yield Problem(SAMPLES, "must be even: opposites come in pairs", others=(SET,))
    elif kind != "independent" and found.projects:
        message = "all that is perturbed must move together; say independent"
        yield Problem(SET, message, others=((*BASE, "projection"),))
    elif kind not in ("independent", "antithetic") and found.guess.type != "normal":
        message = "spans a uniformly random subspace if the guess is normal; say normal"
        yield Problem(GUESS, message, others=(SET,))
    elif kind not in ("independent", "antithetic") and found.samples == 1:
        yield Problem(SAMPLES, "must be at least 2 for a set", others=(SET,))


def guides(losses: Losses, gradient: Gradient, rule: str | None) -> Iterator[Problem]:
    """Guesses made from the network have the losses they are made from, and the last is exact."""
    found = gradient.perturbation
    if found is None or not found.guides:
        return
    source = GUESS if found.learned else (*BASE, "control_variate")
    if reads_heads(gradient) and losses.local is None:
        message = "is made from local losses; add losses.local: {every: 1}"
        if rule is not None:
            message = f"is made from local losses, which rule {rule} does without; write "
            message += "out its gradient instead, and add losses.local: {every: 1}"
        yield Problem(source, message)
    if losses.local is not None and losses.local.last == "local":
        message = "the last block takes its exact gradient of the final loss; say final"
        yield Problem(("losses", "local", "last"), message, others=(source,))
    if found.last_block == "estimated":
        message = "there is no guess for the last block; say exact"
        yield Problem((*BASE, "last_block"), message, others=(source,))
    if found.learned and found.control_variate is not None:
        message = "corrects a prediction by noise; say normal, rademacher or sphere"
        yield Problem(GUESS, message, others=((*BASE, "control_variate"),))


def projection(losses: Losses, gradient: Gradient) -> Iterator[Problem]:
    """What can be projected on what."""
    found = gradient.perturbation
    if found is None or not found.projects:
        return
    for path, message, others in _projection(found, gradient):
        yield Problem(path, message, others=others)
    axes = losses.local.replicate if losses.local is not None else None
    if axes:
        message = "copies of a loss have derivatives of their own only where all that is perturbed "
        message += "moves together; say []"
        path: Path = ("losses", "local", "replicate")
        yield Problem(path, message, others=((*BASE, "projection"),))
    last = losses.local.last if losses.local is not None else "final"
    if found.last_block == "exact" and last == "local" and not found.guides:
        message = "exact is the gradient of the final loss; say final"
        yield Problem(("losses", "local", "last"), message, others=((*BASE, "last_block"),))


def _projection(found: Perturbation, gradient: Gradient) -> Iterator[tuple[Path, str, Any]]:
    at: Path = (*BASE, "projection")
    how = found.projection
    if gradient.estimator.type == "finite_difference":
        yield (
            ESTIMATOR,
            "differences are taken along noise that moves together; say forward",
            (GUESS,),
        )
    if found.learned and how.type in ("dimension", "optimal"):
        message = "is the scale of noise of unit variance; say squared_norm or none"
        yield (*at, "type"), message, (GUESS,)
    if not found.learned and found.space == "weight" and how.granularity in ("example", "span"):
        yield (*at, "granularity"), "noise on weights is the batch's; say batch", (SPACE,)
    span: Path = (*at, "granularity")
    if how.granularity == "span" and how.coefficient != "raw":
        yield (*at, "coefficient"), "a projection on a span has raw coefficients; say raw", (span,)
    elif how.granularity == "span" and how.type not in (None, "squared_norm"):
        yield (*at, "type"), "a span is projected on; say squared_norm", (span,)
    if found.credit != "influenced":
        yield (*BASE, "credit"), "never read: losses have no copies here; remove it", (GUESS,)


CHECKS: tuple[Callable[..., Iterator[Problem]], ...] = (
    belongs,
    sharing,
    samples,
    guides,
    projection,
)
