"""FLOPs, bytes moved and memory of a training step, by part and by block, from its trace.

There is no formula per rule, which would have to change with the rule. So a new rule or layer has
its row without being named here.
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
"""The part of operations in no named scope: credit, sums of metrics, the choice of a batch."""


class Anatomy(NamedTuple):
    """The cost of one update by scope, such as `tangents/block0`.

    All blocks of a stack are under the scope of its first block.

    Attributes:
        flops: FLOPs of one update, over all devices.
        bytes: bytes read and written by one update, with operations fused as XLA fuses them.
        memory: bytes of temporary arrays at the moment when they are largest, by the scope that
            wrote them.
        repeated: FLOPs that XLA does not count, because it counts the body of a loop once: one
            update of many in a call, one of many equal blocks.
    """

    flops: Counter[str]
    bytes: Counter[str]
    memory: Counter[str]
    repeated: int


def dissect(program: Program, calls: Calls | None = None) -> Anatomy:
    """The cost of one update of a program; nothing is compiled or allocated.

    Args:
        program: the program.
        calls: the updates in a call; None: those of the plan.
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
    """Counts by part (`forward`, `tangents`, ...), summed over blocks."""
    totals = Counter[str]()
    for where, count in counts.items():
        totals[where.split("/")[0]] += count
    return totals


def by_block(plan: Plan, counts: Mapping[str, int]) -> Counter[str]:
    """Counts by block or stack, summed over parts, without those of no block."""
    scanned = {block.name: stack.name for stack in plan.stacks for block in stack.template[0]}
    totals = Counter[str]()
    for where, count in counts.items():
        if "/" in where:
            name = where.split("/")[1]
            totals[scanned.get(name, name)] += count
    return totals


def anatomy_values(plan: Plan, anatomy: Anatomy) -> dict[str, Any]:
    """The cost as JSON: every quantity in total, by part and by block."""
    counts = {"flops": anatomy.flops, "bytes": anatomy.bytes, "memory": anatomy.memory}
    return {
        name: {
            "total": sum(count.values()),
            "parts": by_part(count),
            "blocks": by_block(plan, count),
        }
        for name, count in counts.items()
    }
