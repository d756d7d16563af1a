"""What a page, or a file of tables, is made of: sections of text, tables and figures."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field


@dataclass(frozen=True)
class Cell:
    """One cell of a table.

    Attributes:
        text: what a person reads.
        value: the same for programs, where `text` is rounded; None takes `text`.
        note: a few words below it, in small letters.
        side: `a` or `b`, of a table that compares two things; empty elsewhere.
        code: whether it is what stands in a file, such as a field or its value.
    """

    text: str
    value: float | None = None
    note: str = ""
    side: str = ""
    code: bool = False


@dataclass(frozen=True)
class Table:
    """Rows under a head; the first column names the row.

    Attributes:
        name: of its files, without an ending.
        head: of every column.
        rows: a cell for every column; plain text is a cell of that text.
        caption: what the numbers are.
    """

    name: str
    head: tuple[str, ...]
    rows: tuple[tuple[Cell | str, ...], ...]
    caption: str = ""

    def cells(self) -> Iterator[tuple[Cell, ...]]:
        """All rows, each cell as a `Cell`."""
        for row in self.rows:
            yield tuple(Cell(cell) if isinstance(cell, str) else cell for cell in row)


@dataclass(frozen=True)
class Figure:
    """Pictures that belong together.

    Attributes:
        name: of its files, without an ending.
        caption: what it shows.
        panels: SVG elements, which a page places beside or below each other as it has room.
        keys: what every line or bar is: an SVG element, and its name.
        files: by ending, such as svg and pdf: the whole figure with its key; empty if there are
            no files of it.
    """

    name: str
    caption: str
    panels: tuple[str, ...]
    keys: tuple[tuple[str, str], ...] = ()
    files: Mapping[str, bytes] = field(default_factory=dict)


Part = str | Table | Figure
"""Text is a paragraph."""


@dataclass(frozen=True)
class Section:
    """A heading and what stands below it."""

    title: str
    parts: tuple[Part, ...]


def tables(sections: Sequence[Section]) -> list[Table]:
    """All tables, in order."""
    return [part for section in sections for part in section.parts if isinstance(part, Table)]


def figures(sections: Sequence[Section]) -> list[Figure]:
    """All figures, in order."""
    return [part for section in sections for part in section.parts if isinstance(part, Figure)]
