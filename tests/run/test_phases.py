"""Runs in phases and with exact updates: resumed anywhere they are as if never stopped; the log."""

import pytest
import runs

import fgspec
from fgspec.training.loop import Preempted

PHASES = (
    "phases=[{steps: 9, gradient: {estimator: exact}}, "
    "{steps: 6, gradient: {estimator: learned_direct_feedback, exact_every: 4}}]"
)
MORE = (PHASES, "gradient.exact_every=3", "architecture.blocks=1", "checkpoint.every.steps=4")
"""Of 25 updates the first is exact, the second learns matrices, the last turns others."""


@pytest.fixture
def cli(request):
    """The command line; see `tests/conftest.py`."""
    return request.getfixturevalue("fgspec")


def test_a_run_that_is_stopped_in_every_phase_goes_on_as_if_it_was_not(tmp_path, monkeypatch):
    spec = fgspec.load(runs.write_spec(tmp_path, "grape"), MORE)
    whole, run = tmp_path / "whole", tmp_path / "parts"
    fgspec.train(spec, run=whole)
    for updates in (5, 7, 6):
        runs.stop_after(monkeypatch, updates)
        with pytest.raises(Preempted):
            fgspec.train(spec, run=run)
        monkeypatch.undo()
    fgspec.train(spec, run=run)
    runs.assert_same(run, whole)


def test_the_log_names_the_phase_of_each_line(tmp_path):
    spec = fgspec.load(runs.write_spec(tmp_path, "grape"), MORE)
    run = fgspec.train(spec, run_dir=tmp_path)["run"]
    columns = fgspec.metrics(run)
    known = {
        int(step): int(phase)
        for step, phase in zip(columns["step"], columns["train/phase"], strict=True)
        if phase == phase  # a line without the metric has NaN
    }
    assert known == {7: 1, 10: 2, 14: 2, 20: 3, 21: 3, 25: 3}


def test_plan_and_explain_tell_the_phases_and_what_exact_updates_cost(tmp_path, cli):
    spec = str(runs.write_spec(tmp_path, "grape"))
    code, out, _ = cli("plan", spec, *MORE)
    assert code == 0
    text = " ".join(out.split())
    assert "1 to 9: exact, target global," in text
    assert "10 to 15: learned_direct_feedback, target global, one in 4 exact," in text
    assert "16 to 25: grape, target global, one in 3 exact," in text
    assert "one in 3:" in text
    code, out, _ = cli("explain", spec, *MORE)
    assert code == 0
    text = " ".join(out.split())
    assert "Phase 1 is updates 1 to 9: every block learns the gradient of the final loss." in text
    assert "What follows is said of all updates from 16 on." in text
    assert "One update in 3 takes the exact gradient of the same losses instead" in text


def test_diff_tells_the_phases_apart(tmp_path, cli):
    spec = runs.write_spec(tmp_path, "dfa")
    other = tmp_path / "other.yaml"
    other.write_text(spec.read_text() + "phases: [{steps: 5}]\n")
    code, out, _ = cli("diff", str(spec), str(other))
    assert code in (0, 1)
    assert "phases" in out


def test_phases_of_epochs_must_fit_a_run_of_steps(tmp_path):
    """How many updates an epoch has is known with the data set."""
    spec = fgspec.load(runs.write_spec(tmp_path, "dfa"), ["phases=[{epochs: 3}]"])
    with pytest.raises(fgspec.SpecError, match=r"phases: the phases last 33 updates \(11 in an"):
        fgspec.compile(spec)
