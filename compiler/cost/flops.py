"""FLOPs and bytes moved by a traced program, by the named scopes around its operations."""

from collections import Counter
from math import prod
from typing import Any, NamedTuple

import numpy as np

from compiler.cost.fusion import SUMS, fused
from compiler.cost.operations import Operation, Operations, Value

BITS = 70
"""FLOPs of drawing a random word, as XLA counts the twenty rounds of threefry for two words."""

ELEMENT = {
    "erf_inv": 25,
    "integer_pow": 1,
    "random_bits": BITS,
    "threefry2x32": BITS,
} | dict.fromkeys(
    (
        *("exp", "log", "log1p", "tanh", "logistic", "sqrt", "rsqrt", "pow", "sin", "cos"),
        *("broadcast_in_dim", "transpose", "slice", "dynamic_slice", "dynamic_update_slice", "pad"),
        *("concatenate", "gather", "iota", "random_seed", "random_fold_in", "convert_element_type"),
        *("sort", "rev", "select_n"),
    ),
    0,
)
"""FLOPs per element of the result, if not 1; XLA counts roots and exponentials separately."""


class Work(NamedTuple):
    """The work of a program.

    Attributes:
        flops: FLOPs by scope.
        bytes: bytes read and written, by scope.
    """

    flops: Counter[str]
    bytes: Counter[str]


def work(program: Operations, loops: bool = True) -> Work:
    """Count the work of a program.

    Args:
        program: the program, from `operations`.
        loops: whether the body of a loop counts as often as it runs, or once.
    """
    flops, moved = Counter[str](), Counter[str]()
    for step in program.steps:
        flops[step.where] += operation_flops(step)
    for step, read in fused(program).steps:
        if not step.inner:
            values: set[Value] = read | set(step.writes)
            moved[step.where] += sum(value.bytes for value in values)
    for step in program.steps:
        for share, inner in _counted(step, loops):
            flops.update({where: round(share * count) for where, count in inner.flops.items()})
            moved.update({where: round(share * count) for where, count in inner.bytes.items()})
    return Work(flops, moved)


def _counted(step: Operation, loops: bool) -> list[tuple[float, Work]]:
    """The work of the programs that an operation runs, each with how often it counts."""
    bodies = [work(body, loops) for body in step.inner]
    if not step.shares:
        return [(step.times if loops else 1, body) for body in bodies]
    if loops:
        return list(zip(step.shares, bodies, strict=True))
    return [(1, max(bodies, key=lambda body: body.flops.total()))]  # XLA counts the larger branch


def operation_flops(step: Operation) -> int:
    """FLOPs of one operation, without those of programs that it runs."""
    equation, elements = step.equation, step.writes[0].elements
    if step.inner:
        return 0
    if step.name == "dot_general":
        return 2 * elements * _contracted(equation)
    if step.name == "conv_general_dilated":
        return 2 * _convolved(equation)
    if step.name in SUMS:
        return equation.invars[0].aval.size
    return ELEMENT.get(step.name, 1) * elements


def _convolved(equation: Any) -> int:
    """The number of products in a convolution, without those with padding or dilation zeros."""
    image, kernel = (operand.aval.shape for operand in equation.invars)
    out, params = equation.outvars[0].aval, equation.params
    image_axes, kernel_axes, out_axes = params["dimension_numbers"]
    products = out.shape[out_axes[0]] * out.shape[out_axes[1]] * kernel[kernel_axes[1]]
    sides = zip(image_axes[2:], kernel_axes[2:], out_axes[2:], strict=True)
    for dimension, (before, window, after) in enumerate(sides):
        starts = np.arange(out.shape[after]) * params["window_strides"][dimension]
        positions = starts[:, None] + np.arange(kernel[window]) * params["rhs_dilation"][dimension]
        positions -= params["padding"][dimension][0]
        dilation = params["lhs_dilation"][dimension]
        last = (image[before] - 1) * dilation
        inside = (positions >= 0) & (positions <= last) & (positions % dilation == 0)
        products *= int(inside.sum())
    return products


def _contracted(equation: Any) -> int:
    (axes, _), _ = equation.params["dimension_numbers"]
    return prod(equation.invars[0].aval.shape[axis] for axis in axes)
