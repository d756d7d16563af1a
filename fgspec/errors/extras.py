"""Packages that an extra of fgspec brings, imported when something needs them."""

import importlib
from types import ModuleType

from fgspec.errors import UserError


def extra(module: str, requirement: str, name: str, what: str) -> ModuleType:
    """The module of a package that may not be installed.

    Args:
        module: its name.
        requirement: of its package, as pip takes it.
        name: of the extra of fgspec that brings it.
        what: needs it, as the error says.

    Raises:
        UserError: it is not installed.
    """
    try:
        return importlib.import_module(module)
    except ImportError:
        package = module.split(".")[0]
        raise UserError(
            f"{what} needs {package}, which is not installed; "
            f'pip install "{requirement}", or install fgspec with its extra `{name}`'
        ) from None
