"""A traced program as a list of operations on values of known size."""

from collections.abc import Iterator
from dataclasses import dataclass
from math import prod
from typing import Any, NamedTuple

import jax.extend.core as jex

from compiler.plan.choices import shares

BODIES = ("jaxpr", "call_jaxpr", "fun_jaxpr")
"""Parameters of JAX's equations that hold the body of a called function."""

LOOPS = {"scan": ("jaxpr",), "while": ("body_jaxpr",), "cond": ("branches",)}
"""Parameters that hold the bodies of loops and the branches of conditionals."""

SAME = {
    "reshape",
    "squeeze",
    "expand_dims",
    "bitcast_convert_type",
    "copy",
    "optimization_barrier",
    "stop_gradient",
    "random_wrap",
    "random_unwrap",
    "sharding_constraint",
}
"""Operations whose result is their operand, maybe in another shape."""


@dataclass(eq=False, slots=True)
class Value:
    """An array.

    Attributes:
        bytes: its size in bytes.
        elements: the number of its elements.
        given: whether it is an argument or a constant of the program.
    """

    bytes: int
    elements: int
    given: bool = False


class Operation(NamedTuple):
    """One step of a program.

    Attributes:
        name: the name of the JAX primitive.
        reads: its operands.
        writes: its results.
        where: the named scopes around it, joined by slashes.
        equation: JAX's equation.
        inner: the programs that it runs.
        times: how often it runs them.
        shares: the share of updates in which it runs each of them; empty: all of them always.
    """

    name: str
    reads: list[Value]
    writes: list[Value]
    where: str
    equation: Any
    inner: "list[Operations]"
    times: int = 1
    shares: tuple[float, ...] = ()


class Operations(NamedTuple):
    """A program without dead code: operations in order, and its results."""

    steps: list[Operation]
    results: set[Value]


def operations(program: jex.Jaxpr, where: str = "") -> Operations:
    """List a traced program as a compiler runs it.

    Called functions are inlined. What is computed twice is listed once, and what is not needed is
    left out.

    Args:
        program: the traced program, such as `jax.make_jaxpr(...)(...).jaxpr`.
        where: the scopes around all of it.
    """
    values = {
        variable: _value(variable, True) for variable in (*program.constvars, *program.invars)
    }
    steps = list(_flat(program, _Known(values, {}, {}), where))
    results = {
        values[variable] for variable in program.outvars if not isinstance(variable, jex.Literal)
    }
    needed, needed_steps = set(results), list[Operation]()
    for step in reversed(steps):
        if needed.intersection(step.writes):
            needed.update(step.reads)
            needed_steps.append(step)
    return Operations(needed_steps[::-1], {value for value in results if not value.given})


class _Known(NamedTuple):
    """Values by variable, literals by text, and results by a key of the operation."""

    values: dict[Any, Value]
    literals: dict[str, Value]
    made: dict[tuple[Any, ...], list[Value]]

    def read(self, atom: Any) -> Value:
        if isinstance(atom, jex.Literal):
            return self.literals.setdefault(f"{atom.aval} {atom.val!r}", _value(atom, True))
        return self.values[atom]


def _flat(program: Any, known: _Known, around: str) -> Iterator[Operation]:
    for equation in program.eqns:
        name, where = equation.primitive.name, f"{around}/{equation.source_info.name_stack}"
        reads = [known.read(atom) for atom in equation.invars]
        body_param = next((equation.params[key] for key in BODIES if key in equation.params), None)
        inner: tuple[list[Operations], int, tuple[float, ...]] = ([], 1, ())
        if name in SAME:
            known.values[equation.outvars[0]] = reads[0]
            continue
        if name in LOOPS:
            inner = _inner(equation, where)
        elif body_param is not None:
            body = getattr(body_param, "jaxpr", body_param)
            values = {variable: _value(variable, True) for variable in body.constvars}
            values |= dict(zip(body.invars, reads, strict=True))
            deeper = known._replace(values=values)
            yield from _flat(body, deeper, where)
            results = [deeper.read(atom) for atom in body.outvars]
            known.values.update(zip(equation.outvars, results, strict=True))
            continue
        key = (name, *map(id, reads), repr(sorted(equation.params.items())), *map(id, inner[0]))
        computed_before = known.made.get(key)
        writes = computed_before or [_value(variable) for variable in equation.outvars]
        known.values.update(zip(equation.outvars, writes, strict=True))
        if computed_before is None:
            known.made[key] = writes
            yield Operation(name, reads, writes, where, equation, *inner)


def _inner(equation: Any, where: str) -> tuple[list[Operations], int, tuple[float, ...]]:
    params = [equation.params[key] for key in LOOPS[equation.primitive.name]]
    programs = [
        program for param in params for program in (param if isinstance(param, tuple) else (param,))
    ]
    inner_programs = [operations(getattr(program, "jaxpr", program), where) for program in programs]
    times = equation.params.get("length", 1) if equation.primitive.name == "scan" else 1
    chosen = shares(where) if equation.primitive.name == "cond" else ()
    return inner_programs, times, chosen


def _value(atom: Any, given: bool = False) -> Value:
    size = prod(atom.aval.shape)
    return Value(size * atom.aval.dtype.itemsize, size, given)
