"""What an update computes, moves and stores, by part and by block: from its trace alone.

A formula for every rule would be a second copy of each, wrong for whatever is added to one of the
two only; so a new rule or layer has its row without being named here.
"""

from collections import Counter
from collections.abc import Mapping
from typing import Any, NamedTuple

from compiler.cost.compiled import abstract_arguments
from compiler.cost.flops import work
from compiler.cost.memory import peak
from compiler.cost.operations import operations
from compiler.cost.scopes import scope
from compiler.cost.updates_per_call import Calls, calls_of
from compiler.plan.plan import Plan
from compiler.update.program import Program

OTHER = "other"
"""The part of what stands in no named scope: credit, sums of metrics, the choice of a batch."""


class Anatomy(NamedTuple):
    """An update, by scopes such as `tangents/block0`; of a stack, all its blocks under the first.

    Attributes:
        flops: of one update, over all devices.
        bytes: read and written by one update, where operations are fused as XLA does.
        memory: bytes of temporaries when most are taken, by the scope that wrote them.
        repeated: FLOPs of one update that XLA leaves out of its count of a call. It takes the body
            of every loop once: of many updates one, of equal blocks one.
    """

    flops: Counter[str]
    bytes: Counter[str]
    memory: Counter[str]
    repeated: int


def dissect(program: Program, calls: Calls | None = None) -> Anatomy:
    """Take an update apart; nothing is compiled or allocated.

    Args:
        program: of any plan.
        calls: updates in a call; those of the plan if None.
    """
    calls = calls or calls_of(program.plan)
    traced = program.updates.trace(*abstract_arguments(program, calls))
    listed = operations(traced.jaxpr.jaxpr)
    counted = work(listed)
    once = sum(work(listed, loops=False).flops.values())
    return Anatomy(
        _by_scope(counted.flops, calls.steps),
        _by_scope(counted.bytes, calls.steps),
        _by_scope(peak(listed).causes, 1),
        round(sum(counted.flops.values()) / calls.steps) - once,
    )


def _by_scope(counts: Mapping[str, int], steps: int) -> Counter[str]:
    by_scope = Counter[str]()
    for where, count in counts.items():
        by_scope[scope(where) or OTHER] += count
    return Counter({where: round(count / steps) for where, count in by_scope.items() if count})


def by_part(counts: Mapping[str, int]) -> Counter[str]:
    """Summed over blocks: by `forward`, `tangents`, ..."""
    totals = Counter[str]()
    for where, count in counts.items():
        totals[where.split("/")[0]] += count
    return totals


def by_block(plan: Plan, counts: Mapping[str, int]) -> Counter[str]:
    """Summed over parts: by block or stack; what belongs to none is left out."""
    scanned = {block.name: stack.name for stack in plan.stacks for block in stack.template[0]}
    totals = Counter[str]()
    for where, count in counts.items():
        if "/" in where:
            name = where.split("/")[1]
            totals[scanned.get(name, name)] += count
    return totals


def anatomy_values(plan: Plan, anatomy: Anatomy) -> dict[str, Any]:
    """As JSON: every quantity in all, by part and by block."""
    counts = {"flops": anatomy.flops, "bytes": anatomy.bytes, "memory": anatomy.memory}
    return {
        name: {
            "total": sum(count.values()),
            "parts": by_part(count),
            "blocks": by_block(plan, count),
        }
        for name, count in counts.items()
    }
