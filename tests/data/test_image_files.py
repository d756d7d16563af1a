"""Images that are decoded when a batch needs them."""

import shutil
import sys
from contextlib import closing

import numpy as np
import pytest
from data import image_folders
from PIL import Image

from fgspec.data.dataset import spread
from fgspec.data.describe import describe
from fgspec.data.image_files import ImageFiles
from fgspec.data.pipeline import TrainBatches, evaluation_batches, fingerprint, train_batches
from fgspec.data.sources import read
from fgspec.errors import DataError, UserError
from fgspec.spec.sources import ImageFolder


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return image_folders.write(tmp_path_factory.mktemp("photographs"))


def source(folder, size=16, **fields):
    return ImageFolder(path=str(folder), size=size, **fields)


def batches_of(dataset, batch_size=16, total=6, rows=None):
    images, labels = dataset.train_images, dataset.train_labels
    return TrainBatches(images, labels, batch_size, 0, total, rows)


@pytest.fixture
def decoded(monkeypatch):
    """The names of all files that were decoded, in any order."""
    names, decode = [], ImageFiles._decoded

    def recorded(self, name):
        names.append(name)
        return decode(self, name)

    monkeypatch.setattr(ImageFiles, "_decoded", recorded)
    return names


def whole(images):
    return images.take(np.arange(len(images)), axis=0)


def one(tmp_path, image, name="a.png", size=8, **saved):
    image.save(tmp_path / name, **saved)
    return whole(ImageFiles(tmp_path, (name,), np.zeros(1, np.int64), size))[0]


@pytest.mark.parametrize("shape", [(8, 8), (30, 30), (40, 20), (21, 60)])
@pytest.mark.parametrize("mode", ["RGB", "L", "LA", "RGBA", "P", "1"])
def test_the_central_square_is_kept_whatever_the_mode(tmp_path, shape, mode):
    """A white square between black margins."""
    height, width = shape
    side, pixels = min(shape), np.zeros(shape, np.uint8)
    top, left = (height - side) // 2, (width - side) // 2
    pixels[top : top + side, left : left + side] = 255
    found = one(tmp_path, Image.fromarray(pixels).convert(mode))
    assert (found.shape, found.dtype) == ((8, 8, 3), np.uint8)
    assert found[1:-1, 1:-1].min() == 255  # the border may lie half a pixel off
    assert found.min() > 100


def test_an_image_of_the_right_size_keeps_every_pixel(tmp_path):
    pixels = np.random.default_rng(0).integers(0, 256, (8, 8, 3), dtype=np.uint8)
    np.testing.assert_array_equal(one(tmp_path, Image.fromarray(pixels)), pixels)


def test_colours_of_a_printed_jpeg_are_those_it_shows(tmp_path):
    image = Image.new("RGB", (20, 30), (200, 120, 40)).convert("CMYK")
    np.testing.assert_allclose(one(tmp_path, image, "a.jpg")[4, 4], (200, 120, 40), atol=4)


def test_averages_are_kept_when_images_shrink(tmp_path):
    """Fine black and white stripes become grey, where every other pixel would be white."""
    stripes = np.tile(np.array([0, 255], np.uint8), (64, 32))
    found = one(tmp_path, Image.fromarray(stripes))
    np.testing.assert_allclose(found[2:-2, 2:-2], 127.5, atol=3)


def test_transparent_palettes_are_read_without_a_word(tmp_path):
    image = Image.new("P", (9, 9), 1)
    image.putpalette([0, 0, 0, 10, 200, 30])
    found = one(tmp_path, image, transparency=bytes([0, 128]))
    assert found[0, 0].tolist() == [10, 200, 30]


def test_what_is_taken_is_what_slices_hold_and_files_show(folder):
    images = read(source(folder)).train_images
    assert images.shape == (64, 16, 16, 3)
    assert len(images) == 64
    every = whole(images)
    places = np.array([5, 63, 5, 0], np.int32)
    np.testing.assert_array_equal(images.take(places, axis=0), every[places])
    np.testing.assert_array_equal(whole(images[60:99]), every[60:])
    assert images[7:7].shape == whole(images[7:7]).shape == (0, 16, 16, 3)
    with pytest.raises(ValueError, match="along axis 0, not 1"):
        images.take(places, axis=1)


def test_a_batch_is_the_same_from_threads_and_of_parts(folder):
    dataset = read(source(folder))
    batches = batches_of(dataset)
    with closing(train_batches(batches, 2, dataset.reading)) as ahead:
        found = list(ahead)
    assert len(found) == 4
    for step, batch in enumerate(found, start=2):
        np.testing.assert_array_equal(batch["image"], batches[step]["image"])
        np.testing.assert_array_equal(batch["label"], batches[step]["label"])


def test_evaluation_reads_the_rows_that_are_taken(folder, decoded):
    images, labels = (part := read(source(folder))).test_images, part.test_labels
    batches = list(evaluation_batches(images, labels, 10))
    assert [(len(batch["image"]), len(batch["label"])) for batch in batches] == [
        *[(10, 10), (10, 10), (4, 4)]
    ]
    assert decoded == []
    own = batches[1]["image"].take(np.array([0, 9]), axis=0)
    assert len(decoded) == 2
    np.testing.assert_array_equal(own, whole(images)[[10, 19]])


def test_a_process_decodes_its_rows_alone(folder, decoded):
    dataset = read(source(folder))
    rows = np.arange(0, 16, 2)
    own = batches_of(dataset, rows=rows)[0]
    mine = sorted(decoded)
    assert len(mine) == 8
    every = batches_of(dataset)[0]
    np.testing.assert_array_equal(own["image"], every["image"][rows])
    assert len(set(mine) & set(decoded[8:])) == 8


def test_a_damaged_image_is_named_by_the_batch_that_needs_it(tmp_path):
    image_folders.write(tmp_path, train=16, test=4)
    dataset = read(source(tmp_path))
    file = tmp_path / "train" / "class1" / "1.JPEG"
    damaged = {
        "image file is truncated": file.read_bytes()[:-200],
        "cannot identify image file": b"<html>not found</html>",
    }
    for reason, content in damaged.items():
        file.write_bytes(content)
        ahead = train_batches(batches_of(dataset), 0, dataset.reading)
        with closing(ahead), pytest.raises(DataError, match=reason) as caught:
            next(ahead)
        text = str(caught.value)
        assert text.startswith(f"data.source: {file} cannot be decoded: {reason}")
        assert text.endswith(
            "put an intact copy in its place, or remove the file, and start a new run"
        )
    file.unlink()
    with pytest.raises(DataError, match="No such file"):
        whole(dataset.train_images)


def test_pixels_of_16_bits_are_refused(tmp_path):
    with pytest.raises(DataError, match="pixels are I;16, expected 8 bits per channel"):
        one(tmp_path, Image.fromarray(np.full((9, 9), 40_000, np.uint16)))


def test_the_fingerprint_is_of_names_sizes_and_some_pixels(folder, tmp_path, decoded):
    def mark(root, **fields):
        return fingerprint(read(source(root, **fields)), 8, 0)

    first = mark(folder)
    assert len(decoded) == 32 + 24  # of 64 and of 24 images
    copy = shutil.copytree(folder, tmp_path / "copy", copy_function=shutil.copy)
    assert mark(copy) == mark(folder) == first
    found = {first, mark(folder, size=8)}
    file = copy / "train" / "class0" / "0.JPEG"
    longer = file.read_bytes() + b"\0"
    file.rename(file.with_name("00.JPEG"))
    found.add(mark(copy))
    file.write_bytes(longer)
    found.add(mark(copy))
    file.with_name("00.JPEG").unlink()
    found.add(mark(copy))
    other = Image.open(file)
    other.putpixel((other.width // 2, other.height // 2), (255, 0, 0))
    other.save(file)
    file.write_bytes(file.read_bytes().ljust(len(longer), b"\0"))
    found.add(mark(copy))
    assert len(found) == 6


def test_moments_are_those_of_images_that_are_always_the_same(folder, decoded):
    info = describe(source(folder))
    assert describe(source(folder)) == info
    pixels = whole(read(source(folder)).train_images) / 255
    np.testing.assert_allclose(info.mean, pixels.mean((0, 1, 2)))
    np.testing.assert_allclose(info.std, pixels.std((0, 1, 2)))
    few = spread(np.arange(1000), 11)
    assert few.tolist() == [0, 100, 200, 300, 400, 500, 599, 699, 799, 899, 999]
    del decoded[:]
    given = describe(source(folder, mean=(0.5, 0.4, 0.3), std=(0.2, 0.2, 0.2)))
    assert (given.mean, given.std) == ((0.5, 0.4, 0.3), (0.2, 0.2, 0.2))
    assert decoded == []


def test_without_pillow_the_remedy_is_told(folder, monkeypatch):
    monkeypatch.setitem(sys.modules, "PIL.Image", None)
    with pytest.raises(UserError, match="needs Pillow, which is not installed; run pip install"):
        read(source(folder))
