"""Forward gradients as equations: along noise that moves all at once, and by projection."""

from collections.abc import Iterator
from typing import Any

from fgspec.formulas import notation as of
from fgspec.formulas.facts import Facts, Route
from fgspec.formulas.tree import (
    Bind,
    Equation,
    Expr,
    Index,
    Plus,
    Product,
    PullBack,
    Symbol,
    Total,
)


def joint(facts: Facts, estimator: Any) -> Iterator[Equation]:
    """The estimate along noise that moves all of a chain of blocks at once."""
    how, target = facts.perturbation, facts.target
    space, chosen = how.perturbed_space, how.guess.set
    array, samples = space.array, how.samples
    moves = target.moves(array)
    yield from chosen.equations(array, moves, space.rows)
    for copies in dict.fromkeys(route.copies for route in facts.routes):
        places = {place[:1] for r in facts.routes if r.copies == copies for place in r.places}
        says = estimator.says_slope(space.where)
        yield Equation(
            of.slope(copies), estimator.slope(array, moves, copies), says, frozenset(places)
        )
    for route in facts.routes:
        own = of.slope(route.copies)
        kept = tuple(axis for axis in own.axes[1:] if axis not in of.letters(route.summed))
        body = Total(of.letters(route.summed), own) if route.summed else own
        left = of.credited(array, kept)
        right = Product((of.one_over(facts.rows, "N"), body))
        yield Equation(left, right, _credit(route), route.places)

    def term(at: Index) -> Expr:
        credited = of.credited(array)
        credited = of.replaced(credited, (at, *array.at))
        return Bind(of.LOSS, at, chosen.summed(credited, array, samples))

    says = "The estimate is the perturbation, times the derivatives that it is credited with."
    yield Equation(of.estimate(array), space.masked(target.losses(term)), says)
    yield space.to_weights(facts.past_norm)


def _credit(route: Route) -> str:
    """Which copies an array answers for, in words."""
    names = {"batch": "example", "patch": "patch", "group": "group"}
    own = [names[axis] for axis in route.copies if axis not in route.summed]
    summed = [f"{names[axis]}{'e' * (axis == 'patch')}s" for axis in route.summed]
    arrays, more = ", ".join(route.arrays[:_MOST]), len(route.arrays) - _MOST
    text = f"An element of {arrays}{f' and {more} others' if more > 0 else ''} answers for "
    text += f"the loss copies of its own {' and '.join(own)}" if own else "all losses"
    return f"{text}{', summed over ' + ' and '.join(summed) if summed else ''}."


_MOST = 4
"""Names that are told one by one."""


def projected(facts: Facts) -> Iterator[Equation]:
    """The gradient of the target projected on guesses, each group of arrays by itself."""
    how, target = facts.perturbation, facts.target
    granularity = how.projection.granularity
    space = how.perturbed_space if granularity.whole else how.perturbed_space.of_examples()
    array, made = space.array, how.guess.made
    says = f"The target: the gradient {target.means}, averaged over the batch."
    goal = of.target(array)
    yield Equation(goal, target.losses(lambda at: of.of_loss(at, array)), says)
    if made:
        direction = of.guess(array)
        yield Equation(direction, how.guess.gradient(array, facts.rows), how.guess.says)
    else:
        direction = of.noise(array)
        yield from space.masked_noise()
    left: Expr = goal
    if how.control_variate is not None:
        predicted, variate = of.prediction(array), how.control_variate
        says = f"What is predicted of the target. {variate.says}"
        yield Equation(predicted, variate.gradient(array, facts.rows), says)
        left = Plus(((1, goal), (-1, predicted)))
    yield from granularity.equations(how, array, left, direction)
    if how.projection.applies_to == "weights":
        yield from _scaled(facts, array, direction)
        return
    body = _mean(facts, direction, granularity.product(array, direction))
    if how.control_variate is not None:
        body = Plus(((1, of.prediction(array)), (1, body)))
    says = "The estimate."
    yield Equation(of.estimate(array), body, says, facts.others)
    if facts.exact:
        yield Equation(of.estimate(array), goal, "The last block takes the target.", facts.exact)
    yield space.to_weights(False)


def _mean(facts: Facts, direction: Symbol, body: Expr) -> Expr:
    """The mean over samples, if the direction is drawn."""
    if facts.perturbation.guess.made:
        return body
    own, samples = Total(("k",), body), facts.perturbation.samples
    return Product((of.one_over(samples, "K"), own)) if samples > 1 else own


def _scaled(facts: Facts, array: Symbol, direction: Symbol) -> Iterator[Equation]:
    """Coefficients of the outputs of blocks that scale what examples add to weights."""
    how = facts.perturbation
    kept = (*direction.axes[:1], *how.projection.granularity.kept)
    pulled = PullBack(array, of.W_OF, direction)
    own = Product((of.coefficient(kept), pulled))
    body: Expr = Total(("n",), _mean(facts, direction, own))
    if how.control_variate is not None:
        body = Plus(((1, of.pulled(array, of.W, of.prediction(array))), (1, body)))
    says = "The coefficient of an example scales what its guess adds to the weight."
    yield Equation(of.GRADIENT, body, says, facts.others)
    if facts.exact:
        exact = of.pulled(array, of.W, of.target(array))
        yield Equation(of.GRADIENT, exact, "The last block takes the target.", facts.exact)
