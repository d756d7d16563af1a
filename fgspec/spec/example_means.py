"""Whether the estimate of a batch is the mean of estimates of its examples."""

from typing import NamedTuple

from fgspec.spec.architectures import Architecture
from fgspec.spec.gradient import Gradient, Perturbation
from fgspec.spec.losses import Losses
from fgspec.yaml.load import Path

_PERTURBATION: Path = ("gradient", "perturbation")


class Mixing(NamedTuple):
    """Why an estimate is no such mean.

    Attributes:
        reason: in words.
        path: of the field that says so.
    """

    reason: str
    path: Path


def mixing(architecture: Architecture, losses: Losses, gradient: Gradient) -> Mixing | None:
    """What makes the estimate of a batch another than the mean over its parts; None if nothing.

    Noise that all examples share does not: it is the same in every part.
    """
    coupled = architecture.coupling()
    if coupled is not None:
        return Mixing(f"{coupled.name} normalizes over the batch", coupled.path)
    for at, objective in losses.placed():
        if objective.compares:
            return Mixing(f"{objective} compares the examples of the batch", (*at, "type"))
    perturbation = gradient.perturbation
    if perturbation is None or not gradient.estimator.perturbs or not perturbation.projects:
        return None
    return _of_projections(perturbation)


def _of_projections(perturbation: Perturbation) -> Mixing | None:
    how, made = perturbation.projection, perturbation.guess.made
    if how.coefficient.control:
        reason = f"{how.coefficient.control} does not shrink with the examples that it is of"
        return Mixing(reason, (*_PERTURBATION, "projection", "coefficient"))
    if made and how.type is not None and not how.type.projects:
        reason = "a guess made from the network is multiplied twice, and shrinks with the examples"
        return Mixing(reason, (*_PERTURBATION, "projection", "type"))
    granularity = how.granularity
    if granularity is None:
        return None
    if granularity.spans:
        reason = "the guesses of all examples span what each is projected on"
    elif granularity.whole and (made or not perturbation.space.of_weights):
        reason = "one derivative of the batch multiplies the guesses of all its examples"
    else:
        return None
    return Mixing(reason, (*_PERTURBATION, "projection", "granularity"))
