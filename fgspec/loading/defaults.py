"""Defaults that depend on other fields, filled in so that a resolved spec says everything."""

from typing import cast

from fgspec.spec.architectures import Architecture
from fgspec.spec.experiment import Experiment
from fgspec.spec.gradient import Gradient, Perturbation, Projection
from fgspec.spec.losses import Local, Losses
from fgspec.spec.projections import (
    GROUPINGS,
    ByNet,
    Grouping,
    NoScale,
    PerBatch,
    PerExample,
    SquaredNorm,
)
from fgspec.spec.structure import coupling


def complete(experiment: Experiment) -> Experiment:
    """`experiment` with every default that depends on other fields filled in."""
    gradient, losses = experiment.gradient, experiment.losses
    if gradient.estimator.perturbs:
        coupled = coupling(experiment.architecture, losses) is not None
        given = gradient.perturbation or Perturbation()
        completed = _perturbation(given, losses, coupled)
        gradient = gradient.model_copy(update={"perturbation": completed})
    if losses.local is not None:
        local = _local(losses.local, gradient, experiment.architecture)
        losses = losses.model_copy(update={"local": local})
    return experiment.model_copy(update={"gradient": gradient, "losses": losses})


def _perturbation(given: Perturbation, losses: Losses, coupled: bool) -> Perturbation:
    """Activations draw noise per example, shared by its views, weights per batch.

    Guesses that are not drawn are projected on. Views of coupled examples share nothing.
    """
    drawn, how, space = not given.guess.made, given.projection, given.space
    spans = how.granularity is not None and how.granularity.spans
    scaled = (drawn and not spans) or bool(how.coefficient.control)
    grouping = ByNet() if drawn else cast(type[Grouping], GROUPINGS.kind(space.grouping))()
    sharing = given.sharing or space.sharing(losses.views > 1 and not coupled)
    # Projected derivatives of single examples need noise of their own, and the other way round.
    single = sharing == "example" and given.projects
    whole = drawn and space.of_weights and not single
    filled = Projection(
        type=how.type or (NoScale() if scaled else SquaredNorm()),
        coefficient=how.coefficient,
        granularity=how.granularity or (PerBatch() if whole else PerExample()),
        grouping=how.grouping or grouping,
        applies_to=how.applies_to,
    )
    updates = {
        "projection": filled,
        "sharing": sharing if drawn else None,
        "last_block": given.last_block or ("exact" if given.guides else "estimated"),
    }
    return given.model_copy(update=updates)


def _local(local: Local, gradient: Gradient, architecture: Architecture) -> Local:
    """Losses are replicated over every axis, where all that is perturbed moves together.

    The final loss closes the last block where something is estimated of it.
    """
    perturbation = gradient.perturbation
    exact = perturbation is not None and perturbation.last_block == "exact"
    final = exact or not gradient.target.reads_local
    updates: dict[str, object] = {"last": local.last or ("final" if final else "local")}
    if perturbation is not None and local.replicate is None:
        whole = perturbation.projects or local.aggregation == "pooled"
        updates["replicate"] = () if whole else architecture.loss_axes
    return local.model_copy(update=updates)
