"""The learning rule of a plan as equations."""

from collections.abc import Iterator
from math import prod

from compiler.named_arrays.axes import Axis
from compiler.network.network import every_layer, layers_in
from compiler.plan.plan import Plan
from compiler.plan.segment import Segment
from fgspec.formulas import notation as of
from fgspec.formulas.facts import Facts, Route
from fgspec.formulas.tree import Equation


def facts_of(plan: Plan) -> Facts:
    """What the formulas of a plan depend on."""
    how = plan.perturbation
    blocks = plan.network.blocks
    names = {(block.name,): block.name for block in blocks}
    names |= {(path,): path.split("/")[0] for path, _ in every_layer(blocks)}
    names |= {
        (f"{path}/{name}",): path.split("/")[0]
        for path, layer in layers_in(blocks)
        for name in layer.params()
    }
    exact = plan.exact_blocks if how is not None else frozenset()
    return Facts(
        target=plan.experiment.gradient.target,
        perturbation=how,
        rows=plan.rows,
        routes=tuple(_routes(plan)) if plan.moves_together else (),
        past_norm=how is not None
        and how.space.layerwise
        and not how.projects
        and plan.experiment.architecture.ignored_norm() is not None,
        exact=frozenset(place for place, block in names.items() if block in exact),
        others=frozenset(place for place, block in names.items() if block not in exact),
        losses=frozenset(((of.LOSS.name, unit),) for unit in range(len(plan.units))),
    )


def _routes(plan: Plan) -> Iterator[Route]:
    """How arrays are credited, those alike together."""
    sites = [site for _, site in plan.units]
    found: dict[tuple[tuple[str, ...], tuple[str, ...]], dict[tuple[int, str], None]] = {}
    for segment in plan.segments:
        site = segment.sites[-1]
        unit = sites.index(site)
        for name, element in plan.perturbed(segment).items():
            summed = tuple(axis for axis in site.axes if axis not in element.route)
            found.setdefault((site.axes, summed), {})[unit, name] = None
    for (copies, summed), places in found.items():
        arrays = dict.fromkeys(called(name) for _, name in places)
        yield Route(copies, summed, frozenset(places), tuple(arrays))


def called(name: str) -> str:
    """`channel` of `block0/channel`: a perturbed array without its block."""
    return name.partition("/")[2] or "the outputs of blocks"


def equations_of(plan: Plan) -> tuple[Equation, ...]:
    """The gradient of every weight of the blocks; none if the estimator has no formula."""
    return tuple(plan.experiment.gradient.estimator.equations(facts_of(plan)))


def readout_equation() -> Equation:
    """What heads and the classifier learn."""
    says = "Heads and the classifier take the exact gradient of their own loss."
    left = of.Symbol("readout gradient", r"\hat g", "ĝ", of.HEAD.at)
    return Equation(left, of.of_loss(of.LOSS, of.HEAD), says)


def shared_dimension(plan: Plan) -> int:
    """The most numbers whose noise is in one derivative, where noise moves all; else 0."""
    if not plan.moves_together:
        return 0
    return max(_of_derivative(plan, segment) for segment in plan.segments)


def _of_derivative(plan: Plan, segment: Segment) -> int:
    """Numbers that move the copies of a segment's loss that one element answers for."""
    copies = set(segment.sites[-1].axes)
    elements = plan.perturbed(segment).values()

    def moving(route: set[Axis]) -> int:
        return sum(
            prod(
                size
                for size, axis in zip(e.shape, e.axes, strict=True)
                if axis not in route or axis not in e.route
            )
            for e in elements
        )

    return max(moving(copies & set(element.route)) for element in elements)
