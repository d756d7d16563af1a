"""Digits, MNIST, synthetic data, and what is said of a data set without reading it."""

import gzip
import json
import os
import re
import struct
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from data.refusals import refusal
from pydantic import TypeAdapter, ValidationError
from sklearn.datasets import load_digits

from fgspec.data.describe import describe
from fgspec.data.moments import moments
from fgspec.data.sources import read
from fgspec.spec.data import Data
from fgspec.spec.sources import Cifar10, Digits, Mnist, Synthetic

# Before the tests change folder, as the variable may hold a relative path.
REAL_MNIST = Path(os.environ.get("FGSPEC_DATA") or "no-data").absolute() / "mnist"
NAMES = {
    f"{part}_{kind}": f"{prefix}-{kind}-{axes}-ubyte"
    for part, prefix in (("train", "train"), ("test", "t10k"))
    for kind, axes in (("images", "idx3"), ("labels", "idx1"))
}


@pytest.fixture(autouse=True)
def no_data_of_this_machine(tmp_path, monkeypatch):
    (tmp_path / "home").mkdir()
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    monkeypatch.delenv("FGSPEC_DATA", raising=False)
    monkeypatch.chdir(tmp_path)


def idx(array):
    return struct.pack(f">4B{array.ndim}I", 0, 0, 8, array.ndim, *array.shape) + array.tobytes()


def fake_mnist(folder, compress=True, train=7, test=3):
    random = np.random.default_rng(1)
    arrays = {}
    folder.mkdir(parents=True)
    for part, examples in (("train", train), ("test", test)):
        arrays[f"{part}_images"] = random.integers(0, 256, (examples, 28, 28), dtype=np.uint8)
        arrays[f"{part}_labels"] = random.integers(0, 10, examples, dtype=np.uint8)
    for name, array in arrays.items():
        if compress:
            (folder / f"{NAMES[name]}.gz").write_bytes(gzip.compress(idx(array)))
        else:
            (folder / NAMES[name]).write_bytes(idx(array))
    return arrays


@pytest.mark.parametrize("source", [Digits(), Synthetic(image=(6, 5, 2), classes=3)])
def test_description_agrees_with_what_is_read(source):
    info, dataset = describe(source), read(source)
    pixels = dataset.train_images / 255
    assert dataset.train_images.dtype == np.uint8
    assert dataset.train_labels.dtype == dataset.test_labels.dtype == np.int32
    assert dataset.train_images.shape == (info.train_examples, *info.image_shape)
    assert dataset.test_images.shape == (info.test_examples, *info.image_shape)
    assert set(dataset.train_labels) == set(range(info.classes))
    tolerance = 5e-5 if source.type == "digits" else 0.05
    np.testing.assert_allclose(pixels.mean((0, 1, 2)), info.mean, atol=tolerance)
    np.testing.assert_allclose(pixels.std((0, 1, 2)), info.std, atol=tolerance)


def test_digits_are_those_of_scikit_learn():
    pixels, labels = load_digits(return_X_y=True)
    published = np.column_stack([np.rint(pixels * 255 / 16), labels])
    dataset = read(Digits())
    images = np.concatenate([dataset.train_images, dataset.test_images]).reshape(1797, -1)
    shipped = np.column_stack([images, np.append(dataset.train_labels, dataset.test_labels)])
    assert sorted(map(tuple, shipped)) == sorted(map(tuple, published))


def test_digits_are_split_by_class():
    first = read(Digits())
    assert len(first.test_labels) == 360
    assert first.train_images.max() == 255
    shares = np.bincount(first.test_labels) / np.bincount(first.train_labels)
    np.testing.assert_allclose(shares, 360 / 1437, atol=0.01)
    together = np.concatenate([first.train_images, first.test_images]).reshape(1797, -1)
    assert len(np.unique(together, axis=0)) == 1797


def test_arrays_are_read_only():
    with pytest.raises(ValueError, match="read-only"):
        read(Digits()).train_images[0] = 0


def test_synthetic_classes_can_be_told_apart_and_come_from_a_seed():
    source = Synthetic(image=(4, 4, 1), classes=3, train_examples=30, test_examples=6)
    dataset, again = read(source), read(source)
    np.testing.assert_array_equal(dataset.train_images, again.train_images)
    assert np.bincount(dataset.train_labels).tolist() == [10, 10, 10]
    means = [dataset.train_images[dataset.train_labels == k].mean(0) for k in range(3)]
    assert np.abs(means[0] - means[1]).max() > 20


def test_published_sets_are_described_without_files():
    assert describe(Mnist()).train_examples == 60_000
    assert describe(Cifar10(path="nowhere")).image_shape == (32, 32, 3)


def test_describing_imports_neither_grain_nor_scikit_learn_nor_jax():
    code = (
        "import json, sys, fgspec.data.describe;"
        "print(json.dumps([m for m in ('grain', 'sklearn', 'jax') if m in sys.modules]))"
    )
    found = subprocess.run([sys.executable, "-c", code], capture_output=True, check=True, text=True)
    assert json.loads(found.stdout) == []


def test_spec_takes_a_yaml_list_for_a_size_and_stays_strict_within():
    adapter = TypeAdapter(Synthetic)
    made = adapter.validate_python({"type": "synthetic", "image": [8, 8, 3]})
    assert made == Synthetic(image=(8, 8, 3))
    for wrong in (["8", 8, 3], [8, 8], [True, 8, 3], [8, 0, 3]):
        with pytest.raises(ValidationError):
            adapter.validate_python({"type": "synthetic", "image": wrong})
    assert all(field.description for field in Data.model_fields.values())


@pytest.mark.parametrize("compress", [True, False])
def test_mnist_is_read_as_written(tmp_path, compress):
    arrays = fake_mnist(tmp_path / "m", compress)
    dataset = read(Mnist(path="m", verify=False))
    for name, array in arrays.items():
        got = getattr(dataset, name)
        np.testing.assert_array_equal(got[..., 0] if got.ndim == 4 else got, array)
    assert dataset.train_images.shape == (7, 28, 28, 1)
    assert dataset.test_labels.dtype == np.int32


def test_mnist_is_looked_for_in_order(tmp_path, monkeypatch):
    fake_mnist(tmp_path / "home/.cache/fgspec/mnist", train=4)
    assert len(read(Mnist(verify=False)).train_labels) == 4
    monkeypatch.setenv("FGSPEC_DATA", str(tmp_path / "all"))
    fake_mnist(tmp_path / "all/mnist", train=5)
    assert len(read(Mnist(verify=False)).train_labels) == 5
    fake_mnist(tmp_path / "all/mine", train=6)
    assert len(read(Mnist(path="mine", verify=False)).train_labels) == 6
    fake_mnist(tmp_path / "mine", train=2)
    assert len(read(Mnist(path="mine", verify=False)).train_labels) == 2


def test_missing_mnist_names_file_places_origin_and_checksum(tmp_path, monkeypatch):
    monkeypatch.setenv("FGSPEC_DATA", str(tmp_path / "all"))
    text = refusal(Mnist())
    for part in (
        "train-images-idx3-ubyte or train-images-idx3-ubyte.gz of MNIST was not found",
        f"looked in {tmp_path}/all/mnist, {tmp_path}/home/.cache/fgspec/mnist;",
        "http://yann.lecun.com/exdb/mnist or https://ossci-datasets.s3.amazonaws.com/mnist/",
        "(expected md5 6bbc9ace898e44ae57da46a324031adb unpacked)",
        "data.source.path or $FGSPEC_DATA",
    ):
        assert part in text
    fake_mnist(tmp_path / "all/mnist")
    (tmp_path / "all/mnist" / f"{NAMES['test_labels']}.gz").unlink()
    assert f"looked in {tmp_path}/all/mnist; " in refusal(Mnist(verify=False))


def test_mnist_of_another_content_is_refused_with_the_way_out(tmp_path):
    fake_mnist(tmp_path / "m")
    text = refusal(Mnist(path="m"))
    assert re.search(r"train-images-idx3-ubyte.gz has md5 [0-9a-f]{32}, expected 6bbc9", text)
    assert "data.source.verify: false" in text


@pytest.mark.parametrize(
    ("name", "change", "reason"),
    [
        ("train_images", lambda b: b"\0\0\x08\x01" + b[4:], "it starts with 0x00000801, expected"),
        ("train_images", lambda b: b"", "it starts with 0x, expected 0x00000803"),
        ("train_images", lambda b: b[:9], "it ends after 9 bytes, within its header of 16"),
        ("train_images", lambda b: b[:-1], "it has 5503 bytes, expected 5504"),
        ("train_images", lambda b: gzip.compress(b)[:-9], "Compressed file ended before"),
        ("train_images", lambda b: b"\x1f\x8b" + b, "is not an intact file of MNIST: "),
        ("train_images", lambda b: idx(np.zeros((7, 9, 9), np.uint8)), "its images are (9, 9)"),
        ("train_labels", lambda b: b[:-1] + b"\x0b", "it has the label 11, expected 0 to 9"),
        ("train_labels", lambda b: idx(np.zeros(6, np.uint8)), "holds 7 images and 6 labels"),
        ("train_labels", lambda b: idx(np.zeros(0, np.uint8)), "for the shape (0,)"),
    ],
)
def test_damaged_mnist_is_refused(tmp_path, name, change, reason):
    fake_mnist(tmp_path / "m", compress=False)
    file = tmp_path / "m" / NAMES[name]
    file.write_bytes(change(file.read_bytes()))
    text = refusal(Mnist(path="m", verify=False))
    assert reason in text
    assert str(tmp_path / "m") in text
    assert "download it from http://yann.lecun.com" in text


def test_unreadable_file_is_refused(tmp_path, monkeypatch):
    def forbidden(file):
        raise PermissionError(13, "Permission denied", str(file))

    fake_mnist(tmp_path / "m", compress=False)
    monkeypatch.setattr(Path, "read_bytes", forbidden)
    assert "Permission denied" in refusal(Mnist(path="m", verify=False))


def test_real_mnist_is_what_its_description_says():
    if not REAL_MNIST.is_dir():
        pytest.skip("no real MNIST: $FGSPEC_DATA/mnist is no folder")
    source = Mnist(path=str(REAL_MNIST))
    info, dataset = describe(source), read(source)
    assert np.bincount(dataset.train_labels).tolist() == [
        5923, 6742, 5958, 6131, 5842, 5421, 5918, 6265, 5851, 5949,
    ]  # fmt: skip
    assert dataset.test_images.shape == (10_000, 28, 28, 1)
    mean, std = moments(dataset.train_images)
    assert mean == pytest.approx(info.mean, abs=5e-5)
    assert std == pytest.approx(info.std, abs=5e-5)
