"""What users name is printed as it is, on a terminal and elsewhere."""

import io
import sys
import types

import pytest
from rich.console import Console

from fgspec.loading.spec_file import loads
from fgspec.show.lines import say
from fgspec.show.progress import Reporter, State, opening
from fgspec.show.text import HEADLINE, table

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
    monkeypatch.setitem(HEADLINE, "m", "[/b]")

    def run(console):
        reporter = Reporter(2, 0, console)
        reporter.show(1, {"m": 0.5})
        reporter.close()

    for terminal in (True, False):
        assert "[/b] 0.5000" in shown(terminal, run)


# ------------------------------------------------------------------------------------ progress


def state_of(steps=480, best=None):
    """120 epochs of 12 steps, 40 steps a second, half a minute to go."""
    now = [0.0]
    state = State(1440, 0, 12, best, lambda: now[0])
    for step in range(1, steps + 1):
        now[0] = step / 40
        error = 0.2 if step < 300 else 0.25
        state.take(step, {"train/loss": 1.5, "train/accuracy": 0.5, "test/error": error})
    return state


@pytest.mark.parametrize(
    ("width", "lines"),
    [
        (
            60,
            [
                "epoch 40/120  ━━━──────  40 steps/s  0:12 elapsed  0:24 left",
                "loss 1.5000  accuracy 0.5000",
                "test error 0.2500 (best 0.2000)",
            ],
        ),
        (
            80,
            [
                "step 480/1440  epoch 40/120  ━━━━─────────  40 steps/s  0:12 elapsed  0:24 left",
                "loss 1.5000  accuracy 0.5000  test error 0.2500 (best 0.2000)",
            ],
        ),
        (
            140,
            [
                "step 480/1440  epoch 40/120  ━━━━────────  40 steps/s  0:12 elapsed  0:24 left  "
                "loss 1.5000  accuracy 0.5000  test error 0.2500 (best 0.2000)",
            ],
        ),
    ],
)
def test_progress_is_as_wide_as_its_terminal(width, lines):
    drawn = state_of().drawn(width, "━", "─")
    assert drawn[1:] == lines[1:]
    assert drawn[0].replace("━", "").replace("─", "") == lines[0].replace("━", "").replace("─", "")
    assert len(drawn[0]) == width
    assert drawn[0].count("━") == (drawn[0].count("━") + drawn[0].count("─")) // 3
    assert max(map(len, state_of().drawn(20, "#", "-"))) <= 20


def test_a_long_evaluation_does_not_slow_the_rate_of_updates():
    """20 steps, one a second, then 80 seconds of evaluation: the next 20 take as long again."""
    now = [0.0]
    state = State(40, 0, 20, now=lambda: now[0])
    for step in range(1, 20):
        now[0] = step
        state.take(step, {})
    now[0] = 100.0
    state.take(20, {}, away=80.0)
    assert state.timed() == ["1 steps/s", "1:40 elapsed", "1:40 left"]


def test_progress_in_a_file_is_plain_lines():
    def run(console):
        reporter = Reporter(24, 0, console, 12)
        for step in range(1, 25):
            reporter.show(step, {"train/loss": 1.5 + step // 12})
        reporter.close()

    told = shown(False, run)
    assert [line.split("  ")[:3] for line in told.splitlines()] == [
        ["step 1/24", "epoch 0.08333/2", "loss 1.5000"],
        ["step 12/24", "epoch 1/2", "loss 2.5000"],
        ["step 24/24", "epoch 2/2", "loss 3.5000"],
    ]
    assert told.isprintable() or set(filter(lambda c: not c.isprintable(), told)) == {"\n"}


def test_the_best_of_a_resumed_run_counts():
    assert "(best 0.0500)" in state_of(best=0.05).line()


def test_a_notebook_has_one_cell_that_is_replaced(monkeypatch):
    pages = []

    class Handle:
        def update(self, page):
            pages.append(page)

    def display(page, display_id):
        assert not pages
        pages.append(page)
        return Handle()

    module = types.SimpleNamespace(HTML=str, display=display)
    monkeypatch.setitem(sys.modules, "IPython.display", module)
    reporter = Reporter(2, 0, Console(force_jupyter=True, file=io.StringIO()))
    for step in (1, 2):
        reporter.show(step, {"train/loss": 0.5})
    reporter.close()
    assert pages[0].startswith("<pre>step 1/2")
    assert pages[-1].startswith("<pre>step 2/2")


def test_the_first_line_says_what_where_and_how(monkeypatch, tmp_path):
    monkeypatch.setattr("socket.gethostname", lambda: "here")
    monkeypatch.setenv("JAX_PLATFORMS", "cpu")
    text = "fgspec: 1\nname: a\ndata: {batch_size: 64}\ntraining: {epochs: 2}\n"
    told = "on digits in batches of 64, 2 epochs, seed 0; on here, cpu"
    assert opening(loads(f"{text}rule: lg-bp\n")) == f"a: lg-bp {told}"
    assert opening(loads(text)) == f"a: global exact gradients {told}"
