"""Stages of a pipeline: which units each trains, and the schedule."""

import itertools
from collections.abc import Iterator, Sequence

from compiler.analyze.cost import layer_flops
from compiler.gradient.segment import Unit
from compiler.plan import Plan


def stages(plan: Plan) -> tuple[range, ...]:
    """The units of each stage, in a row, such that the slowest stage is as quick as can be."""
    costs = [_flops(plan, unit) for unit in plan.units]
    return _balanced(costs, plan.experiment.mesh.stage)


def _flops(plan: Plan, unit: Unit) -> float:
    """FLOPs of a unit's maps and of its readout, which is trained on its exact gradient."""
    blocks, site = unit
    inside = sum(layer_flops(layer, 1) for block in blocks for layer in block.layers)
    return 3.0 * (inside + sum(layer_flops(layer, 1) for layer in plan.readout(site).layers))


def _balanced(costs: Sequence[float], count: int) -> tuple[range, ...]:
    """`count` ranges of at least one number whose largest sum is least."""
    ends = [0.0, *itertools.accumulate(costs)]
    best = {0: (0.0, list[range]())}
    for stage in range(1, count + 1):
        longer: dict[int, tuple[float, list[range]]] = {}
        for stop in range(stage, len(costs) - (count - stage) + 1):
            starts = [start for start in best if start < stop]
            longest = {start: max(best[start][0], ends[stop] - ends[start]) for start in starts}
            start = min(starts, key=longest.__getitem__)
            longer[stop] = (longest[start], [*best[start][1], range(start, stop)])
        best = longer
    return tuple(best[len(costs)][1])


def balance(plan: Plan) -> float:
    """Mean of the stages' predicted times, of the longest: 1 where all take the same."""
    times = [sum(_flops(plan, plan.units[index]) for index in span) for span in stages(plan)]
    return sum(times) / len(times) / max(times)


def utilisation(plan: Plan, steps: int) -> float:
    """The share of a call of so many steps in which stages compute."""
    return steps / (steps + plan.experiment.mesh.stage - 1) * balance(plan)


def schedule(plan: Plan, steps: int, shown: int = 8) -> Iterator[str]:
    """A picture of a call: what batch each stage trains on at each tick, and its units."""
    spans = stages(plan)
    ticks = min(steps, shown) + len(spans) - 1
    width = len(str(ticks)) + 1
    names = [_named(plan, span) for span in spans]
    side = max(map(len, names))
    more = " ..." if steps > shown else ""
    yield f"{'tick':<{side + 9}}" + "".join(f"{tick:{width}d}" for tick in range(ticks)) + more
    for stage, name in enumerate(names):
        cells = (tick - stage for tick in range(ticks))
        drawn = "".join(f"{b:{width}d}" if 0 <= b < steps else ".".rjust(width) for b in cells)
        yield f"stage {stage:<2} {name:<{side}}{drawn}{more}"
    yield (
        f"{steps} batches a call: stages compute {utilisation(plan, steps):.0%} of the time "
        f"({balance(plan):.0%} by their sizes)"
    )


def _named(plan: Plan, span: range) -> str:
    """`block0-block2` and, at the end, the classifier."""
    names = [block.name for index in span for block in plan.units[index][0]]
    inside = names[0] if len(names) == 1 else f"{names[0]}-{names[-1]}"
    return inside + (", classifier" if span.stop == len(plan.units) else "")
