"""Which errors come from XLA, and not from Python code."""

import re

import jax

_STATUS = re.compile(r"[A-Z][A-Z_]+: ")
"""How the text of XLA's errors begins: the name of a status, as `RESOURCE_EXHAUSTED: `."""


def is_of_xla(error: BaseException) -> bool:
    """Whether `error` is XLA's own, such as memory that runs out or a process that was lost."""
    # Where a jitted function fails at its call, and not at the use of what it gave, JAX raises a
    # ValueError with the status of XLA as its text. Those of TensorStore look alike.
    said = str(error)
    called = type(error) is ValueError and _STATUS.match(said) and "tensorstore" not in said
    return isinstance(error, jax.errors.JaxRuntimeError) or bool(called)
