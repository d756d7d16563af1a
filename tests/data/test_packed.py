"""Packed sets: written and read again, image for image; and what is said of damaged ones."""

import json
import re

import numpy as np
import pytest
from data import image_folders
from data.refusals import refusal

from fgspec.data.describe import describe
from fgspec.data.packing import pack
from fgspec.data.pipeline import IdentifiedBatches, TrainBatches, part_digests, train_batches
from fgspec.data.sources import read
from fgspec.data.validation import divided
from fgspec.errors import DataError, UserError
from fgspec.spec.data import Validation
from fgspec.spec.packed import Packed
from fgspec.spec.sources import ImageFolder, Npz, Synthetic

MADE_UP = Synthetic(image=(5, 4, 3), classes=3, train_examples=40, test_examples=10)


@pytest.fixture
def packed(tmp_path):
    """A set in several files, and where it is."""
    pack(MADE_UP, tmp_path / "p", shard=60 * 16)  # 16 images a file
    return tmp_path / "p"


def batches(source, **divisions):
    """Some training batches as a run reads them, with the places of their examples."""
    dataset = divided(read(source), Validation(**divisions) if divisions else None)
    made = TrainBatches(dataset.train_images, dataset.train_labels, 8, 3, 9)
    reading = train_batches(IdentifiedBatches(made), 0, dataset.reading)
    try:
        return [next(reading) for _ in range(9)]
    finally:
        reading.close()


@pytest.mark.parametrize("divisions", [{}, {"examples": 13}])
def test_batches_are_those_of_the_source(packed, divisions):
    pairs = zip(batches(MADE_UP, **divisions), batches(Packed(path=str(packed)), **divisions),
                strict=True)  # fmt: skip
    for own, read_again in pairs:
        assert own.keys() == read_again.keys()
        for name, array in own.items():
            np.testing.assert_array_equal(array, read_again[name])


def test_description_is_that_of_the_source(packed):
    assert describe(Packed(path=str(packed))) == describe(MADE_UP)
    assert len([*packed.glob("train-*-of-00003.array_record")]) == 3
    assert len([*packed.glob("test-*-of-00001.array_record")]) == 1


def test_vectors_float_images_and_names_of_classes(tmp_path):
    random = np.random.default_rng(0)
    arrays = {
        "train_images": random.random((12, 3, 4), np.float32),
        "train_labels": random.standard_normal((12, 2)),
        "test_images": random.random((3, 3, 4), np.float32),
        "test_labels": random.standard_normal((3, 2)),
    }
    np.savez(tmp_path / "own.npz", **arrays)
    source = Npz(path=str(tmp_path / "own.npz"), labels="vector")
    pack(source, tmp_path / "vectors")
    again = read(Packed(path=str(tmp_path / "vectors"), labels="vector"))
    np.testing.assert_array_equal(
        again.test_images.take(np.arange(3), axis=0)[..., 0], arrays["test_images"]
    )
    np.testing.assert_array_equal(again.train_labels, arrays["train_labels"].astype(np.float32))
    told = refusal(Packed(path=str(tmp_path / "vectors")))
    assert "set data.source.labels: vector" in told
    folder = image_folders.write(tmp_path / "files", train=8, test=4)
    pack(ImageFolder(path=str(folder), size=12), tmp_path / "files-packed")
    files = read(Packed(path=str(tmp_path / "files-packed")))
    assert files.names == ("class0", "class1", "class2", "class3")
    source_images = read(ImageFolder(path=str(folder), size=12)).train_images
    every = np.arange(8)
    np.testing.assert_array_equal(
        files.train_images.take(every, axis=0), source_images.take(every, axis=0)
    )


def test_evidence_changes_with_contents_and_with_what_is_set_aside(packed, tmp_path):
    pack(MADE_UP, tmp_path / "same", shard=60 * 16)
    other = MADE_UP.model_copy(update={"classes": 4})
    pack(other, tmp_path / "other", shard=60 * 16)

    def digests(folder, **divisions):
        found = read(Packed(path=str(folder)))
        return part_digests(divided(found, Validation(**divisions) if divisions else None))

    assert digests(packed) == digests(tmp_path / "same")
    assert digests(packed)["train_images"] != digests(tmp_path / "other")["train_images"]
    first, second = (digests(packed, examples=5, seed=seed) for seed in (0, 1))
    assert first["valid_images"] != second["valid_images"]


def _cut(packed):
    file = packed / "train-00001-of-00003.array_record"
    file.write_bytes(file.read_bytes()[:-7])


def _flipped(packed):
    file = packed / "train-00001-of-00003.array_record"
    content = bytearray(file.read_bytes())
    content[len(content) // 2] ^= 1
    file.write_bytes(content)


def _gone(packed):
    (packed / "test-00000-of-00001.array_record").unlink()


def _other_labels(packed):
    np.savez(packed / "labels.npz", train=np.zeros(40, np.int32), test=np.zeros(10, np.int32))


def _no_json(packed):
    (packed / "dataset.json").write_text("{")


def _newer(packed):
    record = json.loads((packed / "dataset.json").read_text())
    (packed / "dataset.json").write_text(json.dumps(record | {"version": 99}))


def _unfinished(packed):
    (packed / "dataset.json").unlink()


@pytest.mark.parametrize(
    ("damage", "told"),
    [
        (_cut, "train-00001-of-00003.array_record has .* bytes, expected"),
        (_flipped, "train-00001-of-00003.array_record has sha256 .*, expected"),
        (_gone, "test-00000-of-00001.array_record cannot be read: No such file"),
        (_other_labels, "labels.npz has (sha256|[0-9,]+ bytes)"),
        (_no_json, "dataset.json is not the record of a packed set"),
        (_newer, "of version 99, expected 'fgspec packed images' of version 1"),
        (_unfinished, "holds no packed set; looked for dataset.json in .*; write it with fgspec"),
    ],
)
def test_damage(packed, damage, told):
    damage(packed)
    line = refusal(Packed(path=str(packed)))
    assert re.search(told, line), line
    assert "fgspec data pack SPEC" in line


def test_a_damaged_record_is_found_when_it_is_read(packed):
    """Without `verify` only sizes are compared; the files have checksums of their own."""
    images = read(Packed(path=str(packed), verify=False)).train_images
    assert len(images.take(np.arange(40), axis=0)) == 40
    _flipped(packed)
    images = read(Packed(path=str(packed), verify=False)).train_images
    with pytest.raises(DataError, match=r"one of the train images 0 to 39 of .* cannot be read"):
        images.take(np.arange(40), axis=0)


def test_nothing_is_overwritten_and_nothing_half_is_left(tmp_path, packed):
    with pytest.raises(UserError, match="exists already; give a new folder"):
        pack(MADE_UP, packed)
    folder = image_folders.write(tmp_path / "files", train=8, test=4)
    (folder / "val" / "class1" / "1.JPEG").write_bytes(b"no picture")
    with pytest.raises(DataError, match=r"1\.JPEG cannot be decoded"):
        pack(ImageFolder(path=str(folder), size=12), tmp_path / "half")
    assert not (tmp_path / "half").exists()
