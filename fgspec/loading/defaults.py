"""Defaults that depend on other fields, filled in so that a resolved spec says everything."""

from typing import cast

from fgspec.spec.architectures import Architecture
from fgspec.spec.experiment import Experiment
from fgspec.spec.gradient import Gradient, Perturbation, Projection
from fgspec.spec.losses import Local, Losses
from fgspec.spec.phases import as_in, copied_over, last_loss
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
    done = experiment.model_copy(update={"gradient": gradient, "losses": losses})
    phases = [
        phase.model_copy(update={"gradient": complete(as_in(phase, done)).gradient})
        for phase in experiment.phases
    ]
    return done.model_copy(update={"phases": tuple(phases)})


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
    """Which loss closes the last block, and the axes of copies."""
    replicate = copied_over(local, gradient, architecture)
    return local.model_copy(update={"last": last_loss(local, gradient), "replicate": replicate})
