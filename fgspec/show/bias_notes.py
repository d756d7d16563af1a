"""Notes on bias: which estimates of a plan are biased, and what they estimate instead."""

from collections.abc import Iterator

from compiler.network.network import layers_in
from compiler.plan.credit import paper_route_is_biased
from compiler.plan.plan import Plan


def notes(plan: Plan) -> list[str]:
    """One line for everything that makes the mean of an estimate differ from its target."""
    return [*_credit(plan), *_set(plan), *_projection(plan), *_estimator(plan)]


def _credit(plan: Plan) -> Iterator[str]:
    perturbation = plan.perturbation
    if perturbation is None or perturbation.projects or perturbation.credit != "paper":
        return
    biased = [
        path
        for segment in plan.segments
        for path, layer in layers_in(segment.blocks)
        if paper_route_is_biased(
            segment, plan.readout_mixes(segment), layer, path, perturbation.space.of_weights
        )
    ]
    if biased:
        where = ", ".join(dict.fromkeys(biased))
        yield (
            "biased: `gradient.perturbation.credit: paper` leaves out loss copies that depend on "
            f"{where}"
        )


def _set(plan: Plan) -> Iterator[str]:
    perturbation = plan.perturbation
    if perturbation is not None and perturbation.guess.set.bias:
        yield f"biased by design: {perturbation.guess.set.bias} ({perturbation.samples} per step)"


def guesses_its_target(plan: Plan) -> bool:
    """Whether the target is projected on its own gradient, which leaves it as it is."""
    perturbation = plan.perturbation
    if perturbation is None or not perturbation.projection.type:
        return False
    target = str(plan.experiment.gradient.target)
    own = perturbation.guess.of_target == target and perturbation.projection.type.projects
    return own and not perturbation.projection.coefficient.control


def _projection(plan: Plan) -> Iterator[str]:
    perturbation = plan.perturbation
    if (
        perturbation is None
        or not perturbation.projects
        or perturbation.projection.granularity is None
        or guesses_its_target(plan)
    ):
        return
    where = "; the gradient of the last block is exact" if plan.exact_blocks else ""
    scale = perturbation.projection.type
    if perturbation.projection.coefficient.control:
        control = perturbation.projection.coefficient.control
        yield f"a control experiment: the coefficient is {control}, not the derivative{where}"
    elif perturbation.projection.granularity.spans:
        yield (
            "biased by design: estimates the projection of the target on the span of all guesses"
            f"{where}"
        )
    elif scale is not None and scale.bias:
        yield f"biased by design: {scale.bias}{where}"
    elif perturbation.guess.made:
        yield (
            "biased by design: <T, G> G has mean T only for random guesses G of variance 1, not "
            f"for one made from the network{where}"
        )


def _estimator(plan: Plan) -> Iterator[str]:
    if biased := plan.estimator.biased():
        yield f"biased {biased}"
