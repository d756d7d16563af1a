"""The parameters of a traced operation as text that is equal where they are."""

import re
from collections.abc import Callable, Mapping
from enum import Enum
from typing import Any

import jax.extend.core as jex
import numpy as np

_ADDRESS = re.compile(r" at 0x[0-9a-f]+")


def described(value: Any) -> str:
    """The same text for equal parameters, whatever process they come from.

    Programs among them, such as what combines two numbers in a scatter, are described by their
    operations with variables numbered in order; functions by their names.
    """
    known = (tell for kinds, tell in _TELLERS if isinstance(value, kinds))
    return next(known, _plain)(value)


def _mapping(value: Any) -> str:
    return f"{{{', '.join(f'{key}: {described(value[key])}' for key in sorted(value))}}}"


def _sequence(value: Any) -> str:
    return f"({', '.join(map(described, value))})"


def _array(value: Any) -> str:
    return f"{value.dtype}{value.shape}{value.tobytes().hex()}"


def _closed(value: Any) -> str:
    return f"{_program(value.jaxpr)} with {_sequence(value.consts)}"


def _program(program: Any) -> str:
    names: dict[Any, str] = {}

    def name(atom: Any) -> str:
        if isinstance(atom, jex.Literal):
            return described(np.asarray(atom.val))
        return f"{names.setdefault(atom, f'v{len(names)}')}:{atom.aval}"

    entering = [name(atom) for atom in (*program.constvars, *program.invars)]
    lines = [
        f"{[name(atom) for atom in equation.invars]} {equation.primitive.name} "
        f"{described(equation.params)} {[name(atom) for atom in equation.outvars]}"
        for equation in program.eqns
    ]
    return f"{entering} -> {lines} -> {[name(atom) for atom in program.outvars]}"


def _plain(value: Any) -> str:
    if callable(value) and hasattr(value, "__qualname__"):
        return f"{value.__module__}.{value.__qualname__}"
    return _ADDRESS.sub("", repr(value))


_TELLERS: tuple[tuple[Any, Callable[[Any], str]], ...] = (
    (Enum, str),
    (bool | np.bool_, lambda value: str(bool(value))),
    (int | np.integer, lambda value: str(int(value))),
    (Mapping, _mapping),
    (list | tuple, _sequence),
    (np.ndarray, _array),
    (jex.ClosedJaxpr, _closed),
    (jex.Jaxpr, _program),
)
"""(types, text of a value), the first that fits."""
