"""What may befall a run: bad folders, lost checkpoints, early signals, odd sizes."""

import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import jax
import pytest
import runs

import fgspec
from fgspec.cli.main import main


def _trained(folder):
    """The folder of a run of one step."""
    return fgspec.train(runs.write_spec(folder, "bp", steps=1), run_dir=folder)["run"]


@pytest.fixture
def cli(request):
    """The command line; see `tests/conftest.py`."""
    return request.getfixturevalue("fgspec")


def test_a_run_dir_that_is_a_file(tmp_path):
    (tmp_path / "taken").write_text("mine")
    spec = runs.write_spec(tmp_path, "bp", steps=1)
    with pytest.raises(
        fgspec.UserError, match=r"cannot be made \(Not a directory\); choose another"
    ):
        fgspec.train(spec, run_dir=tmp_path / "taken")
    assert (tmp_path / "taken").read_text() == "mine"


def test_paths_with_spaces_and_accents(tmp_path):
    folder = tmp_path / "sp ace é"
    folder.mkdir()
    summary = fgspec.train(runs.write_spec(folder, "bp", steps=1), run_dir=folder)
    assert fgspec.evaluate(summary["run"])["step"] == 1


def test_two_runs_in_the_same_second_have_folders_of_their_own(tmp_path):
    spec = fgspec.load(runs.write_spec(tmp_path, "bp", steps=1))
    made = {fgspec.train(spec, run_dir=tmp_path)["run"] for _ in range(2)}
    assert len(made) == 2


def test_a_finished_run_without_checkpoints_is_not_begun_again(tmp_path, cli):
    run = _trained(tmp_path)
    shutil.rmtree(f"{run}/checkpoints")
    with pytest.raises(fgspec.ResumeError, match="no checkpoint yet"):
        fgspec.evaluate(run)
    with pytest.raises(fgspec.ResumeError, match="has a summary but no checkpoint any more"):
        fgspec.train(resume=run)
    code, _, said = cli("train", "--resume", run)
    assert code == 3
    assert "has a summary but no checkpoint any more" in said


def test_an_epoch_of_one_batch_and_intervals_longer_than_the_run(tmp_path):
    changes = [
        "data.batch_size=1437",
        "data.evaluation_batch_size=5000",
        "training.epochs=2",
        "training.log_every.epochs=50",
        "training.evaluate_every.steps=1000",
        "checkpoint.every.epochs=99",
    ]
    spec = fgspec.load(runs.write_spec(tmp_path, "bp"), changes)
    summary = fgspec.train(spec, run_dir=tmp_path)
    assert summary["step"] == 2
    assert {"train/loss", "eval/error"} <= summary["metrics"].keys()
    assert runs.final_state(tmp_path / summary["run"]).step == 2


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_before_the_first_step_is_not_lost(tmp_path, number):
    spec = runs.write_spec(tmp_path, steps=100_000)
    command = [sys.executable, "-m", "fgspec.cli.main", "train", spec, "--run-dir", tmp_path]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
    deadline = time.monotonic() + 120
    while not list(tmp_path.glob("small/*/spec.yaml")) and time.monotonic() < deadline:
        time.sleep(0.01)
    process.send_signal(number)
    output, _ = process.communicate(timeout=120)
    assert process.returncode == 75, output
    assert "stopped at step 1 of 100000; its state is saved" in output


def test_errors_of_the_operating_system_are_one_line(tmp_path, cli, monkeypatch):
    """A folder stands where the metrics should go; --debug shows the traceback."""
    run = _trained(tmp_path)
    metrics = Path(run) / "metrics.jsonl"
    metrics.unlink()
    metrics.mkdir()
    code, _, said = cli("train", "--resume", run)
    assert (code, said) == (1, f"{metrics}: Is a directory\n")
    monkeypatch.setattr(sys, "argv", ["fgspec", "--debug", "train", "--resume", run])
    with pytest.raises(IsADirectoryError):
        main()


@pytest.mark.parametrize("how", ["run_dir", "run"])
def test_a_folder_that_cannot_be_written_is_told_before_anything_is_compiled(
    tmp_path, monkeypatch, how
):
    (tmp_path / "taken").write_text("mine")

    def late(*_):
        raise AssertionError("compiled")

    monkeypatch.setattr(fgspec.api, "_prepared", late)
    spec = runs.write_spec(tmp_path, "bp", steps=1)
    with pytest.raises(fgspec.UserError, match=r"taken/x.*: cannot be made \(Not a directory\)"):
        fgspec.train(spec, **{how: tmp_path / "taken" / "x"})
    with pytest.raises(AssertionError, match="compiled"):
        fgspec.train(spec, **{how: tmp_path / "free" / "x"})


def test_a_path_that_is_no_run_is_a_wrong_argument(tmp_path, cli, monkeypatch):
    monkeypatch.chdir(tmp_path)
    run = runs.invent(tmp_path / "runs", runs.write_spec(tmp_path, "bp"))
    (tmp_path / "file").write_text("")
    (tmp_path / "s").mkdir()
    (tmp_path / "s" / "sweep.json").write_text("{}")
    told = {
        "runs/none": "runs/none: no such folder; give the one that `fgspec train` printed",
        "file": "file: is a file; give the folder of a run",
        "s": "s: is the folder of a sweep; give that of one of its runs, or to fgspec report",
        "runs": "runs: not a run: it has no resolved.yaml and provenance.json",
        "runs/small": f"give the folder of a run, such as {run.relative_to(tmp_path)}",
    }
    for path, text in told.items():
        for words in (["eval", path], ["train", "--resume", path]):
            code, _, err = cli(*words)
            assert (code, err.count("\n"), text in err) == (2, 1, True), err


def test_a_jax_that_may_not_compile_or_lacks_a_back_end_is_told(tmp_path, monkeypatch):
    spec = runs.write_spec(tmp_path, "bp", steps=1)
    with (
        jax.disable_jit(),
        pytest.raises(fgspec.UserError, match="JAX_DISABLE_JIT: a run is one compiled program"),
    ):
        fgspec.train(spec, run_dir=tmp_path)
    for error in (RuntimeError("Unable to initialize backend 'cuda'\nmore"), AssertionError()):

        def missing(error=error):
            raise error

        monkeypatch.setattr(jax, "devices", missing)
        monkeypatch.setenv("JAX_PLATFORMS", "cuda")
        with pytest.raises(fgspec.UserError, match=r"^JAX_PLATFORMS=cuda: JAX cannot[^\n]+$"):
            fgspec.plan(spec)
        monkeypatch.delenv("JAX_PLATFORMS")
        with pytest.raises(fgspec.UserError, match=r"set JAX_PLATFORMS=cpu to do without them"):
            fgspec.plan(spec)


def test_variables_that_jax_cannot_read_are_told(cli, monkeypatch):
    def imported(name):
        raise ValueError("invalid truth value 'maybe' for environment 'JAX_ENABLE_X64'")

    monkeypatch.setattr("fgspec.cli.main.importlib.import_module", imported)
    code, _, err = cli("plan", "a.yaml")
    assert (code, err.count("\n")) == (2, 1)
    assert err.endswith("'JAX_ENABLE_X64'; mend that variable, or unset it\n")
