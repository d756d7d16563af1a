"""Which part of an update each operation of the compiled program belongs to."""

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
"""The named scopes of an update; of nested ones the outermost counts."""

_MODULE = re.compile(r"HloModule ([^\s,]+)")
_OPERATION = re.compile(r'^\s*(?:ROOT )?%?([^\s=]+) = .*metadata=\{[^}]*op_name="([^"]*)"', re.M)
_BLOCK = re.compile(r"block=([^/()]+)")
_WORD = re.compile(r"[^/()]+")


def scope(name: str) -> str:
    """The part of an update that JAX's name of an operation tells, such as `tangents/block0`.

    `backward` is where a forward pass is transposed; the scope is empty outside every part.

    Args:
        name: such as `jit(update)/tangents/jvp(forward/block=block0)/dot_general`.
    """
    part = next((word for word in _WORD.findall(name) if word in PARTS), "")
    if part == "forward" and "transpose(" in name[: name.index("forward")]:
        part = "backward"
    block = _BLOCK.search(name)
    return f"{part}/{block[1]}" if block else part


def scopes(text: str) -> dict[tuple[str, str], str]:
    """The scope of every operation of a compiled program that has one, by (module, operation).

    Args:
        text: of the compiled program, as its `as_text()` gives it.
    """
    module = _MODULE.match(text)
    if module is None:
        return {}
    scope_of = {(module[1], match[1]): scope(match[2]) for match in _OPERATION.finditer(text)}
    return {operation: where for operation, where in scope_of.items() if where}
