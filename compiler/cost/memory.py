"""Predicted peak memory of a traced program, and what it is made of.

Arrays that are written live from the operation that makes them to the last that reads them. Of two
orders the one that takes less counts, as XLA chooses too: the program's own, in which only what is
made of next to nothing, as noise is, waits for its reader; and one in which everything does.
Arguments and results are not counted.
"""

from collections import Counter
from typing import Any, NamedTuple

from compiler.cost.fusion import Fused, fused, fusible
from compiler.cost.operations import Operation, Operations, Value

DRAWING = 4
"""Arrays of the size of the drawn bits that drawing works on (threefry's two words, twice, and its
counters)."""

SMALL = 1000
"""How many times less an operation must read than it writes to wait for its reader."""


class Peak(NamedTuple):
    """The moment when most memory is taken.

    Attributes:
        bytes: then taken.
        causes: of them, by the scopes around the operation that wrote them.
    """

    bytes: int
    causes: Counter[str]


def peak(program: Operations) -> Peak:
    """Predict the peak of the temporaries of a program.

    Args:
        program: see `operations`.
    """
    lean = fused(program)
    peaks = [_peak(Fused(order, lean.results)) for order in _orders(lean)]
    return min(peaks, key=lambda candidate: candidate.bytes)


def _orders(lean: Fused) -> list[list[tuple[Operation, set[Value]]]]:
    """The program's own, and one that makes every value when it is first needed."""
    makers = {value: time for time, (step, _) in enumerate(lean.steps) for value in step.writes}
    needed = [{makers[value] for value in read if value in makers} for _, read in lean.steps]
    placed: dict[int, None] = {}
    for last in range(len(lean.steps)):
        if any(value in lean.results for value in lean.steps[last][0].writes):
            _place(last, needed, placed)
    return [_late(lean).steps, [lean.steps[time] for time in placed]]


def _place(time: int, needed: list[set[int]], placed: dict[int, None]) -> None:
    """Place what a step needs, then the step; without recursion, programs are long."""
    stack = [(time, iter(sorted(needed[time])))]
    while stack:
        current, waiting = stack[-1]
        following = next((other for other in waiting if other not in placed), None)
        if following is None:
            placed.setdefault(current)
            stack.pop()
        else:
            stack.append((following, iter(sorted(needed[following]))))


def _peak(lean: Fused) -> Peak:
    last = {value: time for time, (_, read) in enumerate(lean.steps) for value in read}
    live: dict[Value, str] = {}
    taken, most = 0, Peak(0, Counter())
    for time, (step, read) in enumerate(lean.steps):
        dead = [value for value in read if last[value] == time and value in live]
        working = _working(step)
        written = _written(step, lean)
        reused = min(sum(value.bytes for value in dead), written) if _in_place(step) else 0
        if taken + written - reused + working.bytes > most.bytes:
            causes = Counter[str]()
            for value, where in live.items():
                causes[where] += value.bytes
            causes[step.where] += written - reused
            most = Peak(taken + written - reused + working.bytes, causes + working.causes)
        for value in step.writes:
            if value in last and value not in lean.results:
                live[value] = step.where
                taken += value.bytes
        for value in dead:
            taken -= value.bytes
            del live[value]
    return most


def _late(lean: Fused) -> Fused:
    """The same steps, those that make much of next to nothing just before their first reader."""
    made_of: dict[Value, int] = {}
    light = set[int]()
    for time, (step, read) in enumerate(lean.steps):
        bytes_read = sum(made_of.get(value, value.bytes) for value in read)
        if not step.inner and SMALL * bytes_read < sum(value.bytes for value in step.writes):
            light.add(time)
            made_of |= dict.fromkeys(step.writes, bytes_read)
    place: dict[int, tuple[int, ...]] = {}
    first: dict[Value, tuple[int, ...]] = {}
    for time in reversed(range(len(lean.steps))):
        step, read = lean.steps[time]
        readers = [first[value] for value in step.writes if value in first]
        place[time] = (*min(readers)[:1], time) if time in light and readers else (time, time)
        for value in read:
            first[value] = min(first.get(value, place[time]), place[time])
    times = sorted(place, key=lambda time: place[time])
    return Fused([lean.steps[time] for time in times], lean.results)


def _written(step: Operation, lean: Fused) -> int:
    return sum(value.bytes for value in step.writes if value not in lean.results)


def _in_place(step: Operation) -> bool:
    return fusible(step) or step.name in ("scan", "while")


def _working(step: Operation) -> Peak:
    """What an operation needs besides operands and results."""
    if step.inner:
        return max((peak(inner) for inner in step.inner), key=lambda found: found.bytes)
    if step.name == "random_bits":
        size = DRAWING * sum(value.bytes for value in step.writes)
    elif step.name == "dot_general":
        size = sum(_transposed(step.equation))
    else:
        size = 0
    return Peak(size, Counter({step.where: size}))


def _transposed(equation: Any) -> list[int]:
    """Bytes of the operands that a matrix product must transpose first."""
    contracted, batch = equation.params["dimension_numbers"]
    sizes = []
    for side, variable in enumerate(equation.invars):
        rank, axes = variable.aval.ndim, (list(batch[side]), list(contracted[side]))
        free = [axis for axis in range(rank) if axis not in axes[0] and axis not in axes[1]]
        orders = ([*axes[0], *free, *axes[1]], [*axes[0], *axes[1], *free])
        if list(range(rank)) not in orders:
            sizes.append(variable.aval.size * variable.aval.dtype.itemsize)
    return sizes
