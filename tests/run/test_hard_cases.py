"""What may befall a run: bad folders, lost checkpoints, early signals, odd sizes."""

import contextlib
import re
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
import fgspec.api
from fgspec.cli.main import main
from fgspec.training.checkpoint import Checkpointer
from fgspec.training.compile_cache import no_compilation_cache
from fgspec.training.logbook import read


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
        fgspec.UserError, match=r"cannot be created \(Not a directory\); choose another"
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
    with pytest.raises(fgspec.ResumeError, match="it was trained, but its checkpoints are gone"):
        fgspec.train(resume=run)
    code, _, said = cli("train", "--resume", run)
    assert code == 3
    assert "it was trained, but its checkpoints are gone" in said


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
    assert {"train/loss", "test/error"} <= summary["metrics"].keys()
    assert runs.final_state(tmp_path / summary["run"]).step == 2


def _signalled(folder, number, *, when, spec):
    """Exit code and output of a training process that gets a signal once something is there."""
    command = [sys.executable, "-m", "fgspec", "train", spec, "--run", folder / "run"]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
    deadline = time.monotonic() + 120
    while not when() and time.monotonic() < deadline:
        time.sleep(0.01)
    process.send_signal(number)
    output, _ = process.communicate(timeout=120)
    assert "Traceback" not in output
    return process.returncode, output


def test_a_signal_before_anything_is_trained_ends_at_once(tmp_path):
    """While it imports and compiles: the folder is there, the record of the run is not."""
    spec, run = runs.write_spec(tmp_path, steps=100_000), tmp_path / "run"
    code, said = _signalled(tmp_path, signal.SIGHUP, when=run.is_dir, spec=spec)
    assert code == 75
    assert (
        said.splitlines()[-1] == "stopped by SIGHUP; nothing is lost; repeat the command to resume"
    )
    # Another host could not tell a lock that stayed from that of a process that lives.
    assert not run.exists()


def test_a_signal_while_it_trains_saves_first(tmp_path):
    spec, run = runs.write_spec(tmp_path, steps=100_000), tmp_path / "run"
    metrics = run / "metrics.jsonl"
    code, said = _signalled(
        tmp_path, signal.SIGUSR1, when=lambda: metrics.exists() and read(metrics), spec=spec
    )
    assert code == 75
    match = re.fullmatch(
        r"stopped at step (\d+) of 100000; its state is saved; "
        rf"resume with: fgspec train --resume {run}",
        said.splitlines()[-1],
    )
    assert (run / "checkpoints" / match[1]).is_dir()


def test_a_full_disk_is_told_and_the_run_goes_on_once_there_is_room(tmp_path, capfd):
    spec = fgspec.load(runs.write_spec(tmp_path, "bp", steps=12), ["architecture.channels=64"])
    whole = fgspec.train(spec, run=tmp_path / "whole")["run"]
    run = tmp_path / "run"
    # Enough for the record of the run, and too little for the arrays of a checkpoint.
    record = max(path.stat().st_size for path in Path(whole).iterdir() if path.is_file())
    # What the cache of compiled programs says of a full disk has a test of its own.
    disk_is_full = runs.largest_file(record)
    with no_compilation_cache(), disk_is_full, pytest.raises(fgspec.RunError) as failed:
        fgspec.train(spec, run=run)
    assert str(failed.value) == (
        f"{run}/checkpoints: file too large; the run stopped, there is no checkpoint yet; "
        f"make room, then resume with: fgspec train --resume {run}"
    )
    assert capfd.readouterr().err == ""
    fgspec.train(resume=run)
    runs.assert_same(run, Path(whole))


def test_a_folder_that_is_taken_away_is_told(tmp_path, monkeypatch):
    run = tmp_path / "run"

    @contextlib.contextmanager
    def taking_it_away():
        run.rename(tmp_path / "elsewhere")
        yield lambda: False

    monkeypatch.setattr(fgspec.api, "stop_signals", taking_it_away)
    with pytest.raises(fgspec.RunError, match=f"{run}: was removed while the run trained"):
        fgspec.train(runs.write_spec(tmp_path, "bp", steps=1), run=run)


def test_errors_of_the_operating_system_are_one_line(tmp_path, cli, monkeypatch):
    """A folder stands where the summary should go; --debug shows the traceback."""
    run = _trained(tmp_path)
    summary = Path(run) / "summary.json"
    summary.unlink()
    summary.mkdir()
    code, _, said = cli("train", "--resume", run)
    assert (code, said) == (
        1,
        f"{summary}: is a directory; the run stopped, the last checkpoint is at step 1; "
        f"make it writable, then resume with: fgspec train --resume {run}\n",
    )
    monkeypatch.setattr(sys, "argv", ["fgspec", "--debug", "train", "--resume", run])
    with pytest.raises(fgspec.RunError) as raised:
        main()
    assert isinstance(raised.value.__cause__, IsADirectoryError)


@pytest.mark.parametrize("how", ["run_dir", "run"])
def test_a_folder_that_cannot_be_written_is_told_before_anything_is_compiled(
    tmp_path, monkeypatch, how
):
    (tmp_path / "taken").write_text("mine")

    def late(*_):
        raise AssertionError("compiled")

    monkeypatch.setattr(fgspec.api, "_prepared", late)
    spec = runs.write_spec(tmp_path, "bp", steps=1)
    with pytest.raises(fgspec.UserError, match=r"taken/x.*: cannot be created \(Not a directory\)"):
        fgspec.train(spec, **{how: tmp_path / "taken" / "x"})
    with pytest.raises(AssertionError, match="compiled"):
        fgspec.train(spec, **{how: tmp_path / "free" / "x"})


def test_a_path_that_is_no_run_is_a_wrong_argument(tmp_path, cli, monkeypatch):
    monkeypatch.chdir(tmp_path)
    spec = runs.write_spec(tmp_path, "bp")
    for seed in (1, 2):
        run = runs.invent(tmp_path / "runs", spec, [f"seed={seed}"])
    (tmp_path / "empty").mkdir()
    (tmp_path / "file").write_text("")
    (tmp_path / "s").mkdir()
    (tmp_path / "s" / "sweep.json").write_text("{}")
    told = {
        "runs/none": "runs/none: no such folder; give the folder that `fgspec train` printed",
        "file": "file: is a file; give the folder of a run",
        "s": "s: is the folder of a sweep; give the folder of one of its runs, or use fgspec",
        "empty": "empty: not a run: it has no resolved.yaml and provenance.json",
        "runs": "runs: 2 runs; give one of runs/small/",
        "runs/small": f"{run.relative_to(tmp_path)}",
    }
    for path, text in told.items():
        for words in (["eval", path], ["train", "--resume", path]):
            code, _, err = cli(*words)
            assert (code, err.count("\n"), text in err) == (2, 1, True), err


def test_a_jax_that_may_not_compile_or_lacks_a_back_end_is_told(tmp_path, monkeypatch):
    spec = runs.write_spec(tmp_path, "bp", steps=1)
    with (
        jax.disable_jit(),
        pytest.raises(
            fgspec.UserError, match="JAX_DISABLE_JIT: this variable forbids JAX to compile"
        ),
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
        with pytest.raises(fgspec.UserError, match=r"set JAX_PLATFORMS=cpu to use the CPU"):
            fgspec.plan(spec)


def test_variables_that_jax_cannot_read_are_told(cli, monkeypatch):
    def imported(name):
        raise ValueError("invalid truth value 'maybe' for environment 'JAX_ENABLE_X64'")

    monkeypatch.setattr("fgspec.cli.commands.importlib.import_module", imported)
    code, _, err = cli("plan", "a.yaml")
    assert (code, err.count("\n")) == (2, 1)
    assert err.endswith("'JAX_ENABLE_X64'; correct this variable or unset it\n")


def test_a_command_that_failed_ends_whatever_its_threads_wait_for(tmp_path):
    """As one of Orbax does after a save that could not be written."""
    program = """
import sys, threading
from fgspec.cli import entry
entry.PATIENCE = 0.5
threading.Thread(target=threading.Event().wait).start()
sys.argv = ["fgspec", "check", "nothing.yaml"]
entry.main()
"""
    done = subprocess.run(
        [sys.executable, "-c", program], cwd=tmp_path, capture_output=True, timeout=60, check=False
    )
    assert done.returncode == 2
    assert b"nothing.yaml" in done.stderr


def test_a_folder_of_checkpoints_that_was_taken_away_is_missed(tmp_path, monkeypatch):
    """Orbax would make it anew, and go on without the steps that were in it."""
    save, taken = Checkpointer.save, []

    def saving(self, step, *rest):
        if step == 12 and not taken:
            taken.append((tmp_path / "run" / "checkpoints").rename(tmp_path / "aside"))
        save(self, step, *rest)

    monkeypatch.setattr(Checkpointer, "save", saving)
    spec = runs.write_spec(tmp_path)
    with pytest.raises(fgspec.RunError, match=r"removed; the run stopped.*restore it"):
        fgspec.train(spec, run=tmp_path / "run")
    monkeypatch.undo()
    shutil.rmtree(tmp_path / "run" / "checkpoints", ignore_errors=True)
    (tmp_path / "aside").rename(tmp_path / "run" / "checkpoints")
    assert fgspec.train(resume=tmp_path / "run")["status"] == "done"
