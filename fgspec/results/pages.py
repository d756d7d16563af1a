"""Sections of text, tables and pictures -> one HTML file without scripts, or Markdown."""

import base64
import html
from collections.abc import Sequence
from dataclasses import dataclass

_STYLE = """
body { font: 15px/1.5 system-ui, sans-serif; max-width: 62rem; margin: 2rem auto; padding: 0 1rem; }
table { border-collapse: collapse; margin: 1rem 0; font-variant-numeric: tabular-nums; }
th, td { padding: .25rem .7rem; border-bottom: 1px solid #ddd; text-align: right; }
th:first-child, td:first-child, .text { text-align: left; }
img { max-width: 100%; }
.scroll { overflow-x: auto; }
@media (prefers-color-scheme: dark) {
  body { background: #111; color: #ddd; } th, td { border-color: #333; } img { background: #fff; }
}
"""


@dataclass(frozen=True)
class Table:
    """Rows of text under a head; the first column names the row."""

    head: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]


@dataclass(frozen=True)
class Picture:
    """A PNG; `name` is that of its file beside the Markdown, `text` says what it shows."""

    name: str
    text: str
    png: bytes


@dataclass(frozen=True)
class Section:
    """A heading and what stands below it; text is a paragraph."""

    title: str
    parts: tuple[str | Table | Picture, ...]


def as_html(title: str, sections: Sequence[Section]) -> str:
    """One self-contained page; pictures are in it."""
    body = "".join(
        f"<h2>{html.escape(section.title)}</h2>\n{''.join(map(_html, section.parts))}"
        for section in sections
    )
    name = html.escape(title)
    return (
        f'<!DOCTYPE html>\n<html lang="en">\n<head>\n<meta charset="utf-8">\n'
        f"<title>{name}</title>\n"
        '<meta name="viewport" content="width=device-width, initial-scale=1">\n'
        f"<style>{_STYLE}</style>\n</head>\n<body>\n<h1>{name}</h1>\n{body}</body>\n</html>\n"
    )


def _html(part: str | Table | Picture) -> str:
    if isinstance(part, str):
        return f"<p>{html.escape(part)}</p>\n"
    if isinstance(part, Picture):
        data = base64.b64encode(part.png).decode()
        alt = html.escape(part.text, quote=True)
        return f'<p><img src="data:image/png;base64,{data}" alt="{alt}"></p>\n'
    words = [all(map(_is_text, column)) for column in zip(*part.rows, strict=True)]
    rows = [("th", part.head), *(("td", row) for row in part.rows)]
    lines = (
        "<tr>" + "".join(map(_cell, [tag] * len(row), row, words)) + "</tr>\n" for tag, row in rows
    )
    return f'<div class="scroll"><table>\n{"".join(lines)}</table></div>\n'


def _cell(tag: str, text: str, left: bool) -> str:
    start = f'<{tag} class="text">' if left else f"<{tag}>"
    return f"{start}{html.escape(text)}</{tag}>"


def _is_text(cell: str) -> bool:
    return not cell or cell.lstrip("+-")[:1].isalpha() or "/" in cell


def as_markdown(title: str, sections: Sequence[Section]) -> str:
    """The same for a repository; pictures are files beside it."""
    body = "\n".join(
        f"## {section.title}\n\n" + "\n\n".join(map(_markdown, section.parts)) + "\n"
        for section in sections
    )
    return f"# {title}\n\n{body}"


def _markdown(part: str | Table | Picture) -> str:
    if isinstance(part, str):
        return part
    if isinstance(part, Picture):
        return f"![{part.text}]({part.name})"
    rule = "| --- |" + " ---: |" * (len(part.head) - 1)
    rows = ["| " + " | ".join(c.replace("|", "\\|") for c in row) + " |" for row in part.rows]
    return "\n".join(["| " + " | ".join(part.head) + " |", rule, *rows])


def pictures(sections: Sequence[Section]) -> list[Picture]:
    """All pictures, to be written beside the Markdown."""
    return [part for section in sections for part in section.parts if isinstance(part, Picture)]
