"""What a spec says of perturbations, as the estimators take it."""

from compiler.gradient.projected import Projection
from compiler.gradient.segment import Unit
from compiler.gradient.spaces import Perturbing, space_of
from compiler.noise import guess_of
from fgspec.spec.directional import irreversible
from fgspec.spec.experiment import Experiment
from fgspec.spec.gradient import FiniteDifference


def perturbing_of(experiment: Experiment) -> Perturbing | None:
    """How all that is perturbed in a segment moves together; None if it does not."""
    perturbation, estimator = experiment.gradient.perturbation, experiment.gradient.estimator
    if perturbation is None or perturbation.projects:
        return None
    return Perturbing(
        space=space_of(perturbation),
        samples=perturbation.samples,
        set=perturbation.guess.set,
        shared=perturbation.sharing == "batch",
        credit=perturbation.credit,
        through_norm=experiment.architecture.ignored_norm() is None,
        vectorized=experiment.compile.samples == "vectorized",
        redrawn=experiment.compile.noise == "drawn",
        derivative=derivative_of(experiment),
        step=estimator.epsilon if isinstance(estimator, FiniteDifference) else None,
    )


def derivative_of(experiment: Experiment) -> str:
    """A row of `DERIVATIVES`.

    A tangent of every sample costs what one gradient for all of them does, so from two samples on
    a gradient is cheaper; for one it would only add inner products, and what it stores.
    """
    gradient, wanted = experiment.gradient, experiment.compile.directional
    if isinstance(gradient.estimator, FiniteDifference):
        return "difference"
    if wanted != "auto":
        return wanted
    possible = irreversible(experiment.architecture, experiment.losses, gradient) is None
    samples = gradient.perturbation.samples if gradient.perturbation is not None else 1
    return "reverse" if possible and samples > 1 else "forward"


def projecting_of(experiment: Experiment, units: tuple[Unit, ...]) -> Projection | None:
    """How targets are projected on guesses; None if they are not."""
    perturbation = experiment.gradient.perturbation
    if perturbation is None or not perturbation.projects:
        return None
    how = perturbation.projection
    isolated = units if experiment.losses.isolate == "block" else ()
    return Projection(
        normalization=how.type or "none",
        coefficient=how.coefficient,
        granularity=how.granularity or "example",
        grouping=how.grouping or "net",
        derivative="forward" if experiment.compile.directional == "forward" else "reverse",
        samples=perturbation.samples,
        kurtosis=0.0 if perturbation.learned else guess_of(perturbation.guess.type).kurtosis,
        chains=tuple((block.name, blocks[0].name) for blocks, _ in isolated for block in blocks),
    )
