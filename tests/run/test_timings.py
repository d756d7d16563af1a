"""Where the time of a start goes: parts that do not overlap, and what is left."""

import io

import runs
from rich.console import Console

import fgspec
from fgspec.training.timings import Timings


def test_parts_and_what_is_left_are_the_whole():
    now = iter([2.0, 5.0, 6.0, 6.5, 7.0, 10.0])
    timings = Timings(began=0.0, clock=lambda: next(now))
    with timings.part("a"):
        pass
    with timings.part("b"):
        pass
    timings.begun("before")
    assert timings.seconds == {"a": 3.0, "b": 0.5, "before": 3.5}
    assert timings.lines() == [
        "to the end of the first update   10.00 s",
        "a                                 3.00 s",
        "b                                 0.50 s",
        "before                            3.50 s",
        "other                             3.00 s",
    ]


def test_a_run_shows_them_after_its_first_update(tmp_path):
    said, timings = io.StringIO(), Timings()
    console = Console(file=said, width=300)
    spec = runs.write_spec(tmp_path, steps=3)
    timed = fgspec.train(spec, run_dir=tmp_path, console=console, timings=timings)
    shown = [line for line in said.getvalue().splitlines() if line.endswith(" s")]
    assert [line[:32].strip() for line in shown] == [
        "to the end of the first update",
        *timings.seconds,
        "other",
    ]
    seconds = [float(line.split()[-2]) for line in shown]
    assert abs(seconds[0] - sum(seconds[1:])) < 0.005 * len(seconds)
    assert timings.seconds["compile it, the rest"] > 0
    untimed = fgspec.train(spec, run_dir=tmp_path)
    assert untimed["metrics"]["test/loss"] == timed["metrics"]["test/loss"]
