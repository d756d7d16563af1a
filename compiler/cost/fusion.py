"""Predicts fusion: which results are written to memory, and which computed where they are read.

XLA fuses elementwise operations with the operations that read their results. The rules here imitate
its CPU compiler as far as they decide the size of memory: operands of matrix products are written;
values that are read by a sum and by something else are written; and a sum fuses only arithmetic.
The rules come from comparisons with compiled programs.
"""

from collections import defaultdict
from collections.abc import Iterable
from typing import NamedTuple

from compiler.cost.operations import Operation, Operations, Value

WHOLE = {
    "dot_general",
    "conv_general_dilated",
    "scan",
    "while",
    "cond",
    "random_bits",
    "random_seed",
    "random_fold_in",
    "threefry2x32",
    "cumsum",
    "sort",
    "gather",
    "scatter",
    "scatter-add",
    "scatter_add",
    "dynamic_update_slice",
    "concatenate",
    "cholesky",
    "eigh",
    "svd",
    "qr",
    "triangular_solve",
    "reduce_window_sum",
    "reduce_window_max",
    "select_and_scatter_add",
}
"""Operations that read and write whole arrays."""

SUMS = {"reduce_sum", "reduce_max", "reduce_min", "reduce_and", "reduce_or", "argmax", "argmin"}

ARITHMETIC = {"mul", "sub", "add", "add_any", "integer_pow", "square", "neg", "abs"} | {
    "convert_element_type"
}
"""Operations that a sum computes on its operands as it reads them."""

COSTLY = {"exp", "log", "div", "rsqrt", "sqrt", "tanh", "pow", "logistic", "log1p", "erf_inv"}
"""Operations that are not computed twice."""


class Fused(NamedTuple):
    """A program after fusion.

    Attributes:
        steps: the operations that write their results, in order, each with the written values that
            it reads.
        results: the results of the program.
    """

    steps: list[tuple[Operation, set[Value]]]
    results: set[Value]


def fusible(step: Operation) -> bool:
    """Whether the result can be computed where it is read."""
    return step.name not in WHOLE and step.name not in SUMS and len(step.writes) == 1


def fused(program: Operations) -> Fused:
    """The program without operations whose results are never written."""
    makers = {value: step for step in program.steps for value in step.writes}
    unwritten = _unwritten(program)
    sources: dict[Value, set[Value]] = {}

    def written(values: Iterable[Value]) -> set[Value]:
        return set[Value]().union(*(sources.get(value, {value}) for value in values))

    steps = []
    again: dict[Value, set[Value]] = {}
    for step in program.steps:
        read = written(step.reads)
        if _is_mask(step):
            read = set[Value]().union(*(again.get(value, {value}) for value in read))
        if step.writes[0] in unwritten and makers[step.writes[0]] is step:
            sources[step.writes[0]] = read
        else:
            steps.append((step, read))
            if step.name == "max" and _unary(step):
                again[step.writes[0]] = read
    return Fused(steps, program.results)


def _unwritten(program: Operations) -> set[Value]:
    readers: dict[Value, list[Operation]] = defaultdict(list)
    for step in program.steps:
        for value in set(step.reads):
            readers[value].append(step)
    unwritten: set[Value] = set()
    summed: set[Value] = set()
    for step in reversed(program.steps):
        if not fusible(step) or step.writes[0] in program.results:
            continue
        (value,), users = step.writes, readers[step.writes[0]]
        in_sum = any(user.name in SUMS for user in users)
        near = in_sum or any(user.writes[0] in summed for user in users)
        if not all(fusible(user) or user.name in SUMS for user in users):
            continue
        if _constant(step):
            unwritten.add(value)
        elif (len(users) > 1 and (in_sum or step.name in COSTLY)) or (
            near and step.name not in ARITHMETIC
        ):
            continue
        else:
            unwritten.add(value)
            if near:
                summed.add(value)
    return unwritten


def _is_mask(step: Operation) -> bool:
    return fusible(step) and step.equation.outvars[0].aval.dtype == bool


def _unary(step: Operation) -> bool:
    """Whether at most one operand is as large as the result; it is then computed when read."""
    return sum(value.elements == step.writes[0].elements for value in step.reads) <= 1


def _constant(step: Operation) -> bool:
    """Whether all elements are the same number."""
    return step.name == "broadcast_in_dim" and all(
        operand.aval.size == 1 for operand in step.equation.invars
    )
