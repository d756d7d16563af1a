"""Files of published data sets, damaged in six ways each: what each of them is told.

Truncated; a bit or a byte changed; another shape; another dtype; a label out of range; a file that
is missing. `test_published_layouts.py` has files of other sets.
"""

import json
import pickle
import re

import numpy as np
import pytest
from data import layouts
from PIL import Image
from scipy.io import savemat

from fgspec.data.sources import read
from fgspec.errors import DataError
from fgspec.spec.cifar100 import Cifar100
from fgspec.spec.fashion_mnist import FashionMnist
from fgspec.spec.hugging_face import HuggingFace
from fgspec.spec.imagenet32 import ImageNet32
from fgspec.spec.kmnist import Kmnist
from fgspec.spec.medmnist import MedMnist
from fgspec.spec.stl10 import Stl10
from fgspec.spec.svhn import Svhn
from fgspec.spec.tfds import Tfds
from fgspec.spec.tiny_imagenet import TinyImageNet


@pytest.fixture(autouse=True)
def no_data_of_this_machine(tmp_path, monkeypatch):
    (tmp_path / "home").mkdir()
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    monkeypatch.delenv("FGSPEC_DATA", raising=False)
    monkeypatch.chdir(tmp_path)


def read_whole(source):
    dataset = read(source)
    for images in (dataset.train_images, dataset.test_images):
        images.take(np.arange(len(images)), axis=0)


def told(source):
    """The one line that reading all of a source says."""
    with pytest.raises(DataError) as caught:
        read_whole(source)
    text = str(caught.value)
    assert "\n" not in text
    assert re.match(r"data\.source(\.\w+)?: \S", text), text
    return text


def cut(file, left=0.6):
    content = file.read_bytes()
    file.write_bytes(content[: int(len(content) * left)])


def change(file, at=0.5, by=0xFF):
    """Another byte, at a share of the file's length or at a place."""
    content = bytearray(file.read_bytes())
    place = int(len(content) * at) if isinstance(at, float) else at
    content[place] ^= by
    file.write_bytes(bytes(content))


# ----------------------------------------------------------------- in the place of MNIST

IMAGES, LABELS = "train-images-idx3-ubyte", "t10k-labels-idx1-ubyte"

IDX = {
    "truncated": (lambda d: cut(d / f"{IMAGES}.gz"), "Compressed file ended before"),
    "a bit": (lambda d: change(d / f"{LABELS}.gz", at=-6), "CRC check failed"),
    "shape": (
        lambda d: layouts.write_idx(d / IMAGES, layouts.noise(20, 9, 28), True),
        r"its images are \(9, 28\), expected \(28, 28\)",
    ),
    "dtype": (
        lambda d: (d / f"{IMAGES}.gz").write_bytes(b"\0\0\x0d\x03" + bytes(12)),
        "it starts with 0x00000d03, expected 0x00000803",
    ),
    "label": (
        lambda d: layouts.write_idx(d / LABELS, np.full(10, 10, np.uint8), True),
        "it has the label 10, expected 0 to 9",
    ),
    "missing": (lambda d: (d / f"{LABELS}.gz").unlink(), f"{LABELS} or {LABELS}.gz of"),
}


@pytest.mark.parametrize("kind", [FashionMnist, Kmnist])
@pytest.mark.parametrize("damage", IDX)
def test_idx(tmp_path, kind, damage):
    layouts.four_idx_files(tmp_path / "d", packed=True)
    harm, reason = IDX[damage]
    harm(tmp_path / "d")
    text = told(kind(path="d", verify=False))
    assert re.search(reason, text)
    assert f"of {kind.title}" in text
    assert kind.homepage in text


# ----------------------------------------------------------------------------- CIFAR-100


def batch(file, **changes):
    """Write a pickled batch again with other values."""
    file.write_bytes(pickle.dumps(pickle.loads(file.read_bytes()) | changes, protocol=2))


CIFAR100 = {
    "truncated": ("python", lambda d: cut(d / "train"), "it cannot be unpickled"),
    "a byte": ("python", lambda d: change(d / "train", at=2), "it cannot be unpickled"),
    "shape": (
        "python",
        lambda d: batch(d / "test", data=np.zeros((4, 3073), np.uint8)),
        "'data' is not a uint8 array of the shape",
    ),
    "dtype": (
        "python",
        lambda d: batch(d / "test", data=np.zeros((4, 3072), np.float32)),
        "'data' is not a uint8 array",
    ),
    "label": (
        "python",
        lambda d: batch(d / "test", fine_labels=[0, 1, 100, 2]),
        "it has the label 100, expected 0 to 99",
    ),
    "missing": ("python", lambda d: (d / "test").unlink(), "test of CIFAR-100 was not found"),
    "no labels": (
        "python",
        lambda d: batch(d / "train", fine_labels="none"),
        "'fine_labels' is not a list of integers",
    ),
    "fewer labels": (
        "python",
        lambda d: batch(d / "train", fine_labels=[1]),
        "it holds 12 images and 1 labels",
    ),
    "truncated records": (
        "binary",
        lambda d: cut(d / "train.bin"),
        "expected a multiple of 3074",
    ),
    "records of CIFAR-10": (
        "binary",
        lambda d: (d / "train.bin").write_bytes(bytes(3073 * 2)),
        "it has 6146 bytes, expected a multiple of 3074",
    ),
    "label of a record": (
        "binary",
        lambda d: change(d / "test.bin", at=1),
        r"it has the label 2\d\d, expected 0 to 99",
    ),
}


@pytest.mark.parametrize("damage", CIFAR100)
def test_cifar100(tmp_path, damage):
    version, harm, reason = CIFAR100[damage]
    layouts.cifar100(tmp_path, version)
    harm(tmp_path / f"cifar-100-{version}")
    text = told(Cifar100(path=str(tmp_path), verify=False))
    assert re.search(reason, text)
    assert "https://www.cs.toronto.edu/~kriz/cifar.html" in text


@pytest.mark.parametrize(("left", "reason"), [(0.5, "ended before"), (0.999, "ended before")])
def test_a_truncated_archive(tmp_path, left, reason):
    layouts.cifar100(tmp_path, "binary")
    layouts.packed(tmp_path, "cifar-100-binary", "cifar-100-binary.tar.gz")
    cut(tmp_path / "cifar-100-binary.tar.gz", left)
    assert reason in told(Cifar100(path=str(tmp_path), verify=False))


def test_published_archives_have_their_digests(tmp_path):
    layouts.cifar100(tmp_path, "binary")
    layouts.packed(tmp_path, "cifar-100-binary", "cifar-100-binary.tar.gz")
    text = told(Cifar100(path=str(tmp_path)))
    assert "expected 03b5dce01913d631647c71ecec9e9cb8" in text
    assert "data.source.verify: false" in text


# ---------------------------------------------------------------------------------- SVHN


def mat(file, **variables):
    savemat(file, variables, do_compression=True)


X, Y = layouts.noise(32, 32, 3, 4), np.array([[1], [10], [2], [3]], np.uint8)

SVHN = {
    "truncated": (lambda f: cut(f), "it has no variable y, or is cut off"),
    "truncated head": (lambda f: cut(f, 0.001), "its variables cannot be listed"),
    "a byte": (lambda f: change(f, at=0.5), "its variables cannot be"),
    "head": (lambda f: f.write_bytes(b"MATLAB 7.3" + bytes(118)), "its variables cannot be"),
    "nothing": (lambda f: f.write_bytes(b""), "its variables cannot be listed"),
    "shape": (lambda f: mat(f, X=X[:, :31], y=Y), r"X has the shape \(32, 31, 3, 4\), expected"),
    "order": (
        lambda f: mat(f, X=X.transpose(3, 0, 1, 2), y=Y),
        r"X has the shape \(4, 32, 32, 3\), expected \(32, 32, 3, N\)",
    ),
    "labels": (lambda f: mat(f, X=X, y=Y[:3]), r"y has the shape \(3, 1\), expected \(4, 1\)"),
    "dtype": (lambda f: mat(f, X=X.astype(np.float32), y=Y), "its X is float32"),
    "text": (
        lambda f: mat(f, X=X, y=np.array([["a"]] * 4, object)),
        "and its y object, expected uint8",
    ),
    "fractions": (lambda f: mat(f, X=X, y=Y + 0.5), "its y has numbers that are not whole"),
    "label": (lambda f: mat(f, X=X, y=Y - 1), "it has the label 0, expected 1 to 10"),
    "variable": (
        lambda f: mat(f, X=X, z=Y),
        "it has no variable y, or is cut off; the variables there: X, z",
    ),
    "missing": (lambda f: f.unlink(), r"test_32x32\.mat of SVHN was not found"),
}


@pytest.mark.parametrize("damage", SVHN)
def test_svhn(tmp_path, damage):
    layouts.svhn(tmp_path)
    harm, reason = SVHN[damage]
    harm(tmp_path / "test_32x32.mat")
    text = told(Svhn(path=str(tmp_path), verify=False))
    assert re.search(reason, text)
    assert "download it from http://ufldl.stanford.edu/housenumbers" in text
    assert "(expected md5 eb5a983be6a315427106f1b164d9cef3)" in text


def test_a_matlab_file_of_zeros_is_not_unpacked(tmp_path):
    layouts.svhn(tmp_path)
    zeros = np.zeros((32, 32, 3, 30_000), np.uint8)
    mat(tmp_path / "test_32x32.mat", X=zeros, y=np.ones((30_000, 1), np.uint8))
    assert "too many for images" in told(Svhn(path=str(tmp_path), verify=False))


def test_other_files_than_the_published_ones_of_svhn(tmp_path):
    layouts.svhn(tmp_path)
    text = told(Svhn(path=str(tmp_path)))
    assert "expected e26dedcc434d2e4c54c9b2d4a06d8373" in text
    assert "data.source.verify: false" in text


# -------------------------------------------------------------------------------- STL-10

STL10 = {
    "truncated": (lambda d: cut(d / "train_X.bin", 0.55), "expected a multiple of 27648"),
    "nothing": (lambda d: (d / "test_X.bin").write_bytes(b""), "it has 0 bytes"),
    "a bit": (lambda d: change(d / "train_y.bin", at=1, by=0x40), "it has the label 66"),
    "shape": (
        lambda d: (d / "unlabeled_X.bin").write_bytes(bytes(32 * 32 * 3)),
        "it has 3072 bytes, expected a multiple of 27648",
    ),
    "dtype": (
        lambda d: (d / "train_y.bin").write_bytes(np.ones(5, np.int32).tobytes()),
        "it has 20 labels, expected 5, one per image",
    ),
    "label": (
        lambda d: (d / "test_y.bin").write_bytes(bytes([0, 1, 2, 3])),
        "it has the label 0, expected 1 to 10",
    ),
    "missing": (lambda d: (d / "test_y.bin").unlink(), "test_y.bin of STL-10 was not found"),
}


@pytest.mark.parametrize("damage", STL10)
def test_stl10(tmp_path, damage):
    layouts.stl10(tmp_path)
    harm, reason = STL10[damage]
    harm(tmp_path / "stl10_binary")
    text = told(Stl10(path=str(tmp_path), with_unlabelled=True, verify=False))
    assert reason in text
    assert "download it from https://cs.stanford.edu/~acoates/stl10/" in text


# ------------------------------------------------------------------------- Tiny ImageNet

VAL = "val/val_annotations.txt"


def replaced(file, old, new):
    file.write_text(file.read_text().replace(old, new, 1))


def deep(file):
    """An image of 16 bits a channel."""
    Image.fromarray(np.zeros((64, 64), np.uint16)).save(file, "PNG")


TRAINED = "train/n01443537/images/n01443537_1.JPEG"
TINY = {
    "truncated": (lambda d: cut(d / TRAINED), "n01443537_1.JPEG cannot be decoded"),
    "a byte": (lambda d: change(d / "val/images/val_8.JPEG"), "val_8.JPEG cannot be decoded"),
    "shape": (
        lambda d: replaced(d / VAL, "\t62", ""),
        "line 1 has 5 fields, expected 6 between tabs",
    ),
    "dtype": (lambda d: deep(d / TRAINED), "expected 8 bits per channel"),
    "label": (
        lambda d: replaced(d / VAL, "n02058221", "n99999999"),
        "line 3 has the class n99999999, which wnids.txt lacks",
    ),
    "missing image": (
        lambda d: (d / "val/images/val_9.JPEG").unlink(),
        "line 1 names val_9.JPEG, which val/images/ lacks",
    ),
    "missing class": (
        lambda d: (d / "train/n01443537").rename(d / "train/other"),
        "the folder train/n01443537/images/ of Tiny ImageNet was not found",
    ),
    "an image twice": (
        lambda d: replaced(d / VAL, "val_8.JPEG", "val_9.JPEG"),
        "line 2 names val_9.JPEG a second time",
    ),
    "an image without a class": (
        lambda d: (d / VAL).write_text(""),
        "it has no line for 3 images, such as val/images/val_7.JPEG",
    ),
    "a class twice": (
        lambda d: (d / "wnids.txt").write_text("n01443537\nn01443537\n"),
        "it lists 2 classes, of which 1 are different",
    ),
}


@pytest.mark.parametrize("damage", TINY)
def test_tiny_imagenet(tmp_path, damage):
    layouts.tiny_imagenet(tmp_path)
    harm, reason = TINY[damage]
    harm(tmp_path)
    assert reason in told(TinyImageNet(path=str(tmp_path), verify=False))


def test_a_part_of_tiny_imagenet(tmp_path):
    layouts.tiny_imagenet(tmp_path)
    text = told(TinyImageNet(path=str(tmp_path)))
    assert "wnids.txt lists 3 classes, expected 200" in text
    assert "data.source.verify: false" in text


# ---------------------------------------------------------------------------- ImageNet32


def npz(file, **arrays):
    held = dict(np.load(file)) | arrays
    np.savez(file, **held)


TRAIN3 = "train_data_batch_3"
IMAGENET32 = {
    "truncated": ("pickle", lambda d: cut(d / TRAIN3), "it cannot be unpickled"),
    "a byte": ("pickle", lambda d: change(d / TRAIN3, at=2), "it cannot be unpickled"),
    "shape": (
        "pickle",
        lambda d: batch(d / TRAIN3, data=np.zeros((4, 12288), np.uint8)),
        "'data' is not a uint8 array of the shape",
    ),
    "dtype": (
        "pickle",
        lambda d: batch(d / TRAIN3, data=np.zeros((4, 3072), np.int64)),
        "'data' is not a uint8 array",
    ),
    "label": (
        "pickle",
        lambda d: batch(d / TRAIN3, labels=[1, 2, 3, 0]),
        "it has the label 0, expected 1 to 1000",
    ),
    "missing": (
        "pickle",
        lambda d: (d / TRAIN3).unlink(),
        f"{TRAIN3} or {TRAIN3}.npz of ImageNet32 was not found",
    ),
    "truncated npz": (
        "npz",
        lambda d: cut(d / f"{TRAIN3}.npz"),
        "it is not an npz archive or is cut off",
    ),
    "a byte of npz": (
        "npz",
        lambda d: change(d / f"{TRAIN3}.npz", at=0.1),
        "its member data.npy is damaged",
    ),
    "shape of npz": (
        "npz",
        lambda d: npz(d / f"{TRAIN3}.npz", data=np.zeros((4, 12288), np.uint8)),
        r"its data are uint8 \(4, 12288\)",
    ),
    "dtype of npz": (
        "npz",
        lambda d: npz(d / f"{TRAIN3}.npz", data=np.zeros((4, 3072))),
        "its data are float64",
    ),
    "labels of npz": (
        "npz",
        lambda d: npz(d / f"{TRAIN3}.npz", labels=np.ones(3, int)),
        r"its labels are int64 \(3,\)",
    ),
    "label of npz": (
        "npz",
        lambda d: npz(d / f"{TRAIN3}.npz", labels=np.full(4, 1001)),
        "it has the label 1001, expected 1 to 1000",
    ),
    "objects in npz": (
        "npz",
        lambda d: npz(d / f"{TRAIN3}.npz", labels=np.array([1, "a", None, 2], object)),
        "labels holds Python objects instead of numbers, and could run code",
    ),
}


@pytest.mark.parametrize("damage", IMAGENET32)
def test_imagenet32(tmp_path, damage):
    form, harm, reason = IMAGENET32[damage]
    layouts.imagenet32(tmp_path, form)
    harm(tmp_path)
    text = told(ImageNet32(path=str(tmp_path), verify=False))
    assert re.search(reason, text)
    assert "download it from https://image-net.org" in text


@pytest.mark.parametrize("harm", [cut, lambda f: change(f, at=0.4)])
def test_damaged_archives_of_imagenet32(tmp_path, harm):
    layouts.imagenet32(tmp_path, "pickle", "zip")
    harm(tmp_path / "Imagenet32_train.zip")
    assert "is not an intact file of ImageNet32" in told(
        ImageNet32(path=str(tmp_path), verify=False)
    )


# ------------------------------------------------------------------------------ MedMNIST

MEDMNIST = {
    "truncated": (lambda f: cut(f), "it is not an npz archive or is cut off"),
    "a byte": (lambda f: change(f, at=0.3), "its member .* is damaged"),
    "shape": (
        lambda f: npz(f, train_images=layouts.noise(16, 28, 28)),
        r"its train_images are uint8 \[16, 28, 28\], expected uint8 \[N, 28, 28, 3\]",
    ),
    "dtype": (
        lambda f: npz(f, test_images=np.zeros((8, 28, 28, 3), np.float32)),
        "its test_images are float32",
    ),
    "several labels": (
        lambda f: npz(f, train_labels=np.zeros((16, 14), np.uint8)),
        r"its train_labels are uint8 \[16, 14\], expected integers \[16, 1\]",
    ),
    "label": (
        lambda f: npz(f, train_labels=np.full((16, 1), 8)),
        "it has the label 8, expected 0 to 7",
    ),
    "objects": (
        lambda f: npz(f, train_labels=np.array([[None]] * 16, object)),
        "train_labels holds Python objects instead of numbers, and could run code",
    ),
    "array": (
        lambda f: np.savez(f, train_images=np.zeros(3)),
        "it has no array train_labels; the arrays there: train_images",
    ),
    "missing": (lambda f: f.unlink(), r"bloodmnist\.npz of MedMNIST was not found"),
}


@pytest.mark.parametrize("damage", MEDMNIST)
def test_medmnist(tmp_path, damage):
    layouts.medmnist(tmp_path)
    harm, reason = MEDMNIST[damage]
    harm(tmp_path / "bloodmnist.npz")
    text = told(MedMnist(name="bloodmnist", path=str(tmp_path), verify=False))
    assert re.search(reason, text)
    assert "(expected md5 7053d0359d879ad8a5505303e11de1dc)" in text


# -------------------------------------------------------------------------- Hugging Face


def edited(file, edit):
    held = json.loads(file.read_text())
    edit(held)
    file.write_text(json.dumps(held))


def saved(folder, images=None, labels=None):
    for file in sorted(folder.rglob("*"), reverse=True):
        file.rmdir() if file.is_dir() else file.unlink()
    layouts.hugging_face(folder, images, labels)


def other_column(kind):
    def edit(held):
        held["features"]["image"]["_type"] = kind

    return edit


ARROW = "train/data-00000-of-00002.arrow"
FEATURES = "train/dataset_info.json"
SIZES = {
    "train": [*layouts.noise(3, 9, 8, 3), *layouts.noise(1, 5, 5, 3)],
    "test": layouts.noise(2, 9, 8, 3),
}
HUGGING_FACE = {
    "truncated": (lambda d: cut(d / ARROW), "is not an intact file of a saved split"),
    "nothing": (lambda d: (d / ARROW).write_bytes(b""), "is not an intact file of a saved split"),
    "an image": (
        lambda d: (d / ARROW).write_bytes((d / ARROW).read_bytes().replace(b"IDAT", b"IDAX")),
        r"row 0 of \S+train \(in data-00000-of-00002.arrow\) cannot be decoded",
    ),
    "shape": (
        lambda d: saved(d, SIZES, {"train": [0, 1, 2, 0], "test": [0, 1]}),
        "it has 5x5 pixels, expected 9x8 like the first; set data.source.size",
    ),
    "dtype": (
        lambda d: edited(d / FEATURES, other_column("Array3D")),
        "the column image of .* has the type Array3D, expected Image",
    ),
    "label": (
        lambda d: saved(d, None, {"train": [0, 1, 2, 3] * 2, "test": [0, 1]}),
        "has the label 3, expected 0 to 2",
    ),
    "missing": (lambda d: (d / ARROW).unlink(), "data-00000-of-00002.arrow was not found"),
    "split": (
        lambda d: (d / "test").rename(d / "validation"),
        "has no split test .*; the splits there: train, validation",
    ),
    "column": (
        lambda d: edited(d / FEATURES, lambda held: held["features"].pop("label")),
        "has no column label; the columns there: image, img, fine_label",
    ),
    "state": (
        lambda d: (d / "train/state.json").write_text('{"_data_files": 3}'),
        "does not list the files of the split",
    ),
    "indices": (
        lambda d: edited(
            d / "train/state.json", lambda held: held.update(_indices_data_files=["i.arrow"])
        ),
        "does not list the files of the split",
    ),
    "info": (lambda d: (d / FEATURES).write_text("{"), "dataset_info.json cannot be read"),
    "one split": (
        lambda d: (d / "dataset_dict.json").unlink() or (d / "state.json").write_text("{}"),
        "holds a single split",
    ),
}


@pytest.mark.parametrize("damage", HUGGING_FACE)
def test_hugging_face(tmp_path, damage):
    layouts.hugging_face(tmp_path / "h")
    harm, reason = HUGGING_FACE[damage]
    harm(tmp_path / "h")
    assert re.search(reason, told(HuggingFace(path="h")))


# ---------------------------------------------------------------------------------- TFDS

SHARD = "birds-train.array_record-00001-of-00003"


def prepared(folder, **changes):
    version = folder / "birds" / "2.0.1"
    for file in version.iterdir():
        file.unlink()
    version.rmdir()
    version.parent.rmdir()
    layouts.tfds(folder, **changes)


def kind_of_image(held):
    held["featuresDict"]["features"]["image"] = held["featuresDict"]["features"]["weight"]


def broken(split, records):
    """Records whose first image is cut off."""
    return [layouts.example(layouts.encoded(layouts.noise(9, 8, 3))[:90], 0), *records[1:]]


TFDS = {
    # A file of ArrayRecord ends with its index, without which it seems to be empty.
    "truncated": (lambda v: cut(v / SHARD), "holds 0 records, expected 3"),
    "nothing": (lambda v: (v / SHARD).write_bytes(b""), "holds 0 records, expected 3"),
    "a byte": (lambda v: change(v / SHARD, at=200), "is not an intact ArrayRecord file"),
    "an image": (
        lambda v: prepared(v.parents[1], records=broken),
        r"record 0 of \S+00000-of-00003 cannot be decoded",
    ),
    "a record": (
        lambda v: prepared(v.parents[1], records=lambda _, r: [r[0][:-9], *r[1:]]),
        "it is not a tf.train.Example or is cut off",
    ),
    "dtype": (
        lambda v: edited(v / "features.json", kind_of_image),
        "the feature image of .* has the type Tensor, expected Image",
    ),
    "label": (
        lambda v: prepared(v.parents[1], labels={"train": [3] * 11, "test": [0] * 5}),
        "has the label 3, expected 0 to 2",
    ),
    "no label to test": (
        lambda v: prepared(
            v.parents[1], labels={"train": [0, 1, 2, 0, 1, 2, 0, 1, 2, 0, 1], "test": [-1] * 5}
        ),
        "has 5 images without a label",
    ),
    "missing": (lambda v: (v / SHARD).unlink(), f"{SHARD} was not found"),
    "counts": (
        lambda v: edited(
            v / "dataset_info.json", lambda held: held["splits"][0].update(shardLengths=[4, 4, 4])
        ),
        "holds 3 records, expected 4 according to dataset_info.json",
    ),
    "split": (
        lambda v: edited(v / "dataset_info.json", lambda held: held["splits"].pop(1)),
        "has no split test; the splits there: train",
    ),
    "feature": (
        lambda v: edited(
            v / "features.json", lambda held: held["featuresDict"]["features"].pop("label")
        ),
        "has no feature label; the features there: image, img, coarse_label, weight",
    ),
    "template": (
        lambda v: edited(
            v / "dataset_info.json",
            lambda held: held["splits"][0].update(filepathTemplate="../{DATASET}"),
        ),
        "does not say which files the split train has",
    ),
    "info": (lambda v: (v / "dataset_info.json").write_text("[]"), "it is not a JSON object"),
}


@pytest.mark.parametrize("damage", TFDS)
def test_tfds(tmp_path, damage):
    layouts.tfds(tmp_path / "d")
    harm, reason = TFDS[damage]
    harm(tmp_path / "d" / "birds" / "2.0.1")
    assert re.search(reason, told(Tfds(path="d")))
