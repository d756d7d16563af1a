"""A search by optuna: what it chooses, how it goes on, and what it tells."""

import json
import math
import sys
from pathlib import Path

import pytest
import runs
from tiny_sweep import SPEC, pretend

from fgspec.spec.sweep import Optuna
from fgspec.sweeps.expand import load_sweep
from fgspec.sweeps.folder import Planned, RunStatus
from fgspec.sweeps.search import Arms, Trial, best, chosen_next, values_of

optuna = pytest.importorskip("optuna")

DRAWN = Optuna.model_validate(
    {
        "count": 30,
        "fields": {
            "rate": {"low": 1e-4, "high": 10.0, "scale": "log"},
            "width": {"low": 1, "high": 64},
            "norm": {"values": ("none", {"type": "layer_norm"})},
        },
    }
)
SWEEP = """\
fgspec: 1
name: found
base: tiny.yaml
optuna:
  count: 3
  fields:
    optimizer.learning_rate: {low: 0.01, high: 1.0, scale: log}
    architecture.hidden: {values: [[4], [0], [8]]}
"""


@pytest.fixture
def fgspec(fgspec, monkeypatch, tmp_path):
    """Runs the command line beside a sweep that searches."""
    monkeypatch.chdir(tmp_path)
    Path("tiny.yaml").write_text(
        SPEC.replace("batch_size: 128", "batch_size: 128, validation: {fraction: 0.2}")
    )
    Path("found.yaml").write_text(SWEEP)
    return fgspec


@pytest.mark.parametrize("lower", [True, False])
def test_a_search_comes_near_the_optimum(lower):
    """Of a function whose best value is 0, at a rate of 0.03, width 20 and the second norm."""

    def worse(values):
        off = abs(math.log10(values["rate"]) - math.log10(0.03)) + abs(values["width"] - 20) / 20
        return off + (values["norm"] == "none")

    trials = []
    for _ in range(60):
        (choice,) = chosen_next(DRAWN, trials, lower, 1)
        values = values_of(DRAWN, choice)
        assert 1e-4 <= values["rate"] <= 10
        assert float(f"{values['rate']:.4g}") == values["rate"]
        assert values["width"] in range(1, 65)
        trials.append(Trial(choice, worse(values) if lower else -worse(values)))
    reached = [abs(one.reached) for one in trials]
    assert min(reached) < 0.5
    assert sum(reached[50:]) < sum(reached[:10]) / 2


def test_arms_chosen_at_once_differ_and_depend_on_the_trials_alone():
    trials = [Trial({"rate": 0.1 * k, "width": k, "norm": 0}, k) for k in range(1, 16)]
    trials.append(Trial({"rate": 1.0, "width": 3, "norm": 1}, None))
    four = chosen_next(DRAWN, trials, True, 4)
    assert len({json.dumps(choice) for choice in four}) == 4
    assert chosen_next(DRAWN, trials, True, 4) == four


def test_a_search_that_is_stopped_goes_on_as_one_that_never_was(fgspec, monkeypatch):
    code, out, err = fgspec("sweep", "found.yaml", "--run-dir", "whole")
    assert code == 0
    whole = json.loads(Path("whole/found/trials.json").read_text())
    chosen = [trial["architecture.hidden"] for trial in whole["trials"]]
    assert 1 in chosen  # the seed is one that tries a layer without neurons
    for number, choice in enumerate(chosen, 1):
        told = f"trial-{number} is left out: found.yaml:8:26: architecture.hidden[0]: " in out
        assert told == (choice == 1)
    with monkeypatch.context() as patched:
        runs.stop_after(patched, 3)
        code, _, err = fgspec("sweep", "found.yaml", "--run-dir", "parts")
    assert (code, "trial-" in err) == (75, True)
    code, out, _ = fgspec("sweep", "found.yaml", "--run-dir", "parts")
    assert (code, " of 3 arms were chosen already" in out) == (0, True)
    assert json.loads(Path("parts/found/trials.json").read_text()) == whole
    for path in Path("whole").glob("found/*/*/metrics.jsonl"):
        (other,) = Path("parts").glob(f"found/{path.parts[2]}/*/metrics.jsonl")
        assert runs.lines(other.parent) == runs.lines(path.parent)
    code, out, _ = fgspec("sweep", "found.yaml", "--run-dir", "parts")
    assert (code, "3 of 3 arms were chosen already" in out, "done at" in out) == (0, True, False)


def test_jobs_are_kept_busy(fgspec, monkeypatch):
    Path("found.yaml").write_text(SWEEP.replace("[0], ", "").replace("count: 3", "count: 5"))
    pretend(
        monkeypatch,
        (None, None),
        "run.mkdir(parents=True)\n"
        "(run / 'metrics.jsonl').write_text('{\"step\": 4, \"valid/error\": 0.5}\\n')",
    )
    chosen = []

    def counted(drawn, trials, lower, count):
        chosen.append((len(trials), lower, count))
        return chosen_next(drawn, trials, lower, count)

    monkeypatch.setattr("fgspec.cli.sweep_.chosen_next", counted)
    code, out, err = fgspec("sweep", "found.yaml", "--jobs", "2")
    assert (code, err) == (0, "")
    assert chosen == [(0, True, 2), (2, True, 2), (4, True, 1)]
    assert "best: trial-1 with valid/error 0.5000: " in out


def test_what_was_chosen_from_must_not_change(fgspec, monkeypatch):
    Path("runs/found").mkdir(parents=True)
    Path("runs/found/trials.json").write_text('{"drawn": {}, "trials": []}')
    code, _, err = fgspec("sweep", "found.yaml")
    assert (code, "trials.json: this search began with other optuna.fields" in err) == (2, True)
    Path("runs/found/trials.json").write_text("{")
    code, _, err = fgspec("sweep", "found.yaml")
    assert (code, "trials.json: cannot be read; remove it" in err) == (2, True)
    monkeypatch.setitem(sys.modules, "optuna", None)
    code, _, err = fgspec("sweep", "found.yaml")
    assert (code, 'optuna, which is not installed; pip install "optuna' in err) == (2, True)


def test_what_trials_reached(fgspec):
    """The mean over seeds; arms that train the same have one result."""
    sweep = load_sweep("found.yaml")
    arms = Arms(sweep)
    for number, rate in enumerate((0.1, 0.2, 0.1, 0.3), 1):
        values = {"optimizer.learning_rate": rate, "architecture.hidden": [4]}
        arms.add(sweep.search.arm(number, values), 4)
    arms.leave_out()
    assert arms.labels == ["trial-1", "trial-2", "trial-1", "trial-4", None]
    done = {"trial-1": (0.5, 0.25), "trial-2": (0.125, None), "trial-4": (0.5, math.nan)}
    found = [
        RunStatus(
            Planned(label, seed, label, "", 4),
            "failed" if error is None else "done",
            metrics={} if error is None else {"valid/error": error},
        )
        for label, errors in done.items()
        for seed, error in enumerate(errors)
    ]
    reached = arms.reached(found, "valid/error")
    assert reached == [0.375, None, 0.375, None, None]
    assert best(arms, reached, "valid/error", True).startswith(
        "best: trial-1 with valid/error 0.3750"
    )
