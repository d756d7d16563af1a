"""The parameters of a traced operation as text; the text is equal if the parameters are."""

import re
from collections.abc import Callable, Mapping
from enum import Enum
from typing import Any

import jax.extend.core as jex
import numpy as np

_ADDRESS = re.compile(r" at 0x[0-9a-f]+")


def described(value: Any) -> str:
    """A text that is the same for equal parameters in every process.

    Programs, such as the function that combines two numbers in a scatter, become a list of their
    operations with numbered variables. Functions become their names.
    """
    texts = (tell for kinds, tell in _TELLERS if isinstance(value, kinds))
    return next(texts, _plain)(value)


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
"""Pairs of types and a function value -> text; the first pair that fits is used."""
