"""Training images without a label: who may train on them, and what the classifier learns."""

import re
from dataclasses import replace

import jax
import networks
import numpy as np
import pytest
from data import layouts

import fgspec
from compiler.compile import compile_plan
from compiler.plan.plan import make_plan
from fgspec.cli import data_check_
from fgspec.data.describe import describe
from fgspec.data.inspection import inspected
from fgspec.data.packing import pack
from fgspec.data.pipeline import fingerprint
from fgspec.data.sources import read
from fgspec.data.validation import described, divided
from fgspec.loading.spec_file import loads
from fgspec.spec.data import Validation
from fgspec.spec.packed import Packed
from fgspec.spec.tfds import Tfds

SPEC = """
fgspec: 1
name: unlabelled
rule: lg-bp
data:
  source: {{type: tfds, path: {path}}}
  batch_size: 6
  augment: {{type: crop_flip, padding: 1}}
losses: {{objective: {objective}}}
architecture: {{type: mlp, hidden: [5, 4]}}
optimizer: {{type: sgd, learning_rate: 0.05}}
training: {{steps: 3}}
"""
CONTRASTIVE = "{type: info_nce, projection: 3}"


def prepared(folder, unlabelled=range(4, 11)):
    labels = [-1 if place in unlabelled else place % 3 for place in range(11)]
    layouts.tfds(folder, labels={"train": labels, "test": [0, 1, 2, 0, 1]})
    return labels


def test_an_objective_that_reads_labels_is_refused(tmp_path):
    prepared(tmp_path)
    with pytest.raises(fgspec.SpecError) as caught:
        fgspec.plan(SPEC.format(path=tmp_path, objective="cross_entropy"))
    text = str(caught.value)
    assert "cross_entropy reads the label of every training example" in text
    assert "7 of the 11" in text
    assert fgspec.plan(SPEC.format(path=tmp_path, objective=CONTRASTIVE)).data.unlabelled == 7


def test_images_without_a_label_are_refused_before_any_file_is_read():
    text = SPEC.replace("{{type: tfds, path: {path}}}", "{{type: stl10, with_unlabelled: true}}")
    with pytest.raises(fgspec.SpecError) as caught:
        fgspec.load(text.format(objective="cross_entropy"))
    told = str(caught.value)
    assert "cross_entropy reads the label of every training example, and 100,000 of these" in told
    assert "data.source.with_unlabelled" in told
    fgspec.load(text.format(objective=CONTRASTIVE))


def test_a_set_without_any_label_is_refused(tmp_path):
    prepared(tmp_path, range(11))
    with pytest.raises(fgspec.SpecError, match="so no classifier can learn"):
        fgspec.plan(SPEC.format(path=tmp_path, objective=CONTRASTIVE))


def test_only_labelled_examples_are_set_aside(tmp_path):
    prepared(tmp_path)
    whole, validation = read(Tfds(path=str(tmp_path))), Validation(fraction=0.5)
    parts = divided(whole, validation)
    assert len(parts.valid_labels) == 2
    assert parts.valid_labels.min() >= 0
    assert (parts.train_labels == -1).sum() == 7
    assert len(parts.train_labels) == len(parts.train_images) == 9
    info = described(replace(networks.INFO, train_examples=11, unlabelled=7), validation)
    assert (info.train_examples, info.valid_examples, info.unlabelled) == (9, 2, 7)
    assert fingerprint(parts, 2, 0) != fingerprint(whole, 2, 0)


def test_images_without_a_label_are_counted_packed_and_drawn(tmp_path, capsys):
    labels, source = prepared(tmp_path / "d"), Tfds(path=str(tmp_path / "d"))
    found = inspected(read(source), describe(source), batch_size=4, seed=0)
    assert (found.parts[0].classes, found.parts[0].examples) == ((2, 1, 1), 11)
    pack(source, tmp_path / "p")
    again = Packed(path=str(tmp_path / "p"))
    assert read(again).train_labels.tolist() == labels
    assert describe(again).unlabelled == 7
    spec = tmp_path / "spec.yaml"
    spec.write_text(SPEC.format(path=tmp_path / "d", objective=CONTRASTIVE))
    data_check_.run(spec, None, tmp_path / "sheet.png", as_json=False)
    assert re.search(r"no label +7 +0", capsys.readouterr().out)


def softmax(outputs):
    powers = np.exp(outputs - outputs.max(1, keepdims=True))
    return powers / powers.sum(1, keepdims=True)


@pytest.mark.parametrize("known", [(0, 2, 3), (), tuple(range(6))])
def test_the_classifier_learns_from_labelled_rows_alone(known):
    """Against the formula: the sum over labelled rows, by how many a batch has on average."""
    spec = SPEC.format(path="anywhere", objective=CONTRASTIVE)
    info = replace(networks.INFO, train_examples=60, unlabelled=20)
    program = compile_plan(make_plan(loads(spec).experiment, info))
    state, random = program.init(0), np.random.default_rng(3)
    drawn = {
        name: random.standard_normal(array.shape).astype(np.float32)
        for name, array in state.params["classifier"].items()
    }
    state = state._replace(params={**state.params, "classifier": drawn})
    images = random.integers(0, 256, (6, 8, 8, 3), dtype=np.uint8)
    labels = np.array([row % 10 if row in known else -1 for row in range(6)], np.int32)
    grads, metrics = program.gradient(state, {"image": images, "label": labels})
    outputs = np.asarray(program.outputs(state, images), np.float64)
    chances, rows, expected = softmax(outputs), list(known), 6 * 40 / 60
    slope = chances.copy()
    slope[rows, labels[rows]] -= 1
    np.testing.assert_allclose(
        np.asarray(grads["classifier"]["b"]).reshape(-1),
        slope[rows].sum(0) / expected,
        atol=1e-6,
    )
    losses = -np.log(chances[rows, labels[rows]])
    wrong = outputs[rows].argmax(1) != labels[rows]
    np.testing.assert_allclose(metrics["train/loss"], losses.sum() / expected, rtol=1e-5)
    np.testing.assert_allclose(metrics["train/error"], wrong.sum() / expected, rtol=1e-5)


def test_blocks_train_on_all_rows(tmp_path):
    """Their gradient does not depend on any label."""
    spec = SPEC.format(path="anywhere", objective=CONTRASTIVE)
    info = replace(networks.INFO, train_examples=60, unlabelled=20)
    program = compile_plan(make_plan(loads(spec).experiment, info))
    state = program.init(0)
    images = np.random.default_rng(4).integers(0, 256, (6, 8, 8, 3), dtype=np.uint8)
    found = [
        program.gradient(state, {"image": images, "label": np.array(labels, np.int32)})[0]
        for labels in ([0, 1, 2, 3, 4, 5], [-1] * 6)
    ]
    for first, second in zip(*(_leaves(grads["blocks"]) for grads in found), strict=True):
        np.testing.assert_array_equal(first, second)
        assert np.abs(first).max() > 0


def _leaves(tree):
    return map(np.asarray, jax.tree.leaves(tree))


def test_a_run_on_images_without_a_label(tmp_path):
    prepared(tmp_path / "d")
    spec = tmp_path / "spec.yaml"
    spec.write_text(SPEC.format(path=tmp_path / "d", objective=CONTRASTIVE))
    summary = fgspec.train(spec, run_dir=tmp_path / "runs")
    assert 0 <= summary["metrics"]["test/error"] <= 1
