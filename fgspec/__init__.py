"""fgspec: a declarative experiment-spec compiler for learning rules beyond backprop.

`load`, `plan`, `compile`, `train`, `evaluate`, `diff` and `compare` mean what the verbs of the
command line do. They are imported on first use, so that reading a spec does not wait for JAX.
"""

# The names of __all__ are those of __init__.pyi.
# pyright: reportUnsupportedDunderAll=false

import importlib
from typing import Any

__version__ = "0.1.0"

__all__ = [
    "Comparison",
    "DataError",
    "Loaded",
    "Probing",
    "Program",
    "ResumeError",
    "RunError",
    "SpecError",
    "State",
    "UserError",
    "compare",
    "compile",
    "diff",
    "evaluate",
    "load",
    "plan",
    "train",
]


def __getattr__(name: str) -> Any:
    """Import the public module when one of its names is first asked for."""
    if name in __all__:
        return getattr(importlib.import_module("fgspec.api"), name)
    raise AttributeError(f"module fgspec has no attribute {name}")


def __dir__() -> list[str]:
    """The public names."""
    return [*__all__, "__version__"]
