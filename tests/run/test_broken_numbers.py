"""Numbers that break end a run, name where, and leave what is needed to see it again."""

import json
import math
import re
from dataclasses import replace
from pathlib import Path

import jax
import jax.numpy as jnp
import pytest
import runs

import fgspec
from fgspec import api
from fgspec.training.checkpoint import Checkpointer
from fgspec.training.health import Broken, Health, ordered
from fgspec.training.logbook import lines_of
from fgspec.training.loop import Preempted
from fgspec.training.records import read_record
from fgspec.training.run_folder import RunDir, began_as, reopen

MLP = "architecture={type: mlp, hidden: [16, 16]}"
NORMED = "architecture={type: mlp, hidden: [16, 16], normalization: {type: layer_norm}}"


def broken(folder, *changes):
    """A run that ends by itself: its folder and what it said."""
    spec = fgspec.load(runs.write_spec(folder, "bp"), changes)
    with pytest.raises(fgspec.RunError) as error:
        fgspec.train(spec, run=folder / "run")
    return RunDir(folder / "run"), str(error.value)


def poisoned(monkeypatch, after, poison):
    """Parameters become `poison` by the update after step `after`, as by a fault of the machine."""
    made = api.functions

    def functions(*args):
        found = made(*args)

        def updates(state, records):
            new, metrics = found.updates(state, records)
            before = int(new.step) - len(next(iter(records.values())))
            if before <= after < int(new.step):
                blocks = jax.tree.map(lambda w: w * poison, new.params["blocks"])
                new = new._replace(params={**new.params, "blocks": blocks})
            return new, metrics

        return replace(found, updates=updates)

    monkeypatch.setattr(api, "functions", functions)


@pytest.mark.parametrize("architecture", [MLP, NORMED])
def test_a_run_is_never_done_with_parameters_that_are_not_finite(tmp_path, architecture):
    run, said = broken(tmp_path, architecture, "optimizer.learning_rate=1e20")
    assert said.startswith("step 2: optim/grad_norm is inf")
    assert "parameter blocks/block0/dense/b and " in said
    assert "there is no checkpoint yet" in said
    summary = read_record(run.summary)
    assert (summary["status"], summary["step"]) == ("failed", 0)
    assert summary["reason"] == said


def test_a_save_never_pushes_out_the_last_good_checkpoint(tmp_path, monkeypatch, fgspec):
    """keep: 1, and the loss that shows what broke is logged long after the next save is due."""
    poisoned(monkeypatch, 13, math.nan)
    run, said = broken(
        tmp_path,
        "checkpoint.keep=1",
        "training.log_every={steps: 25}",
        "training.evaluate_every={steps: 25}",
        NORMED,
    )
    assert said.startswith("step 15: train/loss is nan, ")
    assert "step 12 is the last good checkpoint" in said
    assert [path.name for path in run.checkpoints.iterdir()] == ["12"]
    monkeypatch.undo()
    assert api.evaluate(run.path)["step"] == 12
    bundle = run.path / "bundles" / "step-15"
    assert f"fgspec replay {bundle}" in said
    code, out, err = fgspec("replay", bundle)  # the machine does not fail again
    assert (code, err) == (1, "")
    assert "step 15, replayed from step 12:" in out
    assert "all numbers are finite this time" in out
    api.train(resume=run.path)
    assert read_record(run.summary)["status"] == "done"


def test_parameters_are_looked_at_where_no_metric_shows_them(tmp_path, monkeypatch):
    """At step 18 a save is due, and neither a line nor an evaluation."""
    poisoned(monkeypatch, 17, math.inf)
    run, said = broken(tmp_path, NORMED)
    assert said.startswith("step 18: parameter blocks/block0/dense/b and ")
    assert {path.name for path in run.checkpoints.iterdir()} == {"6", "12"}


def test_a_replay_names_the_first_block_layer_and_quantity(tmp_path, fgspec):
    run, _ = broken(tmp_path, MLP, "optimizer.learning_rate=1e20")
    (bundle,) = (run.path / "bundles").iterdir()
    names = {path.name for path in bundle.iterdir()}
    assert names == {"spec.yaml", "resolved.yaml", "provenance.json", "bundle.json", "batches.npy"}
    code, out, _ = fgspec("replay", bundle)
    assert code == 0
    rows = [row.split()[0] for row in out.splitlines()[2:-1]]
    kinds = list(dict.fromkeys(rows))
    assert kinds == ["activation", "loss", "gradient", "update", "state", "norm"]
    first = next(row for row in out.splitlines()[2:-1] if re.search(r"\d+ of \d+$", row))
    named = " ".join(first.split()[:2])
    assert f"first not finite: {named} (" in out.splitlines()[-1]
    assert named.startswith("update blocks/")
    said = read_record(bundle / "bundle.json")
    assert (said["step"], said["from"], said["seed"]) == (2, 0, 3)


def test_a_changed_bundle_is_refused(tmp_path, fgspec):
    run, _ = broken(tmp_path, MLP, "optimizer.learning_rate=1e20")
    (bundle,) = (run.path / "bundles").iterdir()
    places = bundle / "batches.npy"
    data = bytearray(places.read_bytes())
    data[-1] ^= 1
    places.write_bytes(data)
    for named in (bundle, run.path):  # whose only bundle it is
        code, _, err = fgspec("replay", named)
        assert (code, err) == (3, f"{places}: was changed since it was written\n")
    code, _, err = fgspec("replay", run.checkpoints)
    assert (code, err.startswith(f"{run.checkpoints}: not a bundle")) == (2, True)


def test_a_finite_loss_far_beyond_knowing_nothing_has_diverged(tmp_path):
    changes = (MLP, "optimizer.learning_rate=3e4", "training.log_every={steps: 1}")
    run, said = broken(tmp_path, *changes)
    assert " diverged: train/loss is " in said
    assert "and is 2.303 for a model that knows nothing" in said
    last = lines_of(run.metrics)[-1].metrics["train/loss"]
    assert math.isfinite(last)
    assert last > 2303
    assert read_record(run.summary)["status"] == "failed"


def test_evaluation_of_a_broken_checkpoint_fails_with_a_line(tmp_path, fgspec):
    path = Path(api.train(runs.write_spec(tmp_path, "bp", steps=1), run_dir=tmp_path)["run"])
    good = runs.final_state(path)
    run, loaded = reopen(path)
    worse = good.state._replace(params=jax.tree.map(lambda w: w * jnp.nan, good.state.params))
    writer = Checkpointer(run.checkpoints, keep=5, identity=began_as(run, loaded))
    writer.save(2, worse, good.extra)
    writer.close()
    code, out, err = fgspec("eval", path)
    assert (code, out) == (1, "")
    assert err.startswith(f"{path}: step 2: test/loss is nan")


# ------------------------------------------------------------------------------- the rules


def loss(value, **first):
    health = Health(
        {"train/loss": 2.0}, {"train/" + name: number for name, number in first.items()}
    )
    health.refuse_line(9, {"train/loss": value})


@pytest.mark.parametrize(
    ("value", "first"),
    [
        (2.1, {}),
        (1999.0, {}),
        (1999.0, {"loss": 2.0}),
        (1.9, {"loss": 1e-4}),  # a thousand times its first value, and better than knowing nothing
        (1999.0, {"loss": 1e6}),
    ],
)
def test_a_loss_that_did_not_diverge(value, first):
    loss(value, **first)


@pytest.mark.parametrize(
    ("value", "first"),
    [(2001.0, {}), (2001.0, {"loss": 1e6}), (2.1, {"loss": 1e-4}), (1501.0, {"loss": 1.5})],
)
def test_a_loss_that_diverged(value, first):
    with pytest.raises(Broken, match="step 9: diverged: train/loss is ") as error:
        loss(value, **first)
    assert error.value.diverged


def test_the_first_bad_step_and_block_of_a_window_are_named():
    values = {
        "optim/grad_norm": [1.0, 2.0, math.inf, math.nan],
        "train/loss": [1.0, 1.0, math.nan, math.nan],
        "local_loss/block10": [1.0, 1.0, math.nan, math.nan],
        "local_loss/block9": [1.0, 1.0, math.inf, math.nan],
        "local_loss/block0": [1.0, 1.0, 1.0, math.nan],
    }
    with pytest.raises(Broken, match=r"^step 12: local_loss/block9 is inf, local_loss/block10 is"):
        Health({}, {}).refuse_steps(13, values)
    assert ordered(["train/loss", "optim/grad_norm", "local_loss/b"])[0] == "local_loss/b"


def test_the_first_losses_outlast_a_stop(tmp_path, monkeypatch):
    runs.stop_after(monkeypatch, 9)
    with pytest.raises(Preempted):
        fgspec.train(runs.write_spec(tmp_path), run=tmp_path / "run")
    monkeypatch.undo()
    lines = lines_of(RunDir(tmp_path / "run").metrics)
    extra = runs.final_state(tmp_path / "run").extra
    assert extra["first"]["train/loss"] == lines[0].metrics["train/loss"]
    json.dumps(extra, allow_nan=False)
