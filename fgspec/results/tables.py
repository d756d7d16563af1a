"""Writes sections of a report as Markdown, and their tables as LaTeX and CSV."""

import csv
import io
import re
from collections.abc import Sequence

from fgspec.show.document import Cell, Figure, Part, Section, Table
from fgspec.show.html_page import is_text

FIGURES, TABLES = "figures", "tables"
"""The folders of a report's figures and tables, beside its pages."""


def as_markdown(title: str, sections: Sequence[Section]) -> str:
    """All sections as Markdown; pictures refer to the SVG files in the folder `FIGURES`."""
    parts = "\n".join(
        f"## {section.title}\n\n" + "\n\n".join(map(_markdown, section.parts)) + "\n"
        for section in sections
    )
    return f"# {title}\n\n{parts}"


def _markdown(part: Part) -> str:
    if isinstance(part, Figure):
        return f"![{part.name}]({FIGURES}/{part.name}.svg)\n\n*{part.caption}*"
    if isinstance(part, str):
        return part
    rule = "| --- |" + " ---: |" * (len(part.head) - 1)
    rows = [_row(part.head), rule, *(_row([cell.text for cell in row]) for row in part.cells())]
    return "\n".join([part.caption, ""] * bool(part.caption) + rows)


def _row(cells: Sequence[str]) -> str:
    return "| " + " | ".join(cell.replace("|", "\\|") for cell in cells) + " |"


def as_csv(table: Table) -> str:
    """A header and rows; numbers have all digits."""
    buffer = io.StringIO()
    writer = csv.writer(buffer, lineterminator="\n")
    writer.writerow(table.head)
    writer.writerows([_plain(cell) for cell in row] for row in table.cells())
    return buffer.getvalue()


def _plain(cell: Cell) -> str:
    return cell.text if cell.value is None else repr(cell.value)


def as_latex(table: Table) -> str:
    """A table for a paper; its preamble must load the package booktabs."""
    columns = "".join("l" if left else "r" for left in is_text(table))
    caption = [f"  \\caption{{{_latex(table.caption)}}}"] * bool(table.caption)
    lines = [
        "\\begin{table}",
        "  \\centering",
        *caption,
        f"  \\label{{tab:{table.name}}}",
        f"  \\begin{{tabular}}{{{columns}}}",
        "    \\toprule",
        _line(table.head),
        "    \\midrule",
        *(_line([cell.text for cell in row]) for row in table.cells()),
        "    \\bottomrule",
        "  \\end{tabular}",
        "\\end{table}",
    ]
    return "\n".join(lines) + "\n"


def _line(cells: Sequence[str]) -> str:
    return f"    {' & '.join(map(_latex, cells))} \\\\"


_SPECIAL = {
    "\\": r"\textbackslash{}",
    "~": r"\textasciitilde{}",
    "^": r"\textasciicircum{}",
    "<": r"\textless{}",
    ">": r"\textgreater{}",
    "|": r"\textbar{}",
    "±": r"$\pm$",
} | {character: f"\\{character}" for character in "&%$#_{}"}


def _latex(text: str) -> str:
    escaped = "".join(_SPECIAL.get(character, character) for character in text)
    # A hyphen before a number is a minus sign.
    return re.sub(r"(?<![\w.-])-(?=\d)", "$-$", escaped)
