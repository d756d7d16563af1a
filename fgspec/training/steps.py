"""Which checkpoints a folder has, told by names alone: what watches a run need not load Orbax."""

from pathlib import Path

_DIGITS = 18
"""Of the largest step: what has more is no number that counts updates."""


def steps_in(folder: Path) -> list[int]:
    """The steps after which checkpoints are named, ascending; none where there is no folder.

    Only names that a checkpoint gets are steps: `00110` and `²` are digits too, but nobody's
    checkpoint.
    """
    names = [path.name for path in folder.iterdir()] if folder.is_dir() else []
    return sorted(int(name) for name in names if _is_step(name))


def _is_step(name: str) -> bool:
    decimal = name.isascii() and name.isdecimal() and len(name) <= _DIGITS
    return decimal and name == str(int(name))
