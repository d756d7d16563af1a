"""Sections -> one self-contained HTML file without JavaScript."""

import html
from collections.abc import Sequence

from fgspec.show.document import Cell, Figure, Part, Section, Table

_STYLE = """
:root { color-scheme: light dark; --ink: #222; --paper: #fff; --faint: #666; --line: #ddd;
  --a: #a8321f; --b: #1b6b3c; }
@media (prefers-color-scheme: dark) { :root { --ink: #ddd; --paper: #161616; --faint: #a0a0a0;
  --line: #3c3c3c; --a: #f19a86; --b: #86d3a3; } }
body { font: 15px/1.5 system-ui, sans-serif; max-width: 62rem; margin: 2rem auto; padding: 0 1rem;
  color: var(--ink); background: var(--paper); }
h1 { font-size: 1.4em; } h2 { font-size: 1.15em; margin-top: 2.2rem; }
h1, h2, p, figcaption { overflow-wrap: break-word; }
figure { margin: 1rem 0; }
figcaption, small, .same { color: var(--faint); } figcaption, small { font-size: .9em; }
.scroll { overflow-x: auto; margin: .6rem 0; }
table { border-collapse: collapse; font-variant-numeric: tabular-nums; }
th, td { padding: .25rem .7rem; border-bottom: 1px solid var(--line); text-align: right;
  vertical-align: top; }
th { font-weight: 600; vertical-align: bottom; }
th:first-child, td:first-child { padding-left: 0; }
th:first-child, td:first-child, .text { text-align: left; }
.whole { white-space: nowrap; } .long { min-width: 16rem; }
code { font: .92em ui-monospace, monospace; }
td.a { color: var(--a); } td.b { color: var(--b); } td small { display: block; }
.panels { display: flex; flex-wrap: wrap; gap: 1rem; }
.panels svg { width: 25rem; max-width: 100%; height: auto; }
.keys { display: flex; flex-wrap: wrap; gap: .2rem 1.2rem; margin: .4rem 0; }
.keys span { display: inline-flex; align-items: center; gap: .4rem; }
.keys svg { width: 2.4rem; height: auto; }
svg text { font-family: system-ui, sans-serif; fill: currentColor; }
svg .a { fill: var(--a); stroke: var(--a); } svg .b { fill: none; stroke: var(--b); }
"""


_LONG = 36
"""A word or a cell of more characters does not fit the line of a narrow screen."""


def page(title: str, sections: Sequence[Section], refresh: int | None = None) -> str:
    """One self-contained page, well-formed XML below its first line.

    Args:
        title: the title of the page.
        sections: its content.
        refresh: the number of seconds after which a browser reloads it; None: never.
    """
    name = html.escape(title)
    again = "" if refresh is None else f'<meta http-equiv="refresh" content="{refresh}"/>\n'
    return (
        f'<!doctype html>\n<html lang="en">\n<head>\n<meta charset="utf-8"/>\n{again}'
        f"<title>{name}</title>\n"
        '<meta name="viewport" content="width=device-width, initial-scale=1"/>\n'
        f"<style>{_STYLE}</style>\n</head>\n<body>\n<h1>{_text(title)}</h1>\n"
        f"{body(sections)}</body>\n</html>\n"
    )


def body(sections: Sequence[Section]) -> str:
    """The sections alone, for a page that has a style of its own."""
    return "".join(
        f"<h2>{_text(section.title)}</h2>\n{''.join(map(_part, section.parts))}"
        for section in sections
    )


def _part(part: Part) -> str:
    if isinstance(part, Figure):
        return _figure(part)
    return _table(part) if isinstance(part, Table) else f"<p>{_text(part)}</p>\n"


def _text(text: str) -> str:
    return " ".join(map(_word, text.split(" ")))


def _word(word: str) -> str:
    """A word that is not broken, not even at a hyphen; a long path may break after a slash."""
    if len(word) > _LONG:
        return html.escape(word).replace("/", "/<wbr/>")
    escaped = html.escape(word)
    return f'<span class="whole">{escaped}</span>' if {"-", "/"} & set(word) else escaped


def _figure(figure: Figure) -> str:
    keys = "".join(f"<span>{svg}{html.escape(label)}</span>" for svg, label in figure.keys)
    shown = f'<div class="keys">{keys}</div>\n' if keys else ""
    panels = "\n".join(figure.panels)
    caption = f"<figcaption>{_text(figure.caption)}</figcaption>"
    return f'<figure>\n{shown}<div class="panels">{panels}</div>\n{caption}</figure>\n'


def _table(table: Table) -> str:
    words = is_text(table)
    head = "".join(
        f'<th class="text">{_text(text)}</th>' if left else f"<th>{_text(text)}</th>"
        for text, left in zip(table.head, words, strict=True)
    )
    rows = "".join(f"<tr>{''.join(map(_cell, row, words))}</tr>\n" for row in table.cells())
    caption = f"<figcaption>{_text(table.caption)}</figcaption>\n" if table.caption else ""
    return (
        f'<figure>{caption}<div class="scroll"><table>\n<tr>{head}</tr>\n{rows}</table></div>'
        "</figure>\n"
    )


def _cell(cell: Cell, left: bool) -> str:
    width = "long" if len(cell.text) > _LONG else "whole"
    names = " ".join(filter(None, ("text" if left else "", width, cell.side)))
    start = f'<td class="{names}">'
    text = f"<code>{_text(cell.text)}</code>" if cell.code else _text(cell.text)
    note = f"<small>{_text(cell.note)}</small>" if cell.note else ""
    return f"{start}{text}{note}</td>"


def is_text(table: Table) -> list[bool]:
    """For each column, whether it holds words (left-aligned) or numbers (right-aligned)."""
    columns = zip(*table.cells(), strict=True)
    are_words = [all(cell.code or _is_word(cell.text) for cell in column) for column in columns]
    return are_words or [True] * len(table.head)


def _is_word(text: str) -> bool:
    return not text or text.lstrip("+-")[:1].isalpha() or "/" in text
