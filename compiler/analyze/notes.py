"""What a reader of results must know of a plan: what is biased, and what it estimates instead."""

from collections.abc import Iterator

from compiler.gradient.credit import paper_route_is_biased
from compiler.network.network import layers_in
from compiler.plan import Plan


def notes(plan: Plan) -> list[str]:
    """One line for everything that makes the mean of the estimates differ from the target."""
    return [*_credit(plan), *_set(plan), *_projection(plan), *_feedback(plan)]


def _credit(plan: Plan) -> Iterator[str]:
    how = plan.perturbing
    if how is None or how.credit != "paper":
        return
    biased = [
        path
        for segment in plan.segments
        for path, layer in layers_in(segment.blocks)
        if paper_route_is_biased(segment, plan.readout_mixes(segment), layer, path, how.space)
    ]
    if biased:
        where = ", ".join(dict.fromkeys(biased))
        yield (
            f"biased: gradient.perturbation.credit: paper leaves out loss copies that {where} move"
        )


def _set(plan: Plan) -> Iterator[str]:
    if plan.perturbing is not None and plan.perturbing.set == "projected":
        yield (
            "biased by design: estimates the orthogonal projection of the gradient on the "
            f"{plan.perturbing.samples} directions of a step"
        )
    if plan.perturbing is not None and plan.perturbing.step is not None:
        yield f"biased by the curvature along a step of {plan.perturbing.step:g}"


_MEANS = {
    "squared_norm": "estimates the projection of the target on the guess",
    "dimension": "estimates 1/d of the target",
    "optimal": "estimates the target times the scale of least mean squared error",
}


def _projection(plan: Plan) -> Iterator[str]:
    how, perturbation = plan.projecting, plan.experiment.gradient.perturbation
    if how is None or perturbation is None:
        return
    where = ", the last block's is exact" if plan.exact_blocks else ""
    if how.coefficient != "raw":
        yield f"a control: the coefficient is a {how.coefficient}, not the derivative{where}"
    elif how.granularity == "span":
        yield f"biased by design: estimates the projection on the span of all guesses{where}"
    elif how.normalization in _MEANS:
        yield f"biased by design: {_MEANS[how.normalization]}{where}"
    elif perturbation.learned:
        yield f"biased by design: <T, G> G with a guess G that is not of unit variance{where}"


_FEEDBACK = {
    "feedback": "errors travel through backward weights that are not the forward ones",
    "direct_feedback": "the output error goes to every layer through a fixed random matrix",
    "learned_direct_feedback": "the output error goes to every layer through its mean Jacobian, "
    "averaged over past batches",
}


def _feedback(plan: Plan) -> Iterator[str]:
    kind = plan.experiment.gradient.estimator.type
    if kind in _FEEDBACK:
        yield f"biased by design: {_FEEDBACK[kind]}"
