"""Readers of published data sets find in small files of each layout what was written into them."""

import hashlib
import json
import sys
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace

import numpy as np
import pytest
from data import layouts
from data.refusals import refusal

from fgspec.data import fashion_mnist
from fgspec.data.describe import describe
from fgspec.data.sources import read
from fgspec.errors import DataError, UserError
from fgspec.spec.cifar100 import Cifar100
from fgspec.spec.fashion_mnist import FashionMnist
from fgspec.spec.hugging_face import HuggingFace
from fgspec.spec.imagenet32 import ImageNet32
from fgspec.spec.kmnist import Kmnist
from fgspec.spec.medmnist import SETS, MedMnist
from fgspec.spec.sources import Cifar10, ImageFolder, ImageNet, Mnist
from fgspec.spec.stl10 import Stl10
from fgspec.spec.svhn import Svhn
from fgspec.spec.tfds import Tfds
from fgspec.spec.tiny_imagenet import TinyImageNet


@pytest.fixture(autouse=True)
def no_data_of_this_machine(tmp_path, monkeypatch):
    (tmp_path / "home").mkdir()
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    monkeypatch.setenv("FGSPEC_DATA", str(tmp_path / "all"))
    monkeypatch.chdir(tmp_path)


def whole(images):
    return images if isinstance(images, np.ndarray) else images.take(np.arange(len(images)), 0)


def assert_holds(source, expected):
    """What is read, and described, is what was written."""
    dataset, info = read(source), describe(source)
    train, train_labels, test, test_labels = (np.asarray(part) for part in expected)
    for found, written in ((dataset.train_images, train), (dataset.test_images, test)):
        assert found.dtype == np.uint8
        np.testing.assert_array_equal(whole(found), written)
    np.testing.assert_array_equal(dataset.train_labels, train_labels)
    np.testing.assert_array_equal(dataset.test_labels, test_labels)
    assert dataset.train_labels.dtype == dataset.test_labels.dtype == np.int32
    assert info.image_shape == train.shape[1:]
    assert (info.train_examples, info.test_examples) == (len(train), len(test))
    np.testing.assert_allclose(info.mean, (train / 255).mean((0, 1, 2)), atol=1e-6)
    np.testing.assert_allclose(info.std, (train / 255).std((0, 1, 2)), atol=1e-6)
    return dataset, info


# ----------------------------------------------------------------- in the place of MNIST


@pytest.mark.parametrize("packed", [True, False])
@pytest.mark.parametrize(
    ("kind", "inner"),
    [
        (FashionMnist, ""),
        (FashionMnist, "FashionMNIST/raw"),
        (FashionMnist, "fashion-mnist"),
        (Kmnist, ""),
        (Kmnist, "KMNIST/raw"),
        (Mnist, "MNIST/raw"),
    ],
)
def test_idx_sets_are_found_with_the_folders_of_other_tools(tmp_path, kind, inner, packed):
    expected = layouts.four_idx_files(tmp_path / "data" / inner, packed)
    assert_holds(kind(path="data", verify=False), expected)


def test_the_root_folder_of_another_tool_serves_as_fgspec_data(tmp_path):
    expected = layouts.four_idx_files(tmp_path / "all" / "FashionMNIST" / "raw")
    assert_holds(FashionMnist(verify=False), expected)
    assert "looked in" in refusal(Kmnist())


MEANS = {"mnist": 33.3285, "fashion_mnist": 72.93, "kmnist": 48.909}
"""Of the published training images, from 0 to 255."""

TITLES = {"mnist": "MNIST", "fashion_mnist": "Fashion-MNIST", "kmnist": "Kuzushiji-MNIST"}


def idx_set_of_mean(folder, mean, packed):
    """Images of two neighbouring grey values that have this mean."""
    folder.mkdir()
    low = int(mean)
    flat = np.full((100, 28, 28), low, np.uint8).reshape(-1)
    flat[: round((mean - low) * flat.size)] += 1
    images, labels = flat.reshape(100, 28, 28), (np.arange(100) % 10).astype(np.uint8)
    for part in ("train", "t10k"):
        for kind, array in (("images-idx3", images), ("labels-idx1", labels)):
            layouts.write_idx(folder / f"{part}-{kind}-ubyte", array, packed)


@pytest.mark.parametrize("packed", [True, False])
@pytest.mark.parametrize("asked", [Mnist, FashionMnist, Kmnist])
@pytest.mark.parametrize("there", ["mnist", "fashion_mnist", "kmnist"])
def test_idx_files_of_another_set_are_named_by_their_mean(tmp_path, asked, there, packed):
    idx_set_of_mean(tmp_path / "d", MEANS[there], packed)
    hint = f"d holds the files of {TITLES[there]}: set data.source: {there}"
    assert (hint in refusal(asked(path="d"))) == (asked().type != there)


def test_unpacked_fashion_mnist_is_known_by_counts_and_mean(tmp_path, monkeypatch):
    idx_set_of_mean(tmp_path / "d", MEANS["fashion_mnist"], packed=False)
    files = fashion_mnist.FashionMnist.files
    small = replace(files.info, train_examples=100, test_examples=100)
    monkeypatch.setattr(fashion_mnist.FashionMnist, "files", replace(files, info=small))
    assert len(read(FashionMnist(path="d")).train_labels) == 100
    (tmp_path / "e").mkdir()
    idx_set_of_mean(tmp_path / "e" / "raw", 99.0, packed=False)
    text = refusal(FashionMnist(path="e"))
    assert "have the mean 0.3882, but those of Fashion-MNIST have 0.2860" in text
    assert "data.source.verify: false" in text


# ----------------------------------------------------------------------------- CIFAR-100


@pytest.mark.parametrize("archived", [False, True])
@pytest.mark.parametrize("version", ["python", "binary"])
@pytest.mark.parametrize("labels", ["fine", "coarse"])
def test_cifar100(tmp_path, version, labels, archived):
    expected = layouts.cifar100(tmp_path / "c", version, labels)
    if archived:
        layouts.packed(tmp_path / "c", f"cifar-100-{version}", f"cifar-100-{version}.tar.gz")
    assert_holds(Cifar100(path="c", labels=labels, verify=False), expected)


def test_cifar100_is_described_without_files():
    assert describe(Cifar100()).classes == 100
    assert describe(Cifar100(labels="coarse")).classes == 20


def test_a_folder_of_cifar10_given_for_cifar100_and_the_other_way_round(tmp_path):
    layouts.cifar100(tmp_path / "c")
    assert "c holds the files of CIFAR-100: set data.source: cifar100" in refusal(Cifar10(path="c"))
    (tmp_path / "t" / "cifar-10-batches-bin").mkdir(parents=True)
    assert "t holds the files of CIFAR-10: set data.source: cifar10" in refusal(Cifar100(path="t"))


def test_a_damaged_set_in_a_folder_of_many_is_not_taken_for_another(tmp_path):
    layouts.svhn(tmp_path / "all")
    layouts.cifar100(tmp_path / "all", "binary")
    layouts.packed(tmp_path / "all", "cifar-100-binary", "cifar-100-binary.tar.gz")
    archive = tmp_path / "all" / "cifar-100-binary.tar.gz"
    archive.write_bytes(archive.read_bytes()[:-100])
    assert "SVHN" not in refusal(Cifar100(path="all", verify=False))


# ---------------------------------------------------------------------------------- SVHN


@pytest.mark.parametrize("compressed", [True, False])
@pytest.mark.parametrize("extra", [True, False])
def test_svhn(tmp_path, extra, compressed):
    expected = layouts.svhn(tmp_path / "s", extra, compressed)
    assert_holds(Svhn(path="s", with_extra=extra, verify=False), expected)
    np.testing.assert_array_equal(np.unique(expected[1]), np.arange(10))


def test_the_mean_of_the_extra_images_is_not_published(tmp_path):
    assert describe(Svhn()).train_examples == 73_257
    with pytest.raises(DataError, match=r"train_32x32\.mat of SVHN was not found"):
        describe(Svhn(with_extra=True))


# -------------------------------------------------------------------------------- STL-10


@pytest.mark.parametrize("archived", [False, True])
@pytest.mark.parametrize("unlabelled", [False, True])
def test_stl10(tmp_path, unlabelled, archived):
    expected = layouts.stl10(tmp_path / "s", unlabelled)
    if archived:
        layouts.packed(tmp_path / "s", "stl10_binary", "stl10_binary.tar.gz")
    source = Stl10(path="s", with_unlabelled=unlabelled, verify=False)
    dataset, info = assert_holds(source, expected)
    assert info.unlabelled == (dataset.train_labels == -1).sum() == 3 * unlabelled


def test_the_unlabelled_part_is_read_only_if_it_is_asked_for(tmp_path):
    layouts.stl10(tmp_path)
    (tmp_path / "stl10_binary" / "unlabeled_X.bin").unlink()
    assert len(read(Stl10(path=str(tmp_path), verify=False)).train_labels) == 5
    text = refusal(Stl10(path=str(tmp_path), with_unlabelled=True, verify=False))
    assert "unlabeled_X.bin of STL-10 was not found" in text
    assert "5242ba1fed5e4be9e1e742405eb56ca4" in text


# ------------------------------------------------------------------------- Tiny ImageNet


@pytest.mark.parametrize("by_class", [False, True])
@pytest.mark.parametrize("inner", ["", "tiny-imagenet-200"])
def test_tiny_imagenet(tmp_path, inner, by_class):
    folder = tmp_path / "t" / inner
    folder.mkdir(parents=True)
    expected = layouts.tiny_imagenet(folder, by_class)
    dataset, _ = assert_holds(TinyImageNet(path="t", verify=False), expected)
    assert dataset.names == ("n00000007", "n01443537", "n02058221")


@pytest.mark.parametrize("kind", [ImageNet, ImageFolder])
def test_tiny_imagenet_given_for_folders_of_classes(tmp_path, kind):
    layouts.tiny_imagenet(tmp_path)
    text = refusal(kind(path=str(tmp_path)))
    assert f"{tmp_path} holds the files of Tiny ImageNet: set data.source: tiny_imagenet" in text


# ---------------------------------------------------------------------------- ImageNet32


@pytest.mark.parametrize("container", ["folder", "folders", "zip"])
@pytest.mark.parametrize("form", ["pickle", "npz"])
def test_imagenet32(tmp_path, form, container):
    expected = layouts.imagenet32(tmp_path / "i", form, container)
    assert_holds(ImageNet32(path="i", verify=False), expected)


def test_imagenet32_must_have_as_many_examples_as_imagenet(tmp_path):
    layouts.imagenet32(tmp_path / "i")
    assert "holds 40 training and 4 test examples, expected 1281167" in refusal(
        ImageNet32(path="i")
    )
    layouts.imagenet32(tmp_path / "z", "npz", "zip")
    assert "bytes, expected 3,580,435,279" in refusal(ImageNet32(path="z"))


# ------------------------------------------------------------------------------ MedMNIST


@pytest.mark.parametrize("val", [False, True])
@pytest.mark.parametrize(
    ("name", "size", "colours", "classes"),
    [("bloodmnist", 28, 3, 8), ("breastmnist", 28, 1, 2), ("pathmnist", 64, 3, 9)],
)
def test_medmnist(tmp_path, name, size, colours, classes, val):
    expected = layouts.medmnist(tmp_path / "m", name, size, colours, classes, val)
    source = MedMnist(name=name, size=size, path="m", with_val=val, verify=False)
    dataset, _ = assert_holds(source, expected)
    assert len(dataset.names) == classes


def test_medmnist_is_found_where_its_own_package_puts_it(tmp_path):
    layouts.medmnist(tmp_path / "home" / ".medmnist")
    assert len(read(MedMnist(name="bloodmnist", verify=False)).train_labels) == 16


def test_another_set_of_medmnist_is_named(tmp_path, monkeypatch):
    layouts.medmnist(tmp_path, "breastmnist", colours=1, classes=2)
    file = tmp_path / "breastmnist.npz"
    md5 = hashlib.md5(file.read_bytes()).hexdigest()
    monkeypatch.setitem(SETS["breastmnist"].md5, 28, md5)
    file.rename(tmp_path / "bloodmnist.npz")
    text = refusal(MedMnist(name="bloodmnist", path=str(tmp_path)))
    assert "set data.source.name: breastmnist and data.source.size: 28" in text


def test_every_set_of_medmnist_has_files_of_all_sizes():
    for name, known in SETS.items():
        assert list(known.md5) == [28, 64, 128, 224], name
        assert all(len(md5) == 32 for md5 in known.md5.values()), name
        assert known.channels in (1, 3), name
    digests = [md5 for known in SETS.values() for md5 in known.md5.values()]
    assert len(set(digests)) == len(digests)


# -------------------------------------------------------------------------- Hugging Face


def test_a_saved_hugging_face_set(tmp_path):
    expected = layouts.hugging_face(tmp_path / "h")
    dataset, info = assert_holds(HuggingFace(path="h"), expected)
    assert dataset.names == ("cat", "dog", "owl")
    assert info.classes == 3
    part = whole(dataset.train_images[3:8])
    np.testing.assert_array_equal(part, expected[0][3:8])


def test_images_of_a_saved_set_are_resized(tmp_path):
    layouts.hugging_face(tmp_path / "h")
    images = read(HuggingFace(path="h", size=5)).train_images
    assert whole(images).shape == (11, 5, 5, 3)


def test_grey_images_of_a_saved_set(tmp_path):
    images = {"train": layouts.noise(4, 9, 8, 1), "test": layouts.noise(2, 9, 8, 1)}
    labels = {"train": [0, 1, 2, 0], "test": [1, 2]}
    expected = layouts.hugging_face(tmp_path / "h", images, labels)
    assert_holds(HuggingFace(path="h"), expected)
    assert describe(HuggingFace(path="h", size=4)).image_shape == (4, 4, 1)


def test_labels_that_a_saved_set_lacks(tmp_path):
    labels = {"train": [0, -1, 2, None, 1, 1, 2, 0, 0, None, -1], "test": [0, 1, 2, 0, 1]}
    layouts.hugging_face(tmp_path / "h", labels=labels)
    dataset, info = read(HuggingFace(path="h")), describe(HuggingFace(path="h"))
    assert dataset.train_labels.tolist() == [0, -1, 2, -1, 1, 1, 2, 0, 0, -1, -1]
    assert (info.unlabelled, info.classes) == (4, 3)
    (tmp_path / "g").mkdir()
    labels["test"][2] = -1
    layouts.hugging_face(tmp_path / "g", labels=labels)
    assert "test images need one" in refusal(HuggingFace(path="g"))


def test_what_datasets_itself_saves_is_read(tmp_path):
    datasets = pytest.importorskip("datasets", reason="no dependency of fgspec, nor of its tests")
    pixels, labels = layouts.noise(7, 9, 8, 3), np.array([0, 1, 2, 0, 1, 2, 0])
    names = ["cat", "dog", "owl"]
    features = datasets.Features(
        {"image": datasets.Image(), "label": datasets.ClassLabel(names=names)}
    )
    splits = {}
    for split, rows in (("train", list(range(7))), ("test", [4, 1])):
        columns = {
            "image": [{"bytes": layouts.encoded(pixels[row]), "path": None} for row in rows],
            "label": labels[rows].tolist(),
        }
        table = datasets.table.InMemoryTable.from_pydict(columns, schema=features.arrow_schema)
        info = datasets.DatasetInfo(features=features)
        # With a fingerprint of its own, as dill cannot pickle the classes of every pyarrow for one.
        splits[split] = datasets.Dataset(table, info, fingerprint=split)
    datasets.DatasetDict(splits).save_to_disk(tmp_path / "h")
    assert_holds(HuggingFace(path="h"), [pixels, labels, pixels[[4, 1]], labels[[4, 1]]])


# ---------------------------------------------------------------------------------- TFDS


@pytest.mark.parametrize("inner", ["", "birds", "birds/2.0.1"])
def test_a_set_that_tfds_prepared(tmp_path, inner):
    expected = layouts.tfds(tmp_path / "d")
    dataset, _ = assert_holds(Tfds(path=f"d/{inner}"), expected)
    assert dataset.names == ("crow", "lark", "wren")


def test_grey_images_that_tfds_prepared(tmp_path):
    assert_holds(Tfds(path="d"), layouts.tfds(tmp_path / "d", colours=1))


def test_records_are_read_by_many_threads(tmp_path):
    expected = layouts.tfds(tmp_path / "d")[0]
    images = read(Tfds(path="d")).train_images
    places = np.random.default_rng(0).integers(0, 11, (200, 4))
    with ThreadPoolExecutor(8) as threads:
        for place, found in zip(
            places, threads.map(lambda p: images.take(p, axis=0), places), strict=True
        ):
            np.testing.assert_array_equal(found, expected[place])


def test_one_of_several_versions_must_be_named(tmp_path):
    layouts.tfds(tmp_path / "d")
    (tmp_path / "d" / "other" / "1.0.0").mkdir(parents=True)
    (tmp_path / "d" / "other" / "1.0.0" / "dataset_info.json").write_text("{}")
    text = refusal(Tfds(path="d"))
    assert (
        "holds 2 prepared data sets: birds/2.0.1, other/1.0.0; set the path to one of them" in text
    )


def test_a_set_that_tfds_prepared_as_tfrecord(tmp_path):
    layouts.tfds(tmp_path / "d")
    file = tmp_path / "d" / "birds" / "2.0.1" / "dataset_info.json"
    file.write_text(json.dumps(json.loads(file.read_text()) | {"fileFormat": "tfrecord"}))
    text = refusal(Tfds(path="d"))
    assert "was prepared as tfrecord, expected array_record" in text
    assert "tfds build NAME --file_format=array_record" in text


@pytest.mark.parametrize(
    ("source", "module", "package"),
    [
        (HuggingFace(path="h"), "pyarrow.ipc", "pyarrow"),
        (Tfds(path="h"), "array_record.python.array_record_module", "array-record"),
    ],
)
def test_a_package_that_is_not_installed_is_named(source, module, package, monkeypatch):
    monkeypatch.setitem(sys.modules, module, None)
    with pytest.raises(UserError, match=f'pip install "{package}>='):
        read(source)


@pytest.mark.parametrize(
    "source", [FashionMnist(), Kmnist(), Cifar100(), Svhn(), Stl10(), TinyImageNet()]
)
def test_published_sets_are_described_without_files(source):
    info = describe(source)
    assert info.name == source.type
    assert len(info.mean) == len(info.std) == info.image_shape[-1]


@pytest.mark.parametrize(
    "source",
    [
        FashionMnist(),
        Kmnist(),
        Cifar100(),
        Svhn(),
        Stl10(),
        TinyImageNet(),
        ImageNet32(),
        MedMnist(name="octmnist", size=64),
    ],
)
def test_a_set_that_is_nowhere_says_where_to_get_it(source, tmp_path):
    text = refusal(source)
    assert f"looked in {tmp_path}/all/{source.type}, {tmp_path}/home/.cache/fgspec/" in text
    assert "download it from http" in text
    assert "data.source.path or $FGSPEC_DATA" in text
