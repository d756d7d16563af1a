"""Which derivatives along perturbations can be pushed forward, which be inner products."""

from fgspec.spec.architectures import Architecture
from fgspec.spec.gradient import Gradient, Perturbation
from fgspec.spec.losses import Losses
from fgspec.spec.structure import coupling


def irreversible(architecture: Architecture, losses: Losses, gradient: Gradient) -> str | None:
    """Why the derivatives along noise must be pushed forward, or None if they need not.

    A reverse pass sums over what it starts from: it tells apart no copies of a loss, and examples
    only where the perturbation of each moves its own loss alone.
    """
    perturbation = gradient.perturbation or Perturbation()
    if perturbation.projects:
        return None
    if gradient.target.reads_local and _copied(architecture, losses):
        return "each copy of a replicated loss needs its own derivative"
    coupled = coupling(architecture, losses)
    if coupled is not None and not perturbation.space.of_weights:
        return f"{coupled.name} couples examples, and each needs the derivative of its own loss"
    return None


def unpushable(architecture: Architecture, losses: Losses, gradient: Gradient) -> str | None:
    """Why the derivatives along guesses must be inner products, or None if tangents can be pushed.

    A tangent goes with what a space perturbs, and what it does to an example's loss is of that
    example's guess only where no other example moves the loss.
    """
    perturbation = gradient.perturbation or Perturbation()
    if not perturbation.projects:
        return None
    granularity = perturbation.projection.granularity
    if granularity is not None and granularity.spans:
        return "a projection on a span takes the whole gradients"
    drawn = perturbation.space.of_weights and not perturbation.guess.made
    if (granularity is not None and granularity.whole) or drawn:
        return None
    if perturbation.space.of_weights:
        return "guesses of every example's weights are never held at once"
    coupled = coupling(architecture, losses)
    if coupled is not None:
        return f"{coupled.name} couples examples, whose guesses move each other's losses"
    return None


def _copied(architecture: Architecture, losses: Losses) -> bool:
    """Whether local losses have copies over patches or groups."""
    local = losses.local
    if local is None or local.aggregation == "pooled":
        return False
    return bool(architecture.loss_axes if local.replicate is None else local.replicate)
