"""Predicts the peak memory of a traced program, and which arrays it consists of.

A written array is in memory from the operation that makes it to the last one that reads it. Two
orders of operations are tried, and the one with the lower peak counts, as XLA chooses too. In the
program's own order, only operations that read almost nothing, such as drawing noise, are moved to
just before their first reader. In the other order all operations are. Arguments and results of the
program are not counted.
"""

from collections import Counter
from collections.abc import Callable, Iterator
from functools import partial
from itertools import islice
from typing import Any, NamedTuple

from compiler.cost.fusion import Fused, fused, fusible
from compiler.cost.operations import Operation, Operations, Value

DRAWING = 4
"""Working memory of drawing bits, in arrays of their size (threefry's words and counters)."""

SMALL = 1000
"""An operation is moved to its first reader if it writes so many times more than it reads."""


class Peak(NamedTuple):
    """The moment when the most memory is in use.

    Attributes:
        bytes: the bytes in use then.
        causes: these bytes, by the scope of the operation that wrote them.
    """

    bytes: int
    causes: Counter[str]


def peak(program: Operations) -> Peak:
    """Predict the peak of a program's temporary arrays.

    Args:
        program: the program, from `operations`.
    """
    lean = fused(program)
    peaks = [_peak(Fused(order, lean.results)) for order in _orders(lean)]
    return min(peaks, key=lambda candidate: candidate.bytes)


def _orders(lean: Fused) -> list[list[tuple[Operation, set[Value]]]]:
    """The program's own order, and one that makes every value when it is first needed."""
    makers = {value: time for time, (step, _) in enumerate(lean.steps) for value in step.writes}
    needed = [{makers[value] for value in read if value in makers} for _, read in lean.steps]
    placed: dict[int, None] = {}
    for last in range(len(lean.steps)):
        if any(value in lean.results for value in lean.steps[last][0].writes):
            _place(last, needed, placed)
    return [_late(lean).steps, [lean.steps[time] for time in placed]]


def _place(time: int, needed: list[set[int]], placed: dict[int, None]) -> None:
    """Place everything that a step needs, then the step; not recursive, as programs are long."""
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
    working = [_working(step) for step, _ in lean.steps]
    sizes = [size for size, _ in _moments(lean, working)]
    if not sizes or max(sizes) == 0:
        return Peak(0, Counter())
    # A second walk counts causes once. Counting them at every new maximum takes time that grows
    # with the square of a program's length, as memory grows throughout a forward pass.
    size, causes = next(islice(_moments(lean, working), sizes.index(max(sizes)), None))
    return Peak(size, causes())


def _moments(lean: Fused, working: list[Peak]) -> Iterator[tuple[int, Callable[[], Counter[str]]]]:
    """For every step the bytes in use, and what counts them by scope before the next step.

    Args:
        lean: the program.
        working: the memory that every step needs besides operands and results.
    """
    last = {value: time for time, (_, read) in enumerate(lean.steps) for value in read}
    live: dict[Value, str] = {}
    taken = 0
    for time, (step, read) in enumerate(lean.steps):
        dead = [value for value in read if last[value] == time and value in live]
        written = _written(step, lean)
        reused = min(sum(value.bytes for value in dead), written) if _in_place(step) else 0
        added = Counter({step.where: written - reused})
        size = taken + written - reused + working[time].bytes
        yield size, partial(_causes, live, added, working[time].causes)
        for value in step.writes:
            if value in last and value not in lean.results:
                live[value] = step.where
                taken += value.bytes
        for value in dead:
            taken -= value.bytes
            del live[value]


def _causes(live: dict[Value, str], added: Counter[str], working: Counter[str]) -> Counter[str]:
    """Bytes in use by scope."""
    causes = Counter[str]()
    for value, where in live.items():
        causes[where] += value.bytes
    causes.update(added)
    return causes + working


def _late(lean: Fused) -> Fused:
    """The same steps, with those that write much and read little just before their first reader."""
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
    """The memory that an operation needs besides operands and results."""
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
    """The sizes in bytes of operands that a matrix product must transpose first."""
    contracted, batch = equation.params["dimension_numbers"]
    sizes = []
    for side, variable in enumerate(equation.invars):
        rank, axes = variable.aval.ndim, (list(batch[side]), list(contracted[side]))
        free = [axis for axis in range(rank) if axis not in axes[0] and axis not in axes[1]]
        orders = ([*axes[0], *free, *axes[1]], [*axes[0], *axes[1], *free])
        if list(range(rank)) not in orders:
            sizes.append(variable.aval.size * variable.aval.dtype.itemsize)
    return sizes
