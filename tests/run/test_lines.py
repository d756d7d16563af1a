"""What users name is printed as it is, on a terminal and elsewhere."""

import io

import pytest
from rich.console import Console

from fgspec.show.lines import say
from fgspec.show.text import Reporter, table

NAMES = ["runs/[baseline] mine", "runs/[/b]", "[red]x[/red]", "a:bug:b", "\\[b]", "[link=x]y"]


def shown(terminal, act):
    file = io.StringIO()
    act(Console(file=file, force_terminal=terminal, width=200, color_system=None))
    return file.getvalue()


@pytest.mark.parametrize("terminal", [True, False])
@pytest.mark.parametrize("name", NAMES)
def test_names_are_printed_as_they_are(name, terminal):
    assert shown(terminal, lambda console: say(console, f"run {name}")) == f"run {name}\n"
    cells = shown(terminal, lambda console: table(f"cost of {name}", {name: name}, console))
    assert cells.count(name) == 3


def test_long_lines_are_not_broken():
    line = "x " * 300
    assert shown(False, lambda console: say(console, line)) == f"{line}\n"


def test_a_terminal_is_told_nothing_by_names():
    assert shown(False, lambda console: say(console, "a\x1b[31mb\x07")) == "a\\x1b[31mb\\x07\n"


def test_progress_shows_any_metric(monkeypatch):
    monkeypatch.setattr("fgspec.show.text.HEADLINE", {"m": "[/b]"})

    def run(console):
        reporter = Reporter(2, 0, console)
        reporter.show(1, {"m": 0.5})
        reporter.close()

    for terminal in (True, False):
        assert "[/b] 0.5000" in shown(terminal, run)
