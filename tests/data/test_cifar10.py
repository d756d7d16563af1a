"""CIFAR-10 in its four published forms, faked small."""

import hashlib
import io
import pickle
import struct
import tarfile
from dataclasses import replace

import numpy as np
import pytest

from fgspec.data import cifar10
from fgspec.data.numpy_pickle import load_numpy_pickle
from fgspec.data.sources import read
from fgspec.errors import DataError
from fgspec.spec.sources import Cifar10

EXAMPLES = 3
PYTHON, BINARY = cifar10.LAYOUTS


@pytest.fixture(autouse=True)
def no_data_of_this_machine(tmp_path, monkeypatch):
    (tmp_path / "home").mkdir()
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    monkeypatch.delenv("FGSPEC_DATA", raising=False)
    monkeypatch.chdir(tmp_path)


def batches():
    """Planes [N, 3072] and labels for each of the six files."""
    random = np.random.default_rng(2)
    return [
        (
            random.integers(0, 256, (EXAMPLES, 3072), dtype=np.uint8),
            random.integers(0, 10, EXAMPLES).tolist(),
        )
        for _ in range(6)
    ]


def python2_pickle(planes, labels):
    """Writes what Python 2's cPickle wrote for the published files, opcode by opcode."""

    def text(raw):
        return b"U" + bytes([len(raw)]) + raw

    dtype = b"cnumpy\ndtype\n" + text(b"u1") + b"K\x00K\x01\x87R"
    dtype += b"(K\x03" + text(b"|") + b"NNNJ\xff\xff\xff\xffJ\xff\xff\xff\xffK\x00tb"
    shape = b"".join(b"J" + struct.pack("<i", size) for size in planes.shape) + b"\x86"
    raw = b"T" + struct.pack("<i", planes.nbytes) + planes.tobytes()
    array = b"cnumpy.core.multiarray\n_reconstruct\ncnumpy\nndarray\nK\x00\x85" + text(b"b")
    array += b"\x87R(K\x01" + shape + dtype + b"\x89" + raw + b"tb"
    numbers = b"](" + b"".join(b"K" + bytes([label]) for label in labels) + b"e"
    return b"\x80\x02}(" + text(b"labels") + numbers + text(b"data") + array + b"u."


def python3_pickle(planes, labels):
    return pickle.dumps({"data": planes, "labels": labels}, protocol=2)


def binary(planes, labels):
    return b"".join(bytes([y]) + row.tobytes() for row, y in zip(planes, labels, strict=True))


def write_folder(parent, layout, encode):
    folder = parent / layout.folder
    folder.mkdir(parents=True)
    for name, (planes, labels) in zip(layout.files, batches(), strict=True):
        (folder / name).write_bytes(encode(planes, labels))
    return folder


def write_archive(parent, layout, encode):
    folder = write_folder(parent / "unpacked", layout, encode)
    with tarfile.open(parent / layout.file, "w:gz") as archive:
        archive.add(folder, arcname=layout.folder)
    return parent / layout.file


def refusal(source):
    with pytest.raises(DataError) as caught:
        read(source)
    text = str(caught.value)
    assert "\n" not in text
    assert "https://www.cs.toronto.edu/~kriz/cifar.html" in text
    return text


@pytest.mark.parametrize("write", [write_folder, write_archive])
@pytest.mark.parametrize(
    ("layout", "encode"),
    [(PYTHON, python2_pickle), (PYTHON, python3_pickle), (BINARY, binary)],
)
def test_every_form_is_read_alike(tmp_path, write, layout, encode):
    place = write(tmp_path / "c", layout, encode)
    dataset = read(Cifar10(path="c", verify=False))
    planes = np.concatenate([planes for planes, _ in batches()])
    images = np.concatenate([dataset.train_images, dataset.test_images])
    assert dataset.train_images.shape == (5 * EXAMPLES, 32, 32, 3)
    for channel in range(3):
        plane = planes[:, channel * 1024 : (channel + 1) * 1024]
        np.testing.assert_array_equal(images[..., channel].reshape(len(images), -1), plane)
    np.testing.assert_array_equal(
        np.concatenate([dataset.train_labels, dataset.test_labels]),
        np.concatenate([labels for _, labels in batches()]),
    )
    named = read(Cifar10(path=str(place), verify=False))
    np.testing.assert_array_equal(named.train_images, dataset.train_images)


def test_it_is_looked_for_in_the_usual_folders(tmp_path, monkeypatch):
    monkeypatch.setenv("FGSPEC_DATA", str(tmp_path / "all"))
    text = refusal(Cifar10())
    assert f"looked in {tmp_path}/all/cifar10, {tmp_path}/home/.cache/fgspec/cifar10;" in text
    assert "cifar-10-python.tar.gz or cifar-10-batches-py/" in text
    assert "c58f30108f718f92721af3b95e74349a of cifar-10-python.tar.gz" in text
    write_folder(tmp_path / "all/cifar10", BINARY, binary)
    assert len(read(Cifar10(verify=False)).test_labels) == EXAMPLES


@pytest.mark.parametrize(
    ("write", "layout", "encode", "reason"),
    [
        (write_folder, PYTHON, python2_pickle, "expected c99cafc152244af753f735de768cd75f"),
        (write_archive, PYTHON, python2_pickle, "expected c58f30108f718f92721af3b95e74349a"),
        (write_archive, BINARY, binary, "expected c32a1d4ab5d03f1284b67883e8d87530"),
        (write_folder, BINARY, binary, "holds 15 training and 3 test examples, expected 50000"),
    ],
)
def test_what_is_not_as_published_is_refused_with_the_way_out(
    tmp_path, write, layout, encode, reason
):
    write(tmp_path / "c", layout, encode)
    text = refusal(Cifar10(path="c"))
    assert reason in text
    assert "data.source.verify: false" in text


def test_files_of_the_right_checksum_pass(tmp_path, monkeypatch):
    folder = write_folder(tmp_path / "c", PYTHON, python2_pickle)
    md5 = {name: hashlib.md5((folder / name).read_bytes()).hexdigest() for name in PYTHON.files}
    counts = replace(cifar10.CIFAR10, train_examples=15, test_examples=3)
    monkeypatch.setattr(cifar10, "LAYOUTS", (replace(PYTHON, md5=md5),))
    monkeypatch.setattr(cifar10, "CIFAR10", counts)
    assert len(read(Cifar10(path="c")).train_labels) == 15


def test_missing_file_of_a_folder(tmp_path):
    folder = write_folder(tmp_path / "c", PYTHON, python2_pickle)
    (folder / "data_batch_4").unlink()
    text = refusal(Cifar10(path="c", verify=False))
    assert f"data_batch_4 of CIFAR-10 was not found; looked in {folder};" in text
    assert "634d18415352ddfa80567beed471001a" in text


def test_damaged_archives(tmp_path):
    archive = write_archive(tmp_path / "c", BINARY, binary)
    whole = archive.read_bytes()
    for content in (whole[: len(whole) // 2], whole[:-4], b"", b"no archive"):
        archive.write_bytes(content)
        text = refusal(Cifar10(path="c", verify=False))
        assert f"{archive} is not an intact file of CIFAR-10: " in text
        assert "c32a1d4ab5d03f1284b67883e8d87530" in text
    with tarfile.open(archive, "w:gz") as made:
        made.addfile(tarfile.TarInfo("cifar-10-batches-bin/readme.html"), io.BytesIO())
    text = refusal(Cifar10(path="c", verify=False))
    assert "it does not contain cifar-10-batches-bin/data_batch_1.bin" in text


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        (b"\x00" * 3072, "it has 3072 bytes, expected a multiple of 3073"),
        (b"", "it has 0 bytes"),
        (b"\x0a" + b"\x00" * 3072, "it has the label 10, expected 0 to 9"),
    ],
)
def test_damaged_binary_file(tmp_path, content, reason):
    folder = write_folder(tmp_path / "c", BINARY, binary)
    (folder / "test_batch.bin").write_bytes(content)
    text = refusal(Cifar10(path="c", verify=False))
    assert reason in text
    assert str(folder / "test_batch.bin") in text


PLANES = np.zeros((2, 3072), np.uint8)


@pytest.mark.parametrize(
    ("batch", "reason"),
    [
        ([1, 2], "not a dictionary with the keys 'data' and 'labels'"),
        ({"data": PLANES}, "not a dictionary with the keys 'data' and 'labels'"),
        ({"data": PLANES[:, :5], "labels": [0, 1]}, "not a uint8 array of the shape"),
        ({"data": PLANES.astype(float), "labels": [0, 1]}, "not a uint8 array"),
        ({"data": PLANES, "labels": [0, "1"]}, "'labels' is not a list of integers"),
        ({"data": PLANES, "labels": [0]}, "it holds 2 images and 1 labels"),
        ({"data": PLANES, "labels": [0, 10]}, "it has the label 10"),
    ],
)
def test_damaged_python_file(tmp_path, batch, reason):
    folder = write_folder(tmp_path / "c", PYTHON, python2_pickle)
    (folder / "data_batch_2").write_bytes(pickle.dumps(batch, protocol=2))
    assert reason in refusal(Cifar10(path="c", verify=False))


class Harmful:
    def __init__(self, file):
        self.file = file

    def __reduce__(self):
        return open, (str(self.file), "w")


@pytest.mark.parametrize("protocol", range(6))
def test_a_pickle_runs_no_code(tmp_path, protocol):
    folder = write_folder(tmp_path / "c", PYTHON, python2_pickle)
    content = pickle.dumps({"data": Harmful(tmp_path / "written"), "labels": []}, protocol)
    (folder / "data_batch_1").write_bytes(content)
    text = refusal(Cifar10(path="c", verify=False))
    assert "open, which a data file does not need" in text
    assert not (tmp_path / "written").exists()


@pytest.mark.parametrize(
    "content",
    [
        b"cos\nsystem\n(S'true'\ntR.",
        b"(S'true'\nios\nsystem\n.",
        b"\x80\x04\x8c\x08builtins\x8c\x04eval\x93\x8c\x011\x85R.",
        b"cnumpy\nload\n(S'x'\ntR.",
        b"cnumpy\nndarray.tofile\n.",
        b"Pother\n.",
        b"c_codecs\nencode\n(S'x'\nS'zip'\ntR.",
        b"\x80\x02}(",
        b"",
    ],
)
def test_only_arrays_and_containers_are_unpickled(content):
    with pytest.raises(ValueError, match="it cannot be unpickled"):
        load_numpy_pickle(content)
