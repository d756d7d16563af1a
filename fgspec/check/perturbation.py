"""What must agree around a perturbation: space, guess, samples and projection."""

from collections.abc import Callable, Iterator
from typing import Any

from fgspec.problems.problems import Problem
from fgspec.spec.architectures import Architecture
from fgspec.spec.gradient import Gradient, Perturbation
from fgspec.spec.losses import Losses
from fgspec.spec.structure import coupling
from fgspec.yaml.load import Path

BASE: Path = ("gradient", "perturbation")
ESTIMATOR: Path = ("gradient", "estimator", "type")
GUESS: Path = (*BASE, "guess", "type")
SET: Path = (*BASE, "guess", "set")
SPACE: Path = (*BASE, "space")
SAMPLES: Path = (*BASE, "samples")


def belongs(losses: Losses, gradient: Gradient) -> Iterator[Problem]:
    """Perturbations belong to the estimators that perturb, and have what their space needs."""
    found = gradient.perturbation
    if found is None:
        return
    if not gradient.estimator.perturbs:
        yield Problem(BASE, "never read by this estimator; remove it", False, (ESTIMATOR,))
        return
    if found.guess.made and found.sharing is not None:
        message = "never read: this guess is computed, not drawn; remove it"
        yield Problem((*BASE, "sharing"), message, others=(GUESS,))
    elif found.space.of_weights and found.sharing == "views":
        message = "views can share noise on features only; use batch or example"
        yield Problem((*BASE, "sharing"), message, others=(SPACE,))
    if found.sharing == "views" and losses.views == 1:
        message = "this objective has one view of each example; use example or batch"
        yield Problem((*BASE, "sharing"), message, others=(("losses", "objective", "type"),))


def sharing(architecture: Architecture, losses: Losses, gradient: Gradient) -> Iterator[Problem]:
    """Noise can tell apart the examples whose losses it tells apart."""
    found, at = gradient.perturbation, (*BASE, "sharing")
    if found is None or found.guess.made:
        return
    if found.sharing is None:
        if found.space.of_weights and found.projects and not _whole(found) and not _spans(found):
            message = "noise on weights is shared by the batch; use batch, or set sharing: example"
            yield Problem((*BASE, "projection", "granularity"), message, others=(SPACE,))
        return
    own = found.sharing == "example"
    if found.projects:
        if found.space.of_weights and own and (_whole(found) or _spans(found)):
            message = "one derivative for all examples needs noise that they share; use batch"
            yield Problem(at, message, others=((*BASE, "projection", "granularity"),))
        elif found.space.of_weights and not own and not _whole(found):
            message = "one derivative per example needs noise per example; use example"
            yield Problem(at, message, others=((*BASE, "projection", "granularity"),))
        elif not found.space.of_weights and not own and _whole(found):
            message = "one derivative for the batch times noise that it shares gives every "
            message += "example the gradient of all; use example"
            yield Problem(at, message, others=((*BASE, "projection", "granularity"),))
        return
    coupled = coupling(architecture, losses)
    as_paper = architecture.coupling() is None and found.credit == "paper"
    if coupled is not None and own == (found.space.of_weights) and not as_paper:
        say = "batch" if own else "example"
        why = "couples examples, so noise on one example changes the losses of others"
        yield Problem(at, f"{coupled.name} {why}; use {say}", others=(coupled.path,))


def samples(gradient: Gradient) -> Iterator[Problem]:
    """Sets of samples have the samples, the guess and the estimator that they need."""
    found = gradient.perturbation
    if found is None:
        return
    own = found.guess.set
    if found.guess.made:
        if found.samples > 1 or not own.drawn_alone:
            message = "never read: this guess is a single direction; remove it"
            yield Problem(SAMPLES if found.samples > 1 else SET, message, others=(GUESS,))
        return
    places = {"set": SET, "type": GUESS, "samples": SAMPLES, "estimator": ESTIMATOR}
    places |= {"space": SPACE, "sharing": (*BASE, "sharing")}
    misfits = list(own.misfits(found, gradient.estimator))
    for field, message, other in misfits:
        yield Problem(places[field], message, others=(places[other],))
    if not misfits and not own.drawn_alone and found.projects:
        message = "all that is perturbed must move together; use independent"
        yield Problem(SET, message, others=((*BASE, "projection"),))


def guides(losses: Losses, gradient: Gradient, rule: str | None) -> Iterator[Problem]:
    """Guesses made from the network have the losses they are made from, and the last is exact."""
    found = gradient.perturbation
    if found is None or not found.guides:
        return
    source = GUESS if found.guess.made else (*BASE, "control_variate")
    if found.reads_heads and losses.local is None:
        message = "is computed from local losses; add losses.local: {every: 1}"
        if rule is not None:
            message = f"is computed from local losses, which rule {rule} does not have; write "
            message += "out the rule's gradient section instead, and add losses.local: {every: 1}"
        yield Problem(source, message)
    if losses.local is not None and losses.local.last == "local":
        message = "the last block learns the exact gradient of the final loss; use final"
        yield Problem(("losses", "local", "last"), message, others=(source,))
    if found.last_block == "estimated":
        message = "there is no guess for the last block; use exact"
        yield Problem((*BASE, "last_block"), message, others=(source,))
    if found.guess.made and found.control_variate is not None:
        message = "a control variate needs a random guess; use normal, rademacher or sphere"
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
        message += "moves together; use []"
        path: Path = ("losses", "local", "replicate")
        yield Problem(path, message, others=((*BASE, "projection"),))
    last = losses.local.last if losses.local is not None else "final"
    if found.last_block == "exact" and last == "local" and not found.guides:
        message = "last_block: exact is the gradient of the final loss; use final"
        yield Problem(("losses", "local", "last"), message, others=((*BASE, "last_block"),))


def _projection(found: Perturbation, gradient: Gradient) -> Iterator[tuple[Path, str, Any]]:
    at: Path = (*BASE, "projection")
    how = found.projection
    if not gradient.estimator.differentiates:
        message = "a projection needs derivatives, not finite differences; use forward"
        yield ESTIMATOR, message, (GUESS,)
    if found.guess.made and how.type is not None and how.type.of_unit_noise:
        message = (
            "is the scale for noise of unit variance, but this guess is not drawn; use "
            "squared_norm or none"
        )
        yield (*at, "type"), message, (GUESS,)
    span: Path = (*at, "granularity")
    if not found.guess.made and found.space.of_weights and _spans(found):
        yield span, "noise on weights spans no space that examples share; use batch", (SPACE,)
    if _spans(found) and how.coefficient.control:
        yield (
            (*at, "coefficient"),
            "a projection on a span needs raw coefficients; use raw",
            (span,),
        )
    elif _spans(found) and how.type is not None and not how.type.projects:
        yield (*at, "type"), "a projection on a span needs squared_norm; use that", (span,)
    if how.applies_to == "weights" and (found.space.of_weights or found.space.layerwise):
        message = "only has an effect when outputs of blocks are perturbed; remove it"
        yield (*at, "applies_to"), message, (SPACE,)
    elif how.applies_to == "weights" and _whole(found):
        message = "one coefficient for the batch scales all examples equally; use output"
        yield (*at, "applies_to"), message, (span,)
    elif how.applies_to == "weights" and _spans(found):
        # An example is projected on the guesses of all, so it has no single coefficient of its own.
        message = "a projection on a span has no coefficient for each example; use output"
        yield (*at, "applies_to"), message, (span,)
    if found.credit != "influenced":
        yield (*BASE, "credit"), "never read: the losses have no copies; remove it", (GUESS,)


def _whole(found: Perturbation) -> bool:
    """Whether the batch has one derivative; by default where it shares noise on weights."""
    granularity = found.projection.granularity
    if granularity is None:
        return not found.guess.made and found.space.of_weights and found.sharing != "example"
    return granularity.whole


def _spans(found: Perturbation) -> bool:
    granularity = found.projection.granularity
    return granularity is not None and granularity.spans


CHECKS: tuple[Callable[..., Iterator[Problem]], ...] = (
    belongs,
    sharing,
    samples,
    guides,
    projection,
)
