"""The content of a page or a file of tables: sections of text, tables and figures."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field


@dataclass(frozen=True)
class Cell:
    """One cell of a table.

    Attributes:
        text: what people read.
        value: the unrounded number, for programs; None where `text` is all.
        note: a few words below the text, in small letters.
        side: `a` or `b`, the column's side in a table that compares two things; empty elsewhere.
        code: whether the text is code, such as a field's name or value.
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
        name: the name of its files, without an ending.
        head: the heading of each column.
        rows: one cell for each column; plain text stands for a cell with that text.
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
        name: the name of its files, without an ending.
        caption: what it shows.
        panels: SVG elements; a page places them side by side, or below each other if it is narrow.
        keys: the legend: an SVG element and a name for every line or bar.
        files: the whole figure with its legend, by the file's ending (svg, pdf); may be empty.
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
