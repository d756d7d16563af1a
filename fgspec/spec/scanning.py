"""Which specs have blocks that one compiled body can serve, scanned over depth."""

from fgspec.spec.architectures import Architecture
from fgspec.spec.gradient import Gradient
from fgspec.spec.losses import Losses
from fgspec.spec.run import Compile


def unscannable(architecture: Architecture, losses: Losses, gradient: Gradient) -> str | None:
    """Why equal blocks must be compiled one by one, or None if they can be scanned."""
    perturbation, estimator = gradient.perturbation, gradient.estimator
    coupled = architecture.coupling()
    if coupled is not None:
        return f"{coupled.name} keeps statistics of every layer"
    if estimator.couples_blocks:
        return estimator.couples_blocks
    if estimator.perturbs and perturbation is not None and perturbation.guess.set.keeps:
        return perturbation.guess.set.keeps
    if not gradient.target.reads_local and losses.local is not None:
        return "heads beside a global target read the features of every block"
    if not gradient.target.reads_local and estimator.backward:
        return None
    if not gradient.target.inside:
        return f"under target {gradient.target} this estimator reaches over several blocks"
    if estimator.perturbs and perturbation is not None and perturbation.projects:
        return "projections take the gradients of all blocks at once"
    return None


def stores_all(gradient: Gradient, compile: Compile) -> bool:
    """Whether a reverse pass goes through all blocks and computes nothing again.

    XLA then stores less, and is faster, with the blocks unrolled.
    """
    # A scanned body stores every intermediate, as XLA's loops cannot choose: unrolled took four
    # fifths of the memory. What is computed again is scanned: unrolled, XLA moved it to the front.
    return not gradient.target.reads_local and compile.rematerialize in ("auto", "never")
