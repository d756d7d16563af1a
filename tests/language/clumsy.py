"""A spec with mistakes, and what is said of it."""

from pathlib import Path
from typing import NamedTuple

from fgspec.check.against_data import data_problems, refusals
from fgspec.data.describe import describe
from fgspec.loading.spec_file import load
from fgspec.problems.problems import SpecError

HEAD = """\
fgspec: 1
name: a
training: {epochs: 2}
"""


class Mistake(NamedTuple):
    """`text` after `head` is the file a.yaml; `files` stand beside it."""

    text: str
    lines: tuple[str, ...]
    head: str
    sets: tuple[str, ...]
    files: dict[str, str]


def mistake(text, *lines, head=HEAD, sets=(), files=None):
    return Mistake(text, lines, head, tuple(sets), files or {})


def told(mistake, folder, monkeypatch):
    """The lines that `fgspec check a.yaml --set ...` prints of a mistake."""
    specs = folder / "specs"
    for name, text in (mistake.files | {"a.yaml": mistake.head + mistake.text}).items():
        (specs / name).parent.mkdir(parents=True, exist_ok=True)
        (specs / name).write_text(text)
    monkeypatch.chdir(specs)
    try:
        refuse(load(Path("a.yaml"), mistake.sets))
    except SpecError as error:
        return error.lines
    return ()


def refuse(loaded):
    """Raise what the compiler and the data refuse of a spec."""
    spec = loaded.experiment
    loaded.refuse([*refusals(spec), *data_problems(spec, describe(spec.data.source))])


def names(table):
    """The methods of a table, as messages list them."""
    return ", ".join(table.names())


def leaves(tree, at=()):
    """Every value of nested mappings that is no mapping itself, with its path."""
    if isinstance(tree, dict):
        return [leaf for key, value in tree.items() for leaf in leaves(value, (*at, key))]
    return [(at, tree)]
