"""Runs on labels that are vectors or several of 0 and 1, and runs that rebuild their images."""

import csv
import json
from pathlib import Path

import numpy as np
import pytest

from fgspec import api
from fgspec.errors import UserError
from fgspec.loading.spec_file import load, loads
from fgspec.problems.problems import SpecError

SPEC = """
fgspec: 1
name: {name}
rule: {rule}
data: {{source: {source}, batch_size: 16, evaluation_batch_size: 7, validation: {{examples: 16}}}}
architecture: {{type: mlp, hidden: [32, 32], normalization: {{type: none}}}}
losses: {{objective: {objective}}}
optimizer: {{type: adam, learning_rate: 0.01}}
training: {{steps: {steps}, log_every: {{steps: 10}}, evaluate_every: {{steps: 20}}}}
checkpoint: {{every: {{steps: 20}}, best: true}}
"""
VECTOR = "{type: npz, path: own.npz, labels: vector}"
BINARY = (
    "{type: npz, path: own.npz, labels: binary, train_labels: train_bits, test_labels: test_bits}"
)


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """An archive whose labels follow from its images: brightness of the halves."""
    folder = tmp_path_factory.mktemp("labels")
    random = np.random.default_rng(0)
    arrays = {}
    for part, count in (("train", 128), ("test", 30)):
        halves = random.random((count, 2))
        images = halves[:, None, :].repeat(8, 1).repeat(4, 2)
        noise = 0.2 * random.random((count, 8, 8))
        arrays[f"{part}_images"] = (200 * images + 50 * noise).astype(np.uint8)
        arrays[f"{part}_labels"] = 2 * halves - 1
        arrays[f"{part}_bits"] = np.column_stack([halves > 0.5, halves.sum(1) > 1])
    np.savez(folder / "own.npz", **arrays)
    return folder


def train(folder, monkeypatch, source, objective, rule="lg-bp", steps=60, more=""):
    monkeypatch.chdir(folder)
    name = objective.replace("_", "-")
    text = SPEC.format(name=name, rule=rule, source=source, objective=objective, steps=steps)
    path = folder / f"{name}.yaml"
    path.write_text(text + more)
    return Path(api.train(path, run_dir=folder / "runs")["run"])


def last(run, metric):
    lines = [json.loads(line) for line in (run / "metrics.jsonl").read_text().splitlines()]
    return [line[metric] for line in lines if metric in line]


def test_regression(folder, monkeypatch, fgspec):
    diagnosed = "diagnostics: {every: {steps: 20}}\n"
    run = train(folder, monkeypatch, VECTOR, "squared_error", "lg-fg-a", more=diagnosed)
    errors = last(run, "valid/mean_squared_error")
    assert len(errors) == 3
    assert max(errors) < 0.1  # numbers from -1 to 1 have a variance of 1/3
    assert len(last(run, "fg/cosine/block0")) == 3
    # Half the sum over two numbers is their mean.
    assert last(run, "test/loss")[-1] == pytest.approx(last(run, "test/mean_squared_error")[-1])
    model = api.restore(run, "best")
    assert model.step == 20 * (1 + int(np.argmin(errors)))
    with np.load(folder / "own.npz") as arrays:
        images, labels = arrays["test_images"], arrays["test_labels"]
    answers = model.predict(images)
    assert (answers.shape, answers.dtype) == ((30, 2), np.float32)
    own = model.evaluate()
    assert own.metrics["test/mean_squared_error"] == pytest.approx(
        np.square(answers - labels).mean(), rel=1e-5
    )
    assert (own.confusion, own.top) == (None, {})
    assert model.evaluate((images, labels)).metrics == pytest.approx(own.metrics)
    with pytest.raises(UserError, match="must be 30 rows of 2 numbers"):
        model.evaluate((images, labels[:, 0]))
    with pytest.raises(UserError, match="do not give probabilities"):
        model.probabilities(images)
    code, out, _ = fgspec("predict", run, "own.npz", "--step", "best", "--out", "answers.csv")
    assert code == 0
    with (folder / "answers.csv").open() as table:
        rows = list(csv.DictReader(table))
    assert list(rows[0]) == ["file", "index", "0", "1"]
    assert [[float(row["0"]), float(row["1"])] for row in rows] == [
        pytest.approx(answer, rel=1e-4) for answer in answers.tolist()
    ]
    code, out, _ = fgspec("eval", run)
    assert (code, "confusion" in out, "test/mean_squared_error" in out) == (0, False, True)
    code, out, _ = fgspec("eval", run, "--confusion", "confusion.csv")
    assert code == 2
    code, out, _ = fgspec("report", run, "--out", "report")
    assert (code, "valid/mean_squared_error" in out) == (0, True)
    code, out, _ = fgspec("runs", folder / "runs")
    assert (code, "valid/mean_squared_error" in out) == (0, True)


def test_the_progress_shows_the_error_that_the_objective_names(folder, monkeypatch, fgspec):
    monkeypatch.chdir(folder)
    path = folder / "shown.yaml"
    path.write_text(
        SPEC.format(name="shown", rule="bp", source=VECTOR, objective="squared_error", steps=20)
    )
    code, out, err = fgspec("train", path)
    assert code == 0, err
    assert "valid mean squared error" in out + err
    assert "test/mean_squared_error" in out + err


def test_several_labels(folder, monkeypatch):
    run = train(folder, monkeypatch, BINARY, "binary_cross_entropy")
    assert last(run, "valid/label_error")[-1] < 0.25
    model = api.restore(run)
    with np.load(folder / "own.npz") as arrays:
        images, bits = arrays["test_images"], arrays["test_bits"]
    answers, shares = model.predict(images), model.probabilities(images)
    assert answers.dtype == np.int32
    np.testing.assert_array_equal(answers, shares > 0.5)
    metrics = model.evaluate().metrics
    assert metrics["test/label_error"] == pytest.approx((answers != bits).mean(), abs=1e-6)
    assert metrics["test/exact_match"] == pytest.approx((answers == bits).all(1).mean(), abs=1e-6)


def test_reconstruction(folder, monkeypatch):
    run = train(folder, monkeypatch, VECTOR, "reconstruction")
    errors = last(run, "valid/mean_squared_error")
    assert errors[-1] < 0.6 * errors[0]
    losses = [last(run, f"local_loss/block{block}") for block in (0, 1)]
    assert all(own[-1] < own[0] for own in losses)
    model = api.restore(run)
    with np.load(folder / "own.npz") as arrays:
        images = arrays["test_images"]
    standard = (images / 255 - model.data.mean[0]) / model.data.std[0]
    rebuilt = model.predict(images).reshape(standard.shape)
    own = model.evaluate().metrics["test/mean_squared_error"]
    assert own == pytest.approx(np.square(rebuilt - standard).mean(), rel=1e-4)
    assert np.corrcoef(rebuilt.ravel(), standard.ravel())[0, 1] > 0.7


@pytest.mark.parametrize(
    ("source", "objective", "told"),
    [
        (VECTOR, "cross_entropy", ("needs labels that are a class, but those of npz are a vector",
                                   "use an objective for them, such as squared_error")),
        (BINARY, "squared_error", ("are several labels, each 0 or 1", "such as binary_cross_entr")),
        ("digits", "binary_cross_entropy", ()),
        (VECTOR, "info_nce", ("needs labels that are a class",)),
    ],
)  # fmt: skip
def test_what_labels_an_objective_takes_is_checked(source, objective, told):
    """Before any file is read: there is none."""
    text = SPEC.format(name="a", rule="lg-bp", source=source, objective=objective, steps=2)
    text = text.replace("validation", "augment: byol, validation")
    if not told:
        assert loads(text).experiment.losses.objective.takes == ("class", "binary")
        return
    with pytest.raises(SpecError) as error:
        loads(text.replace("checkpoint: {every: {steps: 20}, best: true}", ""))
    lines = [line for line in str(error.value).splitlines() if "losses.objective" in line]
    assert len(lines) == 1
    assert all(part in lines[0] for part in told), lines[0]


def test_metrics_that_are_expected_are_those_of_the_labels():
    text = SPEC.format(name="a", rule="bp", source=VECTOR, objective="squared_error", steps=2)
    expect = "expect: {metric: test/%s, value: 0.1, tolerance: 0.1, source: here}\n"
    assert loads(text + expect % "mean_squared_error").experiment.expect is not None
    with pytest.raises(SpecError, match="no such metric"):
        loads(text + expect % "error")


def test_an_archive_of_classes_means_what_it_meant(tmp_path):
    (tmp_path / "a.yaml").write_text(
        SPEC.format(name="a", rule="bp", source="{type: npz, path: own.npz}",
                    objective="cross_entropy", steps=2)
    )  # fmt: skip
    assert load(tmp_path / "a.yaml").experiment.data.source.label_kind() == "class"
