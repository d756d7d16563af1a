"""Arguments of functions that are called with something of another kind."""

from collections.abc import Sequence
from os import PathLike
from typing import Any

from fgspec.errors import UserError

_LONGEST = 60
"""Letters of a value in an error."""


class WrongArgument(UserError, TypeError):
    """An argument is of another kind than the function takes.

    Args:
        name: of function and argument, such as `train: resume`.
        value: given.
        takes: what the function takes there, in words.
    """

    def __init__(self, name: str, value: Any, takes: str) -> None:
        text = repr(value)
        shown = text if len(text) <= _LONGEST else f"{text[:_LONGEST]}..."
        super().__init__(f"{name}: takes {takes} (got {shown} of type {type(value).__name__})")


def refuse_no_path(name: str, value: Any, what: str) -> None:
    """Raise unless an argument is a path.

    Raises:
        WrongArgument: it is none.
    """
    if not isinstance(value, str | PathLike):
        raise WrongArgument(name, value, f"the path of {what}")


def refuse_no_texts(name: str, value: Any, example: str) -> None:
    """Raise unless an argument is a sequence of strings; a single string is none.

    Raises:
        WrongArgument: it is something else, or has another item.
    """
    listed = isinstance(value, Sequence) and not isinstance(value, str | bytes)
    if not listed or not all(isinstance(one, str) for one in value):
        raise WrongArgument(name, value, f"a list of strings such as {example}")


def refuse_no_overrides(name: str, value: Any) -> None:
    """Raise unless an argument is a sequence of `path=value` strings.

    Raises:
        WrongArgument: as `refuse_no_texts`.
    """
    refuse_no_texts(name, value, '["training.epochs=3"]')
