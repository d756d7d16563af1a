"""The stages of a pipeline: which units each of them trains, and their schedule."""

import itertools
from collections import Counter
from collections.abc import Iterator, Sequence
from functools import lru_cache

from compiler.cost.update_flops import flops_by_scope
from compiler.plan.plan import Plan


@lru_cache(maxsize=256)
def stages(plan: Plan) -> tuple[range, ...]:
    """The consecutive units of each stage, so that the slowest stage is as fast as possible."""
    return _balanced(_unit_flops(plan), plan.experiment.mesh.stage)


@lru_cache(maxsize=256)
def _unit_flops(plan: Plan) -> tuple[float, ...]:
    """The FLOPs of every unit in an update, counted from its trace."""
    by_block = Counter[str]()
    for where, count in flops_by_scope(plan).items():
        by_block[where.partition("/")[2]] += count
    shared = {unit: (stack, len(stack.units)) for stack in plan.stacks for unit in stack.units}
    flops = []
    for unit in plan.units:
        stack, count = shared.get(unit, (None, 1))
        blocks = unit[0] if stack is None else stack.template[0]
        # The scope of a scanned body is that of its template; it has the FLOPs of all units.
        flops.append(sum(by_block[block.name] for block in blocks) / count)
    return tuple(flops)


def _balanced(costs: Sequence[float], count: int) -> tuple[range, ...]:
    """`count` consecutive non-empty ranges; the largest sum of costs in a range is minimal."""
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
    """The mean of the stages' predicted times, divided by the longest: 1 if all are equal."""
    times = [sum(_unit_flops(plan)[index] for index in span) for span in stages(plan)]
    return sum(times) / len(times) / max(times)


def utilisation(plan: Plan, steps: int) -> float:
    """The share of the time of a call of so many steps in which stages compute."""
    return steps / (steps + plan.experiment.mesh.stage - 1) * balance(plan)


def schedule(plan: Plan, steps: int, shown: int = 8) -> Iterator[str]:
    """A table of a call: the units of each stage, and its batch at each tick."""
    spans = stages(plan)
    ticks = min(steps, shown) + len(spans) - 1
    width = len(str(ticks)) + 1
    names = [_named(plan, span) for span in spans]
    side = max(map(len, names))
    more = " ..." if steps > shown else ""
    yield f"{'tick':<{side + 9}}" + "".join(f"{tick:{width}d}" for tick in range(ticks)) + more
    for stage, name in enumerate(names):
        cells = (tick - stage for tick in range(ticks))
        drawn = "".join(
            f"{batch:{width}d}" if 0 <= batch < steps else ".".rjust(width) for batch in cells
        )
        yield f"stage {stage:<2} {name:<{side}}{drawn}{more}"
    yield (
        f"{steps} batches per call: stages compute {utilisation(plan, steps):.0%} of the time "
        f"({balance(plan):.0%} without filling and draining)"
    )


def _named(plan: Plan, span: range) -> str:
    """The name of a stage: `block0-block2`, and `, classifier` for the last one."""
    names = [block.name for index in span for block in plan.units[index][0]]
    inside = names[0] if len(names) == 1 else f"{names[0]}-{names[-1]}"
    return inside + (", classifier" if span.stop == len(plan.units) else "")
