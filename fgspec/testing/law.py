"""What all laws share: how a method is made of a class, and how a law fails."""

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
    """A law that raises AssertionError for a method that its class lacks, too.

    In a run that is a UserError, which a class raises when the method is called.
    """

    @wraps(check)
    def checked(*args: P.args, **kwargs: P.kwargs) -> R:
        try:
            return check(*args, **kwargs)
        except UserError as error:
            raise AssertionError(str(error)) from error

    return checked


def array(numbers: Any, dtype: Any = np.float32) -> Any:
    """Numbers as JAX has them; unlike jnp.asarray nothing is compiled for their shape."""
    return jax.device_put(np.asarray(numbers, dtype))


def method_of(kind: K | type[K], folder: Path | None = None) -> K:
    """A method with what it does.

    Args:
        kind: an instance, or a class: its `example` gives one, or its defaults.
        folder: an empty one for the files of an example that needs some.

    Raises:
        AssertionError: the class cannot be made, a field is not hashable, or `behaviour` names a
            class of something else.
    """
    section = _of_class(kind, folder) if isinstance(kind, type) else kind
    try:
        hash(section)
    except TypeError as error:
        raise AssertionError(
            f"{section}: {error}; methods are compared by the values of their fields: use tuples"
        ) from error
    method = working(section)
    assert isinstance(method, type(section)), (
        f"{method}: behaviour names {section.behaviour}, which is no class below "
        f"{type(section).__name__}"
    )
    return method


def _of_class(kind: type[K], folder: Path | None) -> K:
    whole = cast(Any, kind if kind.behaviour is None else plugins.named(kind.behaviour))
    example = getattr(whole, "example", whole)
    try:
        return example() if folder is None else example(folder)
    except ValidationError as error:
        fields = ", ".join(".".join(map(str, found["loc"])) for found in error.errors())
        raise AssertionError(
            f"{kind.__name__} cannot be made by its defaults ({fields}: "
            f"{error.errors()[0]['msg'].lower()}); give the law an instance"
        ) from error
