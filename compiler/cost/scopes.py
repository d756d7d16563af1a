"""Which part of an update an operation belongs to, by JAX's named scopes."""

import re

PARTS = (
    "views",
    "perturbations",
    "forward",
    "tangents",
    "losses",
    "pull-back",
    "readouts",
    "optimizer",
)
"""The named scopes of an update; if they are nested, the outermost one counts."""

_MODULE = re.compile(r"HloModule ([^\s,]+)")
_OPERATION = re.compile(r'^\s*(?:ROOT )?%?([^\s=]+) = .*metadata=\{[^}]*op_name="([^"]*)"', re.M)
_BLOCK = re.compile(r"block=([^/()]+)")
_WORD = re.compile(r"[^/()]+")


def scope(name: str) -> str:
    """The part of an update and the block, such as `tangents/block0`, from an operation's name.

    `backward` is the transpose of a forward pass. The result is empty outside of all parts.

    Args:
        name: JAX's name, such as `jit(update)/tangents/jvp(forward/block=block0)/dot_general`.
    """
    part = next((word for word in _WORD.findall(name) if word in PARTS), "")
    if part == "forward" and "transpose(" in name[: name.index("forward")]:
        part = "backward"
    block = _BLOCK.search(name)
    return f"{part}/{block[1]}" if block else part


def scopes(text: str) -> dict[tuple[str, str], str]:
    """The scopes of a compiled program's operations, by (module, operation).

    Args:
        text: the compiled program as text, from its `as_text()`.
    """
    module = _MODULE.match(text)
    if module is None:
        return {}
    scope_of = {(module[1], match[1]): scope(match[2]) for match in _OPERATION.finditer(text)}
    return {operation: where for operation, where in scope_of.items() if where}
