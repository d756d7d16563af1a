"""What all laws share: making an instance of a class, and how a law fails."""

from collections.abc import Callable
from functools import wraps
from pathlib import Path
from typing import Any, ParamSpec, TypeVar, cast

import jax
import numpy as np
from pydantic import ValidationError

from fgspec.errors import UserError
from fgspec.spec import plugins
from fgspec.spec.kinds import Kind, working

K = TypeVar("K", bound=Kind)
P = ParamSpec("P")
R = TypeVar("R")


def law(check: Callable[P, R]) -> Callable[P, R]:
    """Make a law raise an AssertionError also if its class lacks a method.

    Calling such a method raises a UserError, which is turned into an AssertionError here.
    """

    @wraps(check)
    def checked(*args: P.args, **kwargs: P.kwargs) -> R:
        try:
            return check(*args, **kwargs)
        except UserError as error:
            raise AssertionError(str(error)) from error

    return checked


def array(numbers: Any, dtype: Any = np.float32) -> Any:
    """Numbers as a JAX array; unlike with jnp.asarray, nothing is compiled for their shape."""
    return jax.device_put(np.asarray(numbers, dtype))


def method_of(kind: K | type[K], folder: Path | None = None) -> K:
    """An instance of a method, with its behaviour loaded.

    Args:
        kind: an instance, or a class, of which an instance is made by its `example` or defaults.
        folder: an empty folder, for an example that needs files.

    Raises:
        AssertionError: no instance can be made, a field is not hashable, or `behaviour` does not
            name a subclass.
    """
    section = _of_class(kind, folder) if isinstance(kind, type) else kind
    try:
        hash(section)
    except TypeError as error:
        raise AssertionError(
            f"{section}: {error}; methods are compared by the values of their fields, so use "
            "tuples instead of lists"
        ) from error
    method = working(section)
    assert isinstance(method, type(section)), (
        f"{method}: behaviour names {section.behaviour}, which is not a subclass of "
        f"{type(section).__name__}"
    )
    return method


def _of_class(kind: type[K], folder: Path | None) -> K:
    working_kind = cast(Any, kind if kind.behaviour is None else plugins.named(kind.behaviour))
    example = getattr(working_kind, "example", working_kind)
    try:
        return example() if folder is None else example(folder)
    except ValidationError as error:
        fields = ", ".join(".".join(map(str, each["loc"])) for each in error.errors())
        raise AssertionError(
            f"{kind.__name__}: no instance can be made from its defaults ({fields}: "
            f"{error.errors()[0]['msg'].lower()}); give the law an instance"
        ) from error
