"""Which specs have blocks that one compiled body can serve, scanned over depth."""

from fgspec.spec.architectures import Architecture
from fgspec.spec.gradient import PERTURBING, REVERSE, Gradient
from fgspec.spec.run import Compile


def unscannable(architecture: Architecture, gradient: Gradient) -> str | None:
    """Why equal blocks must be compiled one by one, or None if they can be scanned."""
    kind, perturbation = gradient.estimator.type, gradient.perturbation
    coupled = architecture.coupling()
    if coupled is not None:
        return f"{coupled.name} keeps statistics of every layer"
    if gradient.target == "global" and kind in REVERSE:
        return None
    if gradient.target != "local":
        return f"under target {gradient.target} this estimator reaches over several blocks"
    if kind in PERTURBING and perturbation is not None and perturbation.projects:
        return "projections take the gradients of all blocks at once"
    return None


def stores_all(gradient: Gradient, compile: Compile) -> bool:
    """Whether a reverse pass goes through all blocks and computes nothing again.

    XLA then stores less, and is quicker, with the blocks unrolled.
    """
    return gradient.target == "global" and compile.rematerialize in ("auto", "never")
