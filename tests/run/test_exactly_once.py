"""The hash of what was consumed: the same at the same step, however a run got there."""

import itertools

import numpy as np
import pytest
import runs

import fgspec
from fgspec import api
from fgspec.data.pipeline import (
    NOTHING_CONSUMED,
    IdentifiedBatches,
    TrainBatches,
    chosen_examples,
    consumed,
    epoch_order,
)
from fgspec.loading.spec_file import loads
from fgspec.training.logbook import lines_of
from fgspec.training.loop import Preempted
from fgspec.training.run_folder import RunDir

ONE_VIEW = """
fgspec: 1
name: once
rule: bp
data: {source: {type: synthetic, image: [8, 8, 3], classes: 4, train_examples: 50,
  test_examples: 8}, batch_size: 16, augment: {type: crop_flip, padding: 1}}
architecture: {type: mlp, hidden: [4]}
training: {steps: 7, log_every: {steps: 1}, evaluate_every: {steps: 7}}
checkpoint: {every: {steps: 7}, keep: 9}
compile: {steps_per_call: 1}
"""
TWO_VIEWS = ONE_VIEW + "losses: {objective: {type: info_nce, projection: 4}}\n"
STEPS = 7
"""Of a run: an epoch has three, so that it crosses two ends of one."""


def hashes(run):
    return {line.step: line.about["examples"] for line in lines_of(RunDir(run).metrics)}


@pytest.mark.parametrize(
    ("text", "reads"), [(ONE_VIEW, "device"), (TWO_VIEWS, "host")], ids=["augmented", "two views"]
)
def test_resumed_at_every_step_consumes_every_example_once(tmp_path, monkeypatch, text, reads):
    spec = loads(text.replace("steps_per_call: 1", f"steps_per_call: 1, input: {reads}"))
    for step in range(1, STEPS):
        runs.stop_after(monkeypatch, 1)
        with pytest.raises(Preempted, match=f"stopped at step {step} of {STEPS}"):
            fgspec.train(spec, run=tmp_path / "run")
        monkeypatch.undo()
        restored = runs.final_state(tmp_path / "run")
        assert restored.extra["examples"] == hashes(tmp_path / "run")[step]
    fgspec.train(spec, run=tmp_path / "run")
    expected = NOTHING_CONSUMED
    for step in range(STEPS):
        order = epoch_order(50, spec.experiment.order_seed, step // 3)
        expected = consumed(expected, order[step % 3 * 16 :][:16].astype(np.int32))
        assert hashes(tmp_path / "run")[step + 1] == expected
    assert len(set(hashes(tmp_path / "run").values())) == STEPS


def rolling(records):
    """The hash after every record."""
    return list(itertools.accumulate((r["examples"] for r in records), consumed, initial=""))


def test_rows_of_any_process_have_the_hash_of_the_batch():
    images, labels = np.zeros((40, 2, 2, 1), np.uint8), np.arange(40, dtype=np.int32)
    whole = TrainBatches(images, labels, 8, 0, 11)
    expected = rolling(IdentifiedBatches(whole)[step] for step in range(11))
    for rows in (np.arange(4), np.arange(4, 8), np.array([7])):
        part = TrainBatches(images, labels, 8, 0, 11, rows)
        identified = IdentifiedBatches(part)
        assert rolling(identified[step] for step in range(11)) == expected
        assert rolling(chosen_examples(part, 0)) == expected
        assert identified[0]["label"].tolist() == identified[0]["examples"][rows].tolist()


def test_a_batch_that_is_lost_doubled_or_out_of_order_changes_the_hash():
    batches = [np.arange(8 * n, 8 * n + 8, dtype=np.int32) for n in range(4)]
    orders = [(0, 1, 2, 3), (0, 2, 3), (0, 1, 1, 2, 3), (0, 2, 1, 3), (0, 1, 2, 2)]
    found = {rolling({"examples": batches[n]} for n in order)[-1] for order in orders}
    assert len(found) == len(orders)


def test_lines_tell_time_epoch_and_learning_rate(tmp_path):
    optimizer = "{type: sgd, learning_rate: 0.7, schedule: {type: linear}}"
    spec = fgspec.load(_written(tmp_path), [f"optimizer={optimizer}"])
    summary = api.train(spec, run=tmp_path / "run")
    lines = lines_of(RunDir(tmp_path / "run").metrics)
    assert [line.about["epoch"] for line in lines] == [step / 3 for step in range(1, STEPS + 1)]
    rates = [line.about["learning_rate"] for line in lines]
    assert rates == pytest.approx([0.7 - 0.1 * step for step in range(STEPS)], rel=1e-6)
    assert [line.metrics["train/learning_rate"] for line in lines] == rates
    times = [line.about["time"] for line in lines]
    assert times == sorted(times)
    assert all("/" in name for name in summary["metrics"])


def _written(folder):
    path = folder / "once.yaml"
    path.write_text(ONE_VIEW)
    return path
