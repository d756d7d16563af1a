"""Defaults that depend on other fields, filled in so that a resolved spec says everything."""

from fgspec.spec.architectures import Architecture
from fgspec.spec.experiment import Experiment
from fgspec.spec.gradient import PERTURBING, Perturbation, Projection
from fgspec.spec.losses import Local, Losses
from fgspec.spec.structure import coupling


def complete(experiment: Experiment) -> Experiment:
    """`experiment` with every default that depends on other fields filled in."""
    gradient, losses = experiment.gradient, experiment.losses
    if gradient.estimator.type in PERTURBING:
        coupled = coupling(experiment.architecture, losses) is not None
        given = gradient.perturbation or Perturbation()
        completed = _perturbation(given, losses, coupled)
        gradient = gradient.model_copy(update={"perturbation": completed})
    if losses.local is not None:
        local = _local(losses.local, gradient.perturbation, experiment.architecture)
        losses = losses.model_copy(update={"local": local})
    return experiment.model_copy(update={"gradient": gradient, "losses": losses})


def _perturbation(given: Perturbation, losses: Losses, coupled: bool) -> Perturbation:
    """Activations draw noise per example, shared by its views, weights per batch.

    Guesses that are not drawn are projected on. Views of coupled examples share nothing.
    """
    noisy = not given.learned
    projection = given.projection
    whole = noisy and given.space == "weight"
    drawn = noisy and projection.granularity != "span"
    defaults = {
        "type": "none" if drawn or projection.coefficient != "raw" else "squared_norm",
        "granularity": "batch" if whole else "example",
        "grouping": "net" if noisy else "block" if given.space == "block_output" else "tensor",
    }
    own = "views" if losses.objective.views > 1 and not coupled else "example"
    sharing = given.sharing or ("batch" if given.space == "weight" else own)
    updates = {
        "projection": _filled(projection, defaults),
        "sharing": sharing if noisy else None,
        "last_block": given.last_block or ("exact" if given.guides else "estimated"),
    }
    return given.model_copy(update=updates)


def _filled(projection: Projection, defaults: dict[str, str]) -> Projection:
    missing = {k: value for k, value in defaults.items() if getattr(projection, k) is None}
    return projection.model_copy(update=missing)


def _local(local: Local, perturbation: Perturbation | None, architecture: Architecture) -> Local:
    """Losses are replicated over every axis, where all that is perturbed moves together."""
    final = perturbation is not None and perturbation.last_block == "exact"
    updates: dict[str, object] = {"last": local.last or ("final" if final else "local")}
    if perturbation is not None and local.replicate is None:
        whole = perturbation.projects or local.aggregation == "pooled"
        updates["replicate"] = () if whole else architecture.loss_axes
    return local.model_copy(update=updates)
