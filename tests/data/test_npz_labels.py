"""Labels of archives that are vectors, or several of 0 and 1."""

import numpy as np
import pytest

from fgspec.data.describe import describe
from fgspec.data.pipeline import TrainBatches
from fgspec.data.sources import read
from fgspec.data.validation import divided
from fgspec.errors import DataError
from fgspec.spec.data import Validation
from fgspec.spec.sources import Npz
from fgspec.testing.inputs import check_source

RNG = np.random.default_rng(0)
VECTORS = RNG.standard_normal((12, 3))
BINARY = RNG.integers(0, 2, (12, 4))


def write(folder, labels, test=None, **changes):
    images = np.random.default_rng(1).integers(0, 256, (len(labels), 4, 3), np.uint8)
    test = labels[:4] if test is None else test
    arrays = {"train_images": images, "train_labels": labels}
    arrays |= {"test_images": images[: len(test)], "test_labels": test} | changes
    np.savez(folder / "own.npz", **arrays)
    return str(folder / "own.npz")


@pytest.mark.parametrize(("kind", "labels"), [("vector", VECTORS), ("binary", BINARY)])
def test_laws(kind, labels, tmp_path):
    check_source(Npz(path=write(tmp_path, labels), labels=kind), tmp_path)


def test_vectors_are_read_as_float32_and_described(tmp_path):
    source = Npz(path=write(tmp_path, VECTORS), labels="vector")
    dataset, info = read(source), describe(source)
    np.testing.assert_array_equal(dataset.train_labels, VECTORS.astype(np.float32))
    assert (info.classes, info.label, info.numbers, info.width) == (0, "vector", 3, 3)
    assert info.label_square == pytest.approx((VECTORS**2).sum(1).mean(), rel=1e-6)


def test_one_number_an_image_is_a_vector_of_one(tmp_path):
    source = Npz(path=write(tmp_path, np.arange(12)), labels="vector")
    assert read(source).train_labels.shape == (12, 1)
    assert describe(source).numbers == 1


def test_booleans_and_floats_of_0_and_1_are_labels(tmp_path):
    for labels in (BINARY.astype(bool), BINARY.astype(np.float64)):
        found = read(Npz(path=write(tmp_path, labels), labels="binary")).train_labels
        assert found.dtype == np.int32
        np.testing.assert_array_equal(found, BINARY)


def test_rows_of_labels_stay_with_their_images(tmp_path):
    """In batches, and where some examples are set aside."""
    labels = np.arange(12)[:, None] * np.array([1.0, 10.0])
    images = np.arange(12, dtype=np.uint8)[:, None, None].repeat(9, 1).reshape(12, 3, 3)
    pixels = {"train_images": images, "test_images": images[-4:]}
    source = Npz(path=write(tmp_path, labels, **pixels), labels="vector")
    dataset = divided(read(source), Validation(examples=4))
    for pixels, own in (
        (dataset.train_images, dataset.train_labels),
        (dataset.valid_images, dataset.valid_labels),
    ):
        np.testing.assert_array_equal(pixels[:, 0, 0, 0] * 10.0, own[:, 1])
    batch = TrainBatches(dataset.train_images, dataset.train_labels, 3, 0, 5)[1]
    assert batch["label"].shape == (3, 2)
    np.testing.assert_array_equal(batch["image"][:, 0, 0, 0], batch["label"][:, 0])


NAN = VECTORS.copy()
NAN[3, 1] = np.nan


@pytest.mark.parametrize(
    ("kind", "labels", "test", "told"),
    [
        ("class", VECTORS, None, "set data.source.labels: vector"),
        ("class", BINARY, None, "set data.source.labels: binary"),
        ("vector", NAN, None, "it has the number nan, expected finite numbers that fit float32"),
        ("vector", VECTORS * 1e300, None, "expected finite numbers that fit float32"),
        ("vector", VECTORS.astype(str), None, "expected numbers; save labels.astype"),
        (
            "vector",
            VECTORS[:, :, None],
            None,
            "expected [N, k] with both at least 1; save labels.resh",
        ),
        (
            "vector",
            VECTORS,
            VECTORS[:4, :2],
            "a test label has the shape (2,), a training label (3",
        ),
        ("binary", BINARY * 2, None, "it has the label 2, expected 0 or 1"),
        ("binary", BINARY[:, :0], None, "expected [N, k] with both at least 1"),
    ],
)
def test_refusals(kind, labels, test, told, tmp_path):
    with pytest.raises(DataError) as error:
        read(Npz(path=write(tmp_path, labels, test), labels=kind))
    assert told in str(error.value)
    assert "\n" not in str(error.value)
