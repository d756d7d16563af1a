"""Defaults that depend on other fields, filled in so that a resolved spec says everything."""

from fgspec.spec.architecture import LocalMixer
from fgspec.spec.consistency import PERTURBING
from fgspec.spec.experiment import Experiment
from fgspec.spec.gradient import Perturbation
from fgspec.spec.losses import InfoNce


def complete(experiment: Experiment) -> Experiment:
    """`experiment` with every default that depends on other fields filled in.

    Local losses under a perturbing estimator are replicated over every axis that the
    architecture has; a perturbing estimator has a perturbation; activations draw noise per
    example, which its views share if there are two, weights per batch.
    """
    gradient, losses = experiment.gradient, experiment.losses
    if gradient.estimator.type not in PERTURBING:
        return experiment
    perturbation = gradient.perturbation or Perturbation()
    if perturbation.sharing is None:
        own = "views" if isinstance(losses.objective, InfoNce) else "example"
        sharing = "batch" if perturbation.space == "weight" else own
        perturbation = perturbation.model_copy(update={"sharing": sharing})
    gradient = gradient.model_copy(update={"perturbation": perturbation})
    if losses.local is not None and losses.local.replicate is None:
        axes = ("patch", "group") if isinstance(experiment.architecture, LocalMixer) else ()
        local = losses.local.model_copy(update={"replicate": axes})
        losses = losses.model_copy(update={"local": local})
    return experiment.model_copy(update={"gradient": gradient, "losses": losses})
