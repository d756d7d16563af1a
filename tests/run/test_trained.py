"""A trained model answers like its run, without its data, and by its exported arrays alone."""

import csv
import json
import shutil
from pathlib import Path

import numpy as np
import pytest
import runs
from PIL import Image
from sklearn.metrics import confusion_matrix, top_k_accuracy_score

from compiler.named_arrays.paths import flatten
from fgspec import api
from fgspec.data.digits import Digits
from fgspec.errors import ResumeError, UserError
from fgspec.spec.data import Data
from fgspec.spec.sources import Cifar10
from fgspec.trained.files import FORMATS

MLP = """
fgspec: 1
name: mlp
rule: bp
data: {source: {type: digits}, batch_size: 128, evaluation_batch_size: 100}
architecture:
  type: mlp
  hidden: [24, 16]
  normalization: {type: batch_norm, placement: [before_linear], readout: false}
optimizer: {type: adam, learning_rate: 0.03}
training: {steps: 22, evaluate_every: {steps: 6}}
checkpoint: {every: {steps: 6}, keep: 10}
"""
SCANNED = (
    "compile.blocks=scanned",
    "architecture.blocks=3",
    "architecture.normalization.readout=false",
    "training.steps=3",
)
DIGITS = Digits().read()


@pytest.fixture(scope="module")
def mlp(tmp_path_factory):
    """An MLP with batch normalization on digits."""
    folder = tmp_path_factory.mktemp("mlp")
    (folder / "mlp.yaml").write_text(MLP)
    return Path(api.train(folder / "mlp.yaml", run_dir=folder)["run"])


@pytest.fixture(scope="module")
def model(mlp):
    return api.restore(mlp)


@pytest.fixture(scope="module")
def mixer(tmp_path_factory):
    """A mixer of three blocks that are held and trained as one stack."""
    folder = tmp_path_factory.mktemp("mixer")
    spec = api.load(runs.write_spec(folder, rule="lg-bp"), SCANNED)
    return api.restore(api.train(spec, run_dir=folder)["run"])


def _eval_lines(run):
    return {line["step"]: line for line in runs.lines(run) if "test/error" in line}


def test_every_checkpoint_evaluates_to_what_the_run_logged(mlp):
    logged = _eval_lines(mlp)
    assert set(logged) == {6, 12, 18, 22}
    for step, line in logged.items():
        found = api.evaluate(mlp, step=step)
        assert found == {"step": step} | {name: line[name] for name in found if name != "step"}


def test_the_best_is_the_one_with_the_least_error_of_those_that_are_left(mlp, tmp_path):
    logged = _eval_lines(mlp)
    order = sorted(logged, key=lambda step: (logged[step]["test/error"], step))
    assert api.restore(mlp, "best").step == order[0]
    shutil.copytree(mlp, tmp_path / "run")
    shutil.rmtree(tmp_path / "run" / "checkpoints" / str(order[0]))
    assert api.restore(tmp_path / "run", "best").step == order[1]
    for step in order[1:]:
        (tmp_path / "run" / "checkpoints" / str(step)).rename(tmp_path / str(step))
    with pytest.raises(
        ResumeError, match=r"none is the best: checkpoints at none; test/error at 6, "
    ):
        api.restore(tmp_path / "run", "best")


def test_steps_that_are_none_are_refused(mlp):
    with pytest.raises(UserError, match=r"step: must be best, newest, or .* \(got last\)"):
        api.restore(mlp, "last")
    with pytest.raises(ResumeError, match="no checkpoint of step 7; available steps: 6, 12, 18"):
        api.restore(mlp, 7)


def test_predictions_are_those_that_the_error_was_counted_from(mlp, model):
    images, labels = DIGITS.test_images, DIGITS.test_labels
    predicted = model.predict(images)
    assert (predicted.dtype, predicted.shape) == (np.int32, labels.shape)
    assert np.mean(predicted != labels) == pytest.approx(_eval_lines(mlp)[22]["test/error"])
    outputs = model.outputs(images).astype(np.float64)
    shares = np.exp(outputs) / np.exp(outputs).sum(1, keepdims=True)
    np.testing.assert_allclose(model.probabilities(images), shares, atol=1e-6)


def test_a_batch_does_not_change_what_is_in_it(model):
    """Running moments are used: alone, without the axis of channels, and of either dtype."""
    images = DIGITS.test_images[:101]
    whole = model.outputs(images)
    np.testing.assert_allclose(model.outputs(images[100:]), whole[100:], rtol=1e-5, atol=1e-5)
    np.testing.assert_array_equal(model.outputs(images[..., 0]), whole)
    floats = np.asarray(images) / (np.float32(255) if images.dtype == np.uint8 else np.float32(1))
    np.testing.assert_allclose(model.outputs(floats), whole, rtol=1e-5, atol=1e-5)
    assert model.predict(images[:0]).shape == (0,)


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (lambda x: x[0], r"give images\[None\]"),
        (lambda x: x[:, :7], r"must be \[n, 8, 8, 1\].*got \[2, 7, 8, 1\]"),
        (lambda x: np.moveaxis(x, -1, 1), "channels must come last"),
        (lambda x: x.astype(np.float64), r'images.astype\("float32"\)'),
        (lambda x: x.astype(np.int64), r'images.astype\("uint8"\)'),
        (lambda x: x.astype(np.float32) * 0 + 255, "values from 255 to 255"),
        (lambda x: x.astype(np.float32) * np.nan, "got NaN"),
    ],
)
def test_images_of_another_kind_are_refused(model, change, said):
    with pytest.raises(UserError, match=said):
        model.predict(change(np.asarray(DIGITS.test_images[:2])))


def test_what_is_confused_is_what_scikit_learn_counts(model):
    images, labels = DIGITS.test_images, DIGITS.test_labels
    found = model.evaluate((images, labels))
    predicted, outputs = model.predict(images), model.outputs(images)
    np.testing.assert_array_equal(found.confusion, confusion_matrix(labels, predicted))
    assert found.top[5] == pytest.approx(top_k_accuracy_score(labels, outputs, k=5))
    own = model.evaluate()
    assert own.json() == found.json() == model.evaluate(Data()).json()
    recall = [np.mean(predicted[labels == label] == label) for label in range(10)]
    np.testing.assert_allclose(own.class_accuracy, recall)


def test_labels_of_another_kind_are_refused(model):
    images = DIGITS.test_images[:3]
    for labels, said in (
        ([0, 1], "must be 3 integers"),
        ([0.0, 1.0, 2.0], "got float64"),
        ([0, 1, 10], "has the label 10, expected 0 to 9"),
    ):
        with pytest.raises(UserError, match=said):
            model.evaluate((images, labels))
    with pytest.raises(
        UserError, match=r"10 classes of images \[32, 32, 3\], but the run's data have 10 "
    ):
        model.evaluate(Data(source=Cifar10()))
    with pytest.raises(UserError, match="must be a spec"):
        model.evaluate(3)


def test_a_stack_is_taken_apart_and_features_lead_to_the_outputs(mixer):
    """The classifier reads the features of the last block, averaged over positions."""
    assert set(mixer.state.params) > {"stacks"}
    assert list(mixer.parameters["blocks"]) == ["block0", "block1", "block2"]
    images = DIGITS.test_images[:7]
    features = mixer.features(images, "block2")
    assert features.shape == (7, 4, 4, 4)
    own = mixer.parameters["classifier"]
    read = features.mean(1).reshape(7, -1)
    np.testing.assert_allclose(
        read @ own["w"].reshape(16, 10) + own["b"].reshape(10), mixer.outputs(images), atol=1e-5
    )
    with pytest.raises(UserError, match="did you mean block2"):
        mixer.features(images, "blok2")


def _by_numpy(weights, about, images):
    """The MLP of these tests from its exported arrays: standardize, then block by block."""
    info = about["data"]
    x = images.reshape(len(images), -1) / np.where(images.dtype == np.uint8, 255.0, 1.0)
    x = (x - info["mean"][0]) / info["std"][0]
    for block in ("block0", "block1"):
        layer = next(name.split("/")[2] for name in weights if name.startswith(f"blocks/{block}/"))
        moments = f"statistics/{block}/{layer}/before"
        mean, variance = (weights[f"{moments}/{part}"].ravel() for part in ("mean", "variance"))
        x = (x - mean) / np.sqrt(variance + 1e-5)
        w, b = (weights[f"blocks/{block}/{layer}/{name}"] for name in "wb")
        x = np.maximum(x @ w.reshape(x.shape[1], -1) + b.ravel(), 0)
    w, b = weights["classifier/w"], weights["classifier/b"]
    return x @ w.reshape(x.shape[1], -1) + b.ravel()


@pytest.mark.parametrize("to", FORMATS)
def test_exported_arrays_predict_the_same_by_numpy_alone(mlp, model, tmp_path, to):
    out = tmp_path / f"weights{FORMATS[to].ending}"
    api.export(mlp, out, to=to)
    weights, about = FORMATS[to].read(out)
    images = np.asarray(DIGITS.test_images)
    outputs = _by_numpy(weights, about, images)
    np.testing.assert_allclose(outputs, model.outputs(images), rtol=1e-4, atol=1e-4)
    np.testing.assert_array_equal(outputs.argmax(1), model.predict(images))
    provenance = json.loads((mlp / "provenance.json").read_text())
    assert about["hashes"] == provenance["hashes"]
    assert about["spec"] == (mlp / "resolved.yaml").read_text()
    assert about["step"] == 22
    shapes = {name: list(array.shape) for name, array in weights.items()}
    assert {name: own["shape"] for name, own in about["arrays"].items()} == shapes
    assert all(len(own["axes"]) == len(own["shape"]) for own in about["arrays"].values())
    assert set(flatten(model.parameters)) <= set(weights)
    if not FORMATS[to].ending:
        with pytest.raises(UserError, match="exists already"):
            api.export(mlp, out, to=to)


def test_unknown_formats_are_refused(mlp, tmp_path):
    with pytest.raises(UserError, match="to: did you mean safetensors"):
        api.export(mlp, tmp_path / "weights", to="safetensor")


def test_predict_writes_a_row_an_image_and_refuses_other_sizes(mlp, model, tmp_path, fgspec):
    images = np.asarray(DIGITS.test_images[:5])
    np.savez(tmp_path / "digits.npz", images=images, allow_pickle=False)
    pixels = images if images.dtype == np.uint8 else (images * 255).round().astype(np.uint8)
    grey = Image.fromarray(pixels[0, ..., 0])
    grey.save(tmp_path / "one.png")
    out = tmp_path / "predictions.csv"
    given = (tmp_path / "digits.npz", tmp_path / "one.png")
    code, said, _ = fgspec("predict", mlp, *given, "--out", out)
    assert (code, said) == (0, f"step 22: 6 predictions in {out}\n")
    rows = list(csv.DictReader(out.read_text().splitlines()))
    assert [row["index"] for row in rows] == ["0", "1", "2", "3", "4", ""]
    assert [int(row["class"]) for row in rows[:5]] == model.predict(images).tolist()
    # A data set's archive, as `npz` sources read it, has no array `images`.
    np.savez(tmp_path / "set.npz", test_images=images[:2], train_images=images)
    assert fgspec("predict", mlp, tmp_path / "set.npz", "--out", tmp_path / "two.csv")[0] == 0
    two = list(csv.DictReader((tmp_path / "two.csv").read_text().splitlines()))
    assert [row["class"] for row in two] == [row["class"] for row in rows[:2]]
    shares = model.probabilities(images).max(1)
    np.testing.assert_allclose([float(row["probability"]) for row in rows[:5]], shares, atol=1e-6)
    assert rows[5]["class"] == rows[0]["class"]
    out.unlink()
    for name, other, told in (
        ("large.png", grey.resize((16, 16)), "the run's images are 8x8; scale it"),
        (
            "red.png",
            Image.new("RGB", (8, 8), "red"),
            "it has colours, but the run's images are grey",
        ),
        ("clear.png", Image.new("RGBA", (8, 8)), "parts of it are transparent"),
        ("none.png", None, "no such file"),
        ("none", None, "no such file or folder"),
    ):
        if other is not None:
            other.save(tmp_path / name)
        code, _, err = fgspec("predict", mlp, tmp_path / name, "--out", out)
        assert code == 2
        assert told in err
    assert not out.exists()


def test_eval_prints_classes_below_its_first_line(mlp, model, tmp_path, fgspec):
    matrix = tmp_path / "confusion.csv"
    code, said, _ = fgspec("eval", mlp, "--confusion", matrix)
    assert code == 0
    logged = _eval_lines(mlp)[22]
    assert said.splitlines()[0] == "step 22: " + ", ".join(
        f"{name} {logged[name]:.4f}" for name in ("test/accuracy", "test/error", "test/loss")
    )
    found = model.evaluate()
    rows = list(csv.reader(matrix.read_text().splitlines()))
    assert rows[0] == ["class", *map(str, range(10))]
    assert [list(map(int, row[1:])) for row in rows[1:]] == found.confusion.tolist()
    assert json.loads(fgspec("eval", mlp, "--json")[1]) == found.json()
    code, _, err = fgspec("eval", mlp, "--confusion", tmp_path / "confusion.gif")
    assert code == 2
    assert "must end in one of .csv, .png, .svg" in err


FOLDER = """
fgspec: 1
name: pictures
rule: bp
data: {{source: {{type: image_folder, path: {path}, size: 6}}, batch_size: 4}}
architecture: {{type: mlp, hidden: [4]}}
training: {{steps: 2}}
"""
CLASSES = ("cat", "dog")


def _folder_spec(folder, classes):
    for number, name in enumerate(classes):
        for part in ("train", "val"):
            place = folder / "data" / part / name
            place.mkdir(parents=True)
            random = np.random.default_rng(number)
            for index in range(4):
                pixels = random.integers(0, 256, (9, 12, 3), dtype=np.uint8)
                Image.fromarray(pixels).save(place / f"{index}.png")
    spec = folder / "pictures.yaml"
    spec.write_text(FOLDER.format(path=folder / "data"))
    return spec


def test_pictures_are_told_by_the_names_of_folders_after_these_are_gone(tmp_path, fgspec):
    spec = _folder_spec(tmp_path / "own", CLASSES)
    run = api.train(spec, run_dir=tmp_path)["run"]
    other = _folder_spec(tmp_path / "other", ("cat", "dogs"))
    model = api.restore(run)
    test = api.load(spec).experiment.data
    own = model.evaluate(test)
    assert own.json() == model.evaluate().json()
    with pytest.raises(UserError, match="has the class dogs where the run's data have dog"):
        model.evaluate(other)
    pictures = tmp_path / "pictures"
    shutil.move(tmp_path / "own" / "data" / "val", pictures)
    shutil.rmtree(tmp_path / "own")
    out = tmp_path / "predictions.csv"
    assert fgspec("predict", run, pictures, "--out", out)[0] == 0
    rows = list(csv.DictReader(out.read_text().splitlines()))
    taken = [row["class"] for row in rows]
    assert [Path(row["file"]).parent.name for row in rows] == ["cat"] * 4 + ["dog"] * 4
    counted = confusion_matrix(["cat"] * 4 + ["dog"] * 4, taken, labels=list(CLASSES))
    np.testing.assert_array_equal(own.confusion, counted)
