"""Inputs that were read as something else, filled the memory, or were refused with wrong advice."""

import gzip
import io
import json
import logging
import pickle
import struct
import tarfile
import tracemalloc
import unicodedata
import zipfile
import zlib

import numpy as np
import pytest
from data.refusals import refusal
from PIL import Image

import fgspec
from fgspec.data.describe import describe
from fgspec.data.image_folder import _say
from fgspec.data.numpy_pickle import load_numpy_pickle
from fgspec.data.sources import read
from fgspec.errors import DataError
from fgspec.spec.sources import (
    CIFAR10,
    MNIST,
    Cifar10,
    ImageFolder,
    ImageNet,
    Mnist,
    Npz,
    Synthetic,
)

SPEC = """
fgspec: 1
name: inputs
rule: bp
data: {{source: {source}, batch_size: {batch}}}
architecture: {{type: mlp, hidden: [4]}}
optimizer: {{type: sgd, learning_rate: 0.05, schedule: {{type: warmup_cosine, warmup_epochs: 1}}}}
training: {{steps: 5}}
"""


@pytest.fixture(autouse=True)
def workplace(tmp_path, monkeypatch):
    monkeypatch.setenv("FGSPEC_DATA", str(tmp_path / "all"))
    monkeypatch.chdir(tmp_path)


def spec_of(folder, batch=4, **source):
    path = folder / "spec.yaml"
    path.write_text(SPEC.format(source=json.dumps(source), batch=batch))
    return path


def arrays(**changes):
    random = np.random.default_rng(3)
    made = {
        "train_images": random.integers(0, 256, (6, 5, 7, 2), dtype=np.uint8),
        "train_labels": np.array([0, 1, 2, 0, 1, 2]),
        "test_images": random.integers(0, 256, (3, 5, 7, 2), dtype=np.uint8),
        "test_labels": np.array([2, 0, 1]),
    }
    return made | changes


def npz(folder, **changes):
    np.savez(folder / "own.npz", **arrays(**changes))
    return Npz(path=str(folder / "own.npz"))


# ------------------------------------------------------------------- another set in known files


def idx(array):
    return struct.pack(f">4B{array.ndim}I", 0, 0, 8, array.ndim, *array.shape) + array.tobytes()


def garments(folder, dot=False):
    """A set that is not MNIST in its four files: 20 and 10 dark images of 4 classes."""
    random, made = np.random.default_rng(5), {}
    for part, examples in (("train", 20), ("t10k", 10)):
        made[part] = random.integers(0, 90, (examples, 28, 28), dtype=np.uint8)
        labels = np.arange(examples, dtype=np.uint8) % 4
        for kind, array in (("images-idx3", made[part]), ("labels-idx1", labels)):
            name = f"{part}-{kind}-ubyte"
            (folder / (name.replace("-idx", ".idx") if dot else name)).write_bytes(idx(array))
    return made["train"]


def test_another_set_in_mnists_files_is_described_by_what_they_hold(tmp_path):
    pixels = garments(tmp_path) / 255
    info = describe(Mnist(path=str(tmp_path), verify=False))
    assert (info.train_examples, info.test_examples, info.classes) == (20, 10, 4)
    assert info.mean == pytest.approx((pixels.mean(),))
    assert info.std == pytest.approx((pixels.std(),))
    assert describe(Mnist(path=str(tmp_path))) == MNIST


def test_a_warm_up_of_its_own_epochs_is_planned(tmp_path):
    """An epoch of MNIST would be longer than the run, one of these 20 images is not."""
    garments(tmp_path)
    spec = spec_of(tmp_path, batch=10, type="mnist", path=str(tmp_path), verify=False)
    plan = fgspec.plan(spec)
    assert (plan.steps, plan.data.train_examples) == (5, 20)


def test_a_published_file_with_a_dot_in_its_name_is_found(tmp_path):
    pixels = garments(tmp_path, dot=True)
    dataset = read(Mnist(path=str(tmp_path), verify=False))
    np.testing.assert_array_equal(np.asarray(dataset.train_images)[..., 0], pixels)


def test_another_set_in_the_files_of_cifar_and_a_part_of_imagenet(tmp_path):
    folder = tmp_path / "cifar-10-batches-bin"
    folder.mkdir()
    names = [*(f"data_batch_{n}.bin" for n in range(1, 6)), "test_batch.bin"]
    planes = np.random.default_rng(6).integers(0, 60, (6, 2, 3072), dtype=np.uint8)
    for name, rows in zip(names, planes, strict=True):
        (folder / name).write_bytes(
            b"".join(bytes([y]) + row.tobytes() for y, row in enumerate(rows))
        )
    info = describe(Cifar10(path=str(tmp_path), verify=False))
    assert (info.train_examples, info.test_examples, info.classes) == (10, 2, 2)
    red = planes[:5, :, :1024] / 255
    assert (info.mean[0], info.std[0]) == pytest.approx((red.mean(), red.std()))
    assert describe(Cifar10(path=str(tmp_path))) == CIFAR10
    part = photographs(tmp_path / "part", size=10)
    info = describe(ImageNet(path=str(part), verify=False))
    assert (info.train_examples, info.test_examples, info.classes) == (4, 2, 2)


# ------------------------------------------------------------------------------------- layouts


@pytest.mark.parametrize("channels", [1, 2, 3, 4])
def test_channels_first_are_refused_with_what_mends_them(tmp_path, channels):
    first = {
        f"{part}_images": np.zeros((count, channels, 8, 9), np.uint8)
        for part, count in (("train", 6), ("test", 3))
    }
    text = refusal(npz(tmp_path, **first))
    assert f"images have shape (6, {channels}, 8, 9), which looks like {channels} channels" in text
    assert "numpy.moveaxis(images, 1, -1)" in text
    mended = {name: np.moveaxis(images, 1, -1) for name, images in first.items()}
    assert describe(npz(tmp_path, **mended)).image_shape == (8, 9, channels)


def test_channels_first_are_refused_of_any_source(tmp_path):
    source = {"type": "synthetic", "image": [3, 16, 16]}
    with pytest.raises(fgspec.SpecError, match=r"data\.source: .*numpy\.moveaxis"):
        fgspec.plan(spec_of(tmp_path, **source))
    assert describe(Synthetic(image=(16, 16, 3))).image_shape == (16, 16, 3)


@pytest.mark.parametrize(
    ("labels", "told"),
    [
        ([0, 1, 2, 255, 1, 2], "labels go up to 255, but there are 4 classes: no image has the "
         "label 3"),
        ([7_000_000, 7_000_001] * 3, "no image has the label 0"),
        ([1, 2, 3, 1, 2, 3], "no image has the label 0"),
    ],
)  # fmt: skip
def test_labels_with_gaps_are_refused(tmp_path, labels, told):
    text = refusal(npz(tmp_path, train_labels=np.array(labels)))
    assert told in text
    assert "numpy.searchsorted(numpy.unique(train_labels), labels)" in text


def test_parts_of_different_scales_are_refused(tmp_path):
    scaled = arrays()["test_images"] // 255
    scaled.flat[0] = 1
    text = refusal(npz(tmp_path, test_images=scaled))
    assert text.startswith("data.source.test_images: in ")
    assert "the brightest pixel is 1, but that of train_images is 25" in text


@pytest.mark.parametrize("dtype", ["<f4", ">f4", "|u1"])
def test_arrays_of_either_order_of_bytes_and_axes_train(tmp_path, dtype):
    """What is described is what is compiled for: a program of uint8 refuses float32."""
    changes = {
        name: np.asfortranarray(images.astype(dtype) / (255 if "f" in dtype else 1)).astype(dtype)
        for name, images in arrays().items()
        if "images" in name
    }
    source = npz(tmp_path, **changes)
    dataset = read(source)
    np.testing.assert_array_equal(dataset.train_images, changes["train_images"])
    assert describe(source).pixels == str(np.asarray(dataset.train_images).dtype)
    spec = spec_of(tmp_path, type="npz", path=source.path)
    more = ["optimizer.schedule={type: constant}", "training.steps=1"]
    assert fgspec.train(fgspec.load(spec, more), run_dir=tmp_path)["step"] == 1


# ---------------------------------------------------------------------------- heads and paths


@pytest.mark.parametrize(
    "shape", ["(10**30,)", f"({10**30},)", "(True, 5, 7, 2)", "(-6, 5, 7, -2)"]
)
def test_a_head_that_lies_is_refused_at_its_field(tmp_path, shape):
    npz(tmp_path)
    with zipfile.ZipFile(tmp_path / "own.npz") as archive:
        members = {name: archive.read(name) for name in archive.namelist()}
    head = f"{{'descr': '|u1', 'fortran_order': False, 'shape': {shape}}}\n".encode()
    start = b"\x93NUMPY\x01\x00" + struct.pack("<H", len(head)) + head
    members["train_images.npy"] = start + arrays()["train_images"].tobytes()
    with zipfile.ZipFile(tmp_path / "own.npz", "w") as archive:
        for name, content in members.items():
            archive.writestr(name, content)
    assert refusal(Npz(path="own.npz")).startswith("data.source.train_images: in ")


def test_junk_before_an_archive_is_refused(tmp_path):
    npz(tmp_path)
    whole = (tmp_path / "own.npz").read_bytes()
    (tmp_path / "own.npz").write_bytes(b"#!/bin/sh\n" + whole)
    assert "is not an npz archive or is cut off" in refusal(Npz(path="own.npz"))


@pytest.mark.parametrize(
    ("path", "told"),
    [
        ("a" * 5000, "aaa (5000 characters) was not found"),
        ("~nosuch/own.npz", "starts with ~nosuch, a home folder that this machine does not know"),
        ("line\nbreak.npz", "line\\nbreak.npz was not found"),
    ],
)
@pytest.mark.parametrize("source", [Npz, ImageFolder])
def test_a_path_that_is_none_is_refused_in_one_line(source, path, told):
    text = refusal(source(path=path))
    assert text.startswith("data.source.path: ")
    assert told in text


def test_data_are_found_without_a_home(tmp_path, monkeypatch):
    """A container's user may have no entry among the users."""
    monkeypatch.setattr("pathlib.Path.home", lambda: (_ for _ in ()).throw(RuntimeError("none")))
    (tmp_path / "all" / "mnist").mkdir(parents=True)
    garments(tmp_path / "all" / "mnist")
    assert len(read(Mnist(verify=False)).train_labels) == 20


# -------------------------------------------------------------------------------------- bombs


def zeros(mebibytes):
    """Gzip members that unpack to zeros, at 1,030 to 1."""
    return gzip.compress(bytes(2**24), mtime=0) * (mebibytes // 16)


@pytest.mark.parametrize("verify", [True, False])
def test_a_packed_file_of_mnist_is_unpacked_as_far_as_it_may_go(tmp_path, verify, monkeypatch):
    garments(tmp_path)
    taken, unpack = [], gzip.GzipFile.read

    def counted(self, size=-1):
        taken.append(len(content := unpack(self, size)))
        return content

    monkeypatch.setattr(gzip.GzipFile, "read", counted)
    (tmp_path / "train-images-idx3-ubyte").unlink()
    for examples in (20, 5_000_000):
        start = gzip.compress(struct.pack(">4B3I", 0, 0, 8, 3, examples, 28, 28))
        (tmp_path / "train-images-idx3-ubyte.gz").write_bytes(start + zeros(4096))
        text = refusal(Mnist(path=str(tmp_path), verify=verify))
        assert "is not an intact file of MNIST: it" in text
    assert sum(taken) < 2**20


def test_a_tar_of_zeros_is_unpacked_as_far_as_it_may_go(tmp_path):
    (tmp_path / "cifar-10-python.tar.gz").write_bytes(zeros(1024))
    text = refusal(Cifar10(path=str(tmp_path), verify=False))
    assert "it unpacks to more than" in text
    stream = io.BytesIO()
    with tarfile.open(fileobj=stream, mode="w:gz") as archive:
        link = tarfile.TarInfo("cifar-10-batches-py/data_batch_1")
        link.type, link.linkname = tarfile.SYMTYPE, "/dev/zero"
        archive.addfile(link)
    (tmp_path / "cifar-10-python.tar.gz").write_bytes(stream.getvalue())
    assert "data_batch_1 is not a regular file" in refusal(
        Cifar10(path=str(tmp_path), verify=False)
    )


@pytest.mark.parametrize(
    "content",
    [
        b"\x80\x04\x8e" + struct.pack("<Q", 2**31) + b".",  # bytes
        b"\x80\x05\x96" + struct.pack("<Q", 2**31) + b".",  # bytes that can be changed
        b"\x80\x02Nr" + struct.pack("<I", 2**28) + b".",  # a place in the memo
        b"cnumpy\nndarray\n(L8589934592L\ntR.",
        b"cnumpy\ndtype\n(S'O'\nI0\nI1\ntR.",
    ],
)
def test_a_short_pickle_takes_no_memory(content):
    tracemalloc.start()
    try:
        with pytest.raises(ValueError, match="it cannot be unpickled"):
            load_numpy_pickle(content)
        assert tracemalloc.get_traced_memory()[1] < 2**20
    finally:
        tracemalloc.stop()


def test_one_text_is_not_turned_into_bytes_over_and_over():
    text = "x" * 1000
    right = pickle.dumps([text.encode()], protocol=2)
    assert load_numpy_pickle(right) == [text.encode()]
    once = b"X" + struct.pack("<I", 1000) + text.encode() + b"q\x00"
    again = b"c_codecs\nencode\nh\x00X\x06\x00\x00\x00latin1\x86R"
    with pytest.raises(ValueError, match="more bytes than it holds"):
        load_numpy_pickle(b"\x80\x02(" + once + again * 20 + b"t.")


def test_an_array_that_claims_a_thousandfold_is_refused_before_it_is_unpacked(tmp_path):
    images = np.zeros((40_000, 50, 50), np.uint8)
    np.savez_compressed(tmp_path / "own.npz", **arrays(train_images=images))
    text = refusal(Npz(path="own.npz"))
    assert "claim to unpack to 100,000,128, too many for images; write it again with" in text


# -------------------------------------------------------------------------------------- images


def photographs(folder, size=10, names=("a", "b")):
    for part, count in (("train", 2), ("val", 1)):
        for label in names:
            (folder / part / label).mkdir(parents=True)
            for number in range(count):
                pixels = np.random.default_rng(number).integers(0, 256, (size, size, 3), np.uint8)
                Image.fromarray(pixels).save(folder / part / label / f"{number}.png")
    return folder


def png_of_16_bits(colour, channels, side=8):
    rows = b"".join(b"\0" + bytes([0, 200]) * channels * side for _ in range(side))
    head = struct.pack(">2I5B", side, side, 16, colour, 0, 0, 0)
    made = b"\x89PNG\r\n\x1a\n"
    for kind, content in ((b"IHDR", head), (b"IDAT", zlib.compress(rows)), (b"IEND", b"")):
        check = struct.pack(">I", zlib.crc32(kind + content))
        made += struct.pack(">I", len(content)) + kind + content + check
    return made


@pytest.mark.parametrize(("colour", "channels"), [(0, 1), (2, 3), (4, 2), (6, 4)])
def test_16_bits_a_channel_are_refused_whatever_the_colours(tmp_path, colour, channels):
    root = photographs(tmp_path / "own")
    (root / "train" / "a" / "0.png").write_bytes(png_of_16_bits(colour, channels))
    with pytest.raises(DataError, match="expected 8 bits per channel; save it with 8 bits"):
        describe(ImageFolder(path=str(root), size=8))


def test_an_intact_file_of_another_format_is_not_called_damaged(tmp_path):
    root = photographs(tmp_path / "own")
    Image.new("L", (9, 9)).save(root / "train" / "a" / "x.jpg", "GIF")
    with pytest.raises(DataError) as caught:
        describe(ImageFolder(path=str(root), size=8))
    text = str(caught.value)
    assert "it is GIF, expected JPEG, PNG, WEBP or BMP; save it as PNG" in text
    assert "intact copy" not in text


@pytest.mark.parametrize("part", ["train", "val"])
def test_names_that_look_alike_are_shown_by_their_characters(tmp_path, part):
    root = photographs(tmp_path / "own", names=("café", "bar"))
    twin = root / part / unicodedata.normalize("NFD", "café")
    if part == "val":
        (root / part / "café").rename(twin)
    else:
        twin.mkdir()
    text = refusal(ImageFolder(path=str(root), size=8))
    assert "'caf\\xe9'" in text
    assert "'cafe\\u0301'" in text
    assert "look alike" in text


def test_enlarged_images_are_told_of_once_and_early(tmp_path, caplog):
    root = photographs(tmp_path / "own", size=28)
    _say.cache_clear()
    with caplog.at_level(logging.WARNING, "fgspec"):
        for _ in range(2):
            describe(ImageFolder(path=str(root), size=224))
        describe(ImageFolder(path=str(root), size=28))
    (line,) = [record.getMessage() for record in caplog.records]
    assert "data.source.size: images with sides of 28 pixels are enlarged to 224 pixels" in line
    assert "so an update costs about 64 times as much" in line
    assert "use data.source.size: 28" in line
