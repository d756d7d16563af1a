"""What an update computes, moves and stores, from its trace: nothing is compiled or allocated."""

from collections import Counter
from collections.abc import Mapping
from typing import NamedTuple

from compiler.analyze.calls import Calls, calls_of
from compiler.analyze.compiled import abstract_arguments
from compiler.analyze.memory import peak
from compiler.analyze.operations import operations
from compiler.analyze.scopes import scope
from compiler.analyze.work import work
from compiler.update import Program

OTHER = "other"
"""The part of what stands in no named scope: credit, sums of metrics, the choice of a batch."""


class Prediction(NamedTuple):
    """An update, by the scopes of `compiler.analyze.scopes`, such as `tangents/block0`.

    Attributes:
        flops: of one update.
        bytes: read and written by one update, where operations are fused as XLA does.
        memory: bytes of temporaries when most are taken, by the scope that wrote them.
    """

    flops: Counter[str]
    bytes: Counter[str]
    memory: Counter[str]


def predict(program: Program, calls: Calls | None = None) -> Prediction:
    """Predict an update of a program.

    Args:
        program: of any plan.
        calls: updates in a call; those of the plan if None.
    """
    calls = calls or calls_of(program.plan)
    traced = program.updates.trace(*abstract_arguments(program, calls))
    listed = operations(traced.jaxpr.jaxpr)
    counted = work(listed)
    return Prediction(
        _by_scope(counted.flops, calls.steps),
        _by_scope(counted.bytes, calls.steps),
        _by_scope(peak(listed).causes, 1),
    )


def _by_scope(counts: Mapping[str, int], steps: int) -> Counter[str]:
    found = Counter[str]()
    for where, count in counts.items():
        found[scope(where) or OTHER] += count
    return Counter({where: round(count / steps) for where, count in found.items() if count})


def by_part(counts: Mapping[str, int]) -> Counter[str]:
    """Summed over blocks: by `forward`, `tangents`, ..."""
    found = Counter[str]()
    for where, count in counts.items():
        found[where.split("/")[0]] += count
    return found


def by_block(counts: Mapping[str, int]) -> Counter[str]:
    """Summed over parts: by block, under its name; what belongs to none is left out."""
    found = Counter[str]()
    for where, count in counts.items():
        if "/" in where:
            found[where.split("/")[1]] += count
    return found
