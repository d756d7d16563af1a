"""`fgspec data check` and `fgspec data pack`: what they count, find, draw and refuse."""

import json

import numpy as np
import pytest
from data import image_folders
from PIL import Image

from fgspec.data.contact_sheet import sheet_of
from fgspec.data.dataset import Dataset
from fgspec.data.digits import Digits
from fgspec.data.image_folder import ImageFolder
from fgspec.data.inspection import inspected
from fgspec.loading.spec_file import load, loads
from fgspec.spec.dataset_info import DatasetInfo

SPEC = """
fgspec: 1
name: own
rule: bp
data: {{source: {source}, batch_size: {batch}{more}}}
architecture: {{type: mlp, hidden: [4]}}
{losses}
training: {{steps: 2}}
"""


@pytest.fixture
def write(tmp_path, monkeypatch):
    """Writes a spec into a folder of its own, which is the current one."""
    monkeypatch.chdir(tmp_path)

    def written(source, batch=8, more="", losses=""):
        (tmp_path / "own.yaml").write_text(
            SPEC.format(source=source, batch=batch, more=more, losses=losses)
        )
        return "own.yaml"

    return written


def found(fgspec, *words):
    code, out, err = fgspec("data", "check", *words, "--json")
    assert (code, err) == (0, "")
    return json.loads(out)


def test_digits_are_counted_and_measured(write, fgspec):
    said = found(fgspec, write("digits", more=", validation: {examples: 37}"))
    dataset = Digits().read()
    parts = said["parts"]
    assert [parts[name]["examples"] for name in ("train", "valid", "test")] == [1400, 37, 360]
    both = np.add(parts["train"]["classes"], parts["valid"]["classes"])
    assert both.tolist() == np.bincount(dataset.train_labels).tolist()
    assert parts["test"]["classes"] == np.bincount(dataset.test_labels).tolist()
    test = dataset.test_images / 255
    assert parts["test"]["mean"] == pytest.approx([test.mean()], rel=1e-12)
    assert parts["test"]["std"] == pytest.approx([test.std()], rel=1e-12)
    assert (parts["test"]["lowest"], parts["test"]["highest"]) == (0.0, 1.0)
    assert said["batches_per_s"] > 0
    assert all(part["examples_per_s"] > 0 for part in parts.values())


def test_the_text_says_the_same(write, fgspec):
    code, out, _ = fgspec("data", "check", write("digits"), "--sheet", "here.png")
    assert code == 0
    assert "digits: images of 8x8 pixels with 1 channel, uint8; 10 classes" in out
    assert "mean, used to standardize" in out
    assert "rows are the classes 0, 1, 2, 3, 4, 5, 6, 7, 8, 9" in out
    assert "next: fgspec train own.yaml" in out
    with Image.open("here.png") as sheet:
        sheet.load()
        # Ten rows and six columns of digits, enlarged six times, in gaps of four pixels.
        assert sheet.size == (6 * 52 + 4, 10 * 52 + 4)


def test_float_images_of_many_chunks_have_the_moments_of_numpy(write, fgspec, monkeypatch):
    monkeypatch.setattr("fgspec.data.inspection._AT_ONCE", 4000)
    random = np.random.default_rng(0)
    images = random.random((50, 6, 5, 2), np.float32) * np.array([1, 0.1], np.float32)
    images[7] = 0.25
    labels = np.arange(50)[:, None] * [1.0, -2.0]
    np.savez("own.npz", train_images=images, train_labels=labels, test_images=images[:9],
             test_labels=labels[:9])  # fmt: skip
    path = write("{type: npz, path: own.npz, labels: vector}",
                 losses="losses: {objective: squared_error}")  # fmt: skip
    train = found(fgspec, path)["parts"]["train"]
    assert train["mean"] == pytest.approx(images.mean((0, 1, 2), np.float64).tolist(), rel=1e-9)
    assert train["std"] == pytest.approx(images.astype(float).std((0, 1, 2)).tolist(), rel=1e-9)
    assert train["constant"] == 1
    assert train["classes"] == []
    assert [n["mean"] for n in train["numbers"]] == pytest.approx(labels.mean(0).tolist())
    assert [n["lowest"] for n in train["numbers"]] == [0.0, -98.0]
    code, out, _ = fgspec("data", "check", path)
    assert (code, "a vector of 2 numbers per image" in out, "rows are not classes" in out) == (
        0,
        1,
        1,
    )


def test_damaged_images_are_all_listed(write, fgspec, tmp_path):
    folder = image_folders.write(tmp_path / "files", train=24, test=8)
    broken = ["train/class1/5.JPEG", "train/class3/11.JPEG", "val/class0/0.JPEG"]
    for name in broken:
        content = (folder / name).read_bytes()
        (folder / name).write_bytes(content[: len(content) // 2])
    path = write("{type: image_folder, path: files, size: 12, mean: [0.5, 0.5, 0.5], "
                 "std: [0.2, 0.2, 0.2]}")  # fmt: skip
    code, out, err = fgspec("data", "check", path, "--json")
    said = json.loads(out)
    assert code == 2
    assert "data.source: 3 images of image_folder cannot be read: " in err.replace("\n", " ")
    assert all(name in err.replace("\n", "") for name in broken)
    places = {name: [*part["damaged"]] for name, part in said["parts"].items()}
    names = ImageFolder(path=str(folder), size=12).read().train_images._names
    assert [names[int(place)] for place in places["train"]] == broken[:2]
    assert (len(places["test"]), said["batches_per_s"]) == (1, None)


def test_a_damaged_archive_is_one_line(write, fgspec, tmp_path):
    (tmp_path / "own.npz").write_bytes(b"no archive")
    code, out, err = fgspec("data", "check", write("{type: npz, path: own.npz}"))
    assert (code, out) == (2, "")
    assert "is not an npz archive or is cut off" in err.replace("\n", " ")


def test_views_on_the_sheet_are_those_of_the_augmentation():
    """A flip alone leaves an image or mirrors it, and different steps draw anew."""
    text = SPEC.format(
        source="digits", batch=8, losses="", more=", augment: {type: crop_flip, padding: 0}"
    )
    dataset, experiment = Digits().read(), loads(text).experiment
    sheet = sheet_of(dataset, experiment)
    assert (sheet.rows, sheet.images, sheet.views) == (tuple(range(10)), 6, 6)
    side, left = 48 + 4, 4 + 6 * 52 + 8
    flips = []
    for row in range(10):
        top = 4 + row * side
        first = sheet.pixels[top : top + 48, 4:52]
        own = dataset.train_images[np.flatnonzero(dataset.train_labels == row)[0]]
        np.testing.assert_array_equal(first[::6, ::6], own.repeat(3, -1))
        for view in range(6):
            start = left + view * side
            seen = sheet.pixels[top : top + 48, start : start + 48]
            assert np.array_equal(seen, first) or np.array_equal(seen, first[:, ::-1])
            flips.append(not np.array_equal(seen, first))
    assert 10 < sum(flips) < 50


def test_pack_writes_what_the_spec_reads_then(write, fgspec):
    path = write("digits")
    code, out, err = fgspec("data", "pack", path, "packed", "--shard", 1)
    assert (code, err) == (0, "")
    assert "1,437 training and 360 test images in 3 files" in out
    assert "use it with data.source: {type: packed, path: packed}" in out
    write("{type: packed, path: packed}")
    assert load(path).experiment.data.source.decoded
    assert found(fgspec, path)["parts"]["test"]["mean"] == pytest.approx(
        [(Digits().read().test_images / 255).mean()]
    )
    code, _, err = fgspec("data", "pack", path, "packed")
    assert (code, "packed: exists already; give a new folder" in err) == (2, True)


def test_another_ending_of_the_sheet_is_refused(write, fgspec):
    code, _, err = fgspec("data", "check", write("digits"), "--sheet", "sheet.gif")
    assert (code, "must end in .png" in err) == (2, True)


def test_images_without_a_label_are_counted_apart():
    info = DatasetInfo("few", (2, 2, 1), 3, 6, 2, (0.5,), (0.5,), unlabelled=2)
    images = np.arange(24, dtype=np.uint8).reshape(6, 2, 2, 1)
    dataset = Dataset(images, np.array([0, -1, 2, 1, -1, 2], np.int32), images[:2],
                      np.array([0, 1], np.int32))  # fmt: skip
    train, test = inspected(dataset, info, 2, 0).parts
    assert (train.classes, train.unlabelled) == ((1, 1, 2), 2)
    assert (test.classes, test.unlabelled) == ((1, 1, 0), 0)
    text = SPEC.format(source="digits", batch=2, losses="", more="")
    assert sheet_of(dataset, loads(text).experiment).rows == (0, 1, 2)
