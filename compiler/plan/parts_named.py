"""Parts of a network, named by the start of their parameters' paths, such as `blocks.0`."""

import difflib
from collections.abc import Collection, Iterable, Sequence

from fgspec.errors import UserError


def within(path: str, part: str) -> bool:
    """Whether a path such as `blocks/block0/w` is in a part such as `blocks/block0`."""
    return path == part or path.startswith(f"{part}/")


def chosen(
    field: str, parts: Iterable[str], paths: Collection[str], blocks: Sequence[str]
) -> frozenset[str]:
    """The paths of all parameters in the named parts.

    Args:
        field: the field of the spec that names the parts, for errors.
        parts: names such as `blocks.0`, `blocks.block0.channel.w` or `heads`.
        paths: the paths of all parameters, such as `blocks/block0/channel/w`.
        blocks: the names of the blocks, in order.

    Raises:
        UserError: a part has no parameters.
    """
    paths_of_parts: set[str] = set()
    for part in parts:
        start = path_of(part, blocks)
        paths_of_part = {path for path in paths if within(path, start)}
        if not paths_of_part:
            raise UserError(f"{field}: no parameter is called {part}...; {_near(start, paths)}")
        paths_of_parts |= paths_of_part
    return frozenset(paths_of_parts)


def path_of(part: str, blocks: Sequence[str]) -> str:
    """The path of a part: `blocks.0.w` -> `blocks/block0/w`."""
    section, *names = part.split(".")
    if section in ("blocks", "heads") and names and names[0].isdecimal():
        index = int(names[0])
        names[0] = blocks[index] if index < len(blocks) else names[0]
    return "/".join((section, *names))


def _near(start: str, paths: Collection[str]) -> str:
    """A hint: the part that was probably meant, or all parts."""
    depth = start.count("/") + 1
    known_parts = list(dict.fromkeys("/".join(path.split("/")[:depth]) for path in paths))
    close = difflib.get_close_matches(start, known_parts, n=1)
    names = [name.replace("/", ".") for name in close or known_parts]
    return f"did you mean {names[0]}?" if close else f"known: {', '.join(names)}"
