"""A spec as Python has it, a mapping, as the YAML text of the same."""

from collections.abc import Iterator, Mapping
from os import PathLike, fspath
from typing import Any

import numpy as np

from fgspec.problems.problems import SpecError, dotted, flow
from fgspec.yaml.load import Path

NAME = "<mapping>"
"""What places in a mapping begin with."""


def yaml_of(spec: Mapping[Any, Any]) -> str:
    """The text of a spec, a key a line, whose lines errors can name.

    Args:
        spec: plain values; numbers of NumPy, tuples and paths are taken for what they stand for.

    Raises:
        SpecError: naming the key or the value that YAML has not.
    """
    return "".join(f"{line}\n" for line in _lines(spec, ()))


def _lines(spec: Mapping[Any, Any], at: Path) -> Iterator[str]:
    for key, value in spec.items():
        if not isinstance(key, str):
            where = dotted(at) or "its root"
            raise SpecError([f"{NAME}: {where}: keys must be text (got {key!r})"])
        path, indent = (*at, key), "  " * len(at)
        if isinstance(value, Mapping) and value:
            yield f"{indent}{flow(key)}:"
            yield from _lines(value, path)
        else:
            yield f"{indent}{flow(key)}: {flow(_plain(value, path))}"


def _plain(value: Any, at: Path) -> Any:
    if value is None or isinstance(value, bool | int | float | str):
        return value
    if isinstance(value, np.generic | np.ndarray):
        return _plain(value.tolist(), at)
    if isinstance(value, PathLike):
        return fspath(value)
    if isinstance(value, list | tuple):
        return [_plain(item, (*at, index)) for index, item in enumerate(value)]
    if isinstance(value, Mapping):
        return {key: _plain(item, (*at, key)) for key, item in value.items()}
    takes = "a number, text, True, False, None, a list or a mapping"
    raise SpecError([f"{NAME}: {dotted(at)}: must be {takes} (got a {type(value).__name__})"])
