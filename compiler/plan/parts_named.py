"""Parts of a network by how the names of their parameters begin, such as `blocks.0`."""

import difflib
from collections.abc import Collection, Iterable, Sequence

from fgspec.errors import UserError


def within(path: str, part: str) -> bool:
    """Whether a path such as `blocks/block0/w` is that of a part such as `blocks/block0`."""
    return path == part or path.startswith(f"{part}/")


def chosen(
    field: str, parts: Iterable[str], paths: Collection[str], blocks: Sequence[str]
) -> frozenset[str]:
    """The paths of all parameters of the named parts.

    Args:
        field: of the spec that names them, for errors.
        parts: such as `blocks.0`, `blocks.block0.channel.w` or `heads`.
        paths: of all parameters, such as `blocks/block0/channel/w`.
        blocks: names of the blocks, in order.

    Raises:
        UserError: no parameter has a name that begins so.
    """
    found: set[str] = set()
    for part in parts:
        start = path_of(part, blocks)
        own = {path for path in paths if within(path, start)}
        if not own:
            raise UserError(f"{field}: no parameter is called {part}...; {_near(start, paths)}")
        found |= own
    return frozenset(found)


def path_of(part: str, blocks: Sequence[str]) -> str:
    """`blocks/block0/w` of `blocks.0.w`."""
    section, *below = part.split(".")
    if section in ("blocks", "heads") and below and below[0].isdecimal():
        index = int(below[0])
        below[0] = blocks[index] if index < len(blocks) else below[0]
    return "/".join((section, *below))


def _near(start: str, paths: Collection[str]) -> str:
    """The part that was meant, or those that there are."""
    depth = start.count("/") + 1
    known = list(dict.fromkeys("/".join(path.split("/")[:depth]) for path in paths))
    close = difflib.get_close_matches(start, known, n=1)
    named = [name.replace("/", ".") for name in close or known]
    return f"did you mean {named[0]}?" if close else f"known: {', '.join(named)}"
