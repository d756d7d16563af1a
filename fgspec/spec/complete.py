"""Defaults that depend on other fields, filled in so that a resolved spec says everything."""

from fgspec.spec.consistency import PERTURBING
from fgspec.spec.experiment import Experiment
from fgspec.spec.gradient import Perturbation
from fgspec.spec.structure import LOSS_AXES


def complete(experiment: Experiment) -> Experiment:
    """`experiment` with every default that depends on other fields filled in.

    Local losses under a perturbing estimator are replicated over every axis that the
    architecture has, unless their heads pool; a perturbing estimator has a perturbation;
    activations draw noise per example, weights per batch.
    """
    gradient, losses = experiment.gradient, experiment.losses
    if gradient.estimator.type not in PERTURBING:
        return experiment
    perturbation = gradient.perturbation or Perturbation()
    if perturbation.sharing is None:
        sharing = "batch" if perturbation.space == "weight" else "example"
        perturbation = perturbation.model_copy(update={"sharing": sharing})
    gradient = gradient.model_copy(update={"perturbation": perturbation})
    if losses.local is not None and losses.local.replicate is None:
        pooled = losses.local.aggregation == "pooled"
        axes = () if pooled else LOSS_AXES[experiment.architecture.type]
        local = losses.local.model_copy(update={"replicate": axes})
        losses = losses.model_copy(update={"local": local})
    return experiment.model_copy(update={"gradient": gradient, "losses": losses})
