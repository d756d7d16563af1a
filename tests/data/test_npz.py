"""Archives of one's own: what is read, and what is said of one that cannot be."""

import zipfile

import numpy as np
import pytest

import fgspec
from fgspec.data.describe import describe
from fgspec.data.npz import Npz as FullNpz
from fgspec.data.sources import read
from fgspec.errors import DataError
from fgspec.spec.sources import Npz


@pytest.fixture(autouse=True)
def workplace(tmp_path, monkeypatch):
    monkeypatch.setenv("FGSPEC_DATA", str(tmp_path / "all"))
    (tmp_path / "all").mkdir()
    monkeypatch.chdir(tmp_path)


def arrays(**changes):
    random = np.random.default_rng(3)
    made = {
        "train_images": random.integers(0, 256, (6, 4, 5, 2), dtype=np.uint8),
        "train_labels": np.array([0, 1, 2, 0, 1, 2]),
        "test_images": random.integers(0, 256, (2, 4, 5, 2), dtype=np.uint8),
        "test_labels": np.array([2, 0], np.uint8),
    }
    return made | changes


def test_arrays_are_read_as_written_and_described(tmp_path):
    made = arrays()
    np.savez(tmp_path / "own.npz", **made)
    dataset, info = read(Npz(path="own.npz")), describe(Npz(path="own.npz"))
    for name, array in made.items():
        np.testing.assert_array_equal(getattr(dataset, name), array)
    assert dataset.test_labels.dtype == np.int32
    assert (info.name, info.image_shape, info.classes) == ("own", (4, 5, 2), 3)
    assert (info.train_examples, info.test_examples) == (6, 2)
    pixels = made["train_images"] / 255
    np.testing.assert_allclose(info.mean, pixels.mean((0, 1, 2)), rtol=1e-12)
    np.testing.assert_allclose(info.std, pixels.std((0, 1, 2)), rtol=1e-12)


def test_grey_and_float_images_and_names_of_ones_own(tmp_path):
    grey = np.linspace(0, 1, 6 * 9, dtype=np.float32).reshape(6, 3, 3)
    made = arrays(train_images=grey, test_images=grey[:2])
    made["x"] = made.pop("train_images")
    np.savez_compressed(tmp_path / "own.npz", **made)
    source = Npz(path="own.npz", train_images="x")
    dataset = read(source)
    assert dataset.train_images.shape == (6, 3, 3, 1)
    assert dataset.train_images.dtype == np.float32
    assert describe(source).mean == pytest.approx((0.5,))


def test_mean_and_deviation_of_many_images_and_of_a_constant_channel(tmp_path):
    images = np.random.default_rng(4).integers(0, 256, (2500, 3, 3, 2), dtype=np.uint8)
    images[..., 1] = 51
    labels = np.arange(2500) % 2
    np.savez(tmp_path / "own.npz", **arrays(train_images=images, train_labels=labels,
             test_images=images[:2], test_labels=labels[:2]))  # fmt: skip
    info = describe(Npz(path="own.npz"))
    assert info.mean == pytest.approx(((images / 255).mean((0, 1, 2))[0], 0.2))
    assert info.std == pytest.approx(((images / 255).std((0, 1, 2))[0], 1.0))


def test_current_folder_goes_before_the_data_folder_and_search_before_both(tmp_path):
    (tmp_path / "other").mkdir()
    for place, count in (("all", 5), ("", 4), ("other", 3)):
        np.savez(tmp_path / place / "own.npz", **arrays(test_images=np.zeros((count, 4, 5, 2),
                 np.uint8), test_labels=np.zeros(count, int)))  # fmt: skip
    source = Npz(path="own.npz")
    assert len(read(source).test_labels) == 4
    assert len(read(source, search=[tmp_path / "other"]).test_labels) == 3
    assert describe(source, search=[tmp_path / "other"]).test_examples == 3
    (tmp_path / "own.npz").unlink()
    assert len(read(source).test_labels) == 5


def refusal(source):
    with pytest.raises(DataError) as caught:
        read(source)
    with pytest.raises(DataError, match=r"data\.source"):
        describe(source)
    assert "\n" not in str(caught.value)
    return str(caught.value)


def test_missing_archive(tmp_path):
    text = refusal(Npz(path="own.npz"))
    assert f"looked for {tmp_path}/own.npz, {tmp_path}/all/own.npz;" in text


def test_missing_array_lists_the_others_and_suggests(tmp_path):
    np.savez(tmp_path / "own.npz", **arrays())
    text = refusal(Npz(path="own.npz", train_images="train_image"))
    assert "data.source.train_images: in " in text
    assert "there is no array 'train_image'; the arrays there: test_images, test_labels" in text
    assert "did you mean 'train_images'?" in text


def test_damaged_archives(tmp_path):
    file = tmp_path / "own.npz"
    np.savez(file, **arrays())
    whole = file.read_bytes()
    file.write_bytes(whole[:-30])
    assert "is not an npz archive or is cut off" in refusal(Npz(path="own.npz"))
    with file.open("wb") as stream:
        np.save(stream, np.zeros(3))
    assert "is not an npz archive or is cut off" in refusal(Npz(path="own.npz"))
    place = whole.index(arrays()["train_images"].tobytes())
    file.write_bytes(whole[:place] + b"~~~~" + whole[place + 4 :])
    assert "cannot be read: Bad CRC-32" in refusal(Npz(path="own.npz"))
    with zipfile.ZipFile(file, "w") as archive:
        archive.writestr("train_images", b"text")
    assert "'train_images' is a file, but not an array" in refusal(Npz(path="own.npz"))


@pytest.mark.parametrize(
    ("changes", "field", "reason"),
    [
        ({"train_images": np.zeros((6, 4, 5))}, "train_images", "images are float64, expected"),
        ({"train_images": np.zeros((6, 4), np.uint8)}, "train_images", "have shape (6, 4)"),
        (
            {"train_images": np.zeros((0, 4, 5), np.uint8)},
            "train_images",
            "with every length at least 1",
        ),
        (
            {"train_images": np.full((6, 4, 5), 1.5, np.float32)},
            "train_images",
            "float images hold values from 1.5 to 1.5, expected 0 to 1",
        ),
        ({"test_images": np.full((2, 4, 5, 2), np.nan, np.float32)}, "test_images", "hold NaN"),
        ({"test_images": np.full((2, 4, 5, 2), -1, np.float32)}, "test_images", "from -1 to -1"),
        ({"test_images": np.zeros((2, 5, 5), np.uint8)}, "test_images", "a test image is uint8"),
        ({"train_labels": np.zeros(6)}, "train_labels", "labels are float64, expected integers"),
        ({"train_labels": np.zeros((6, 1), int)}, "train_labels", "labels have shape (6, 1)"),
        ({"train_labels": np.array([0, -1] * 3)}, "train_labels", "it has the label -1"),
        ({"train_labels": np.zeros(6, int)}, "train_labels", "at least two classes"),
        ({"train_labels": np.array([0, 1, 2])}, "train_labels", "3 labels for 6 images"),
        ({"test_labels": np.array([0, 3])}, "test_labels", "it has the label 3, expected 0 to 2"),
        ({"test_labels": np.array([0, 1, 1])}, "test_labels", "3 labels for 2 images"),
        (
            {"train_labels": np.array([0, "one", None] * 2, object)},
            "train_labels",
            "array 'train_labels' holds Python objects instead of numbers (they are",
        ),
    ],
)
def test_unfit_arrays_are_refused(tmp_path, changes, field, reason):
    np.savez(tmp_path / "own.npz", **arrays(**changes))
    text = refusal(Npz(path="own.npz"))
    assert text.startswith(f"data.source.{field}: in {tmp_path}/own.npz, ")
    assert reason in text


def test_float_images_are_described_as_such_and_train(tmp_path):
    """A program compiled for uint8 would refuse them."""
    source = FullNpz.example(tmp_path)
    assert describe(source).pixels == "float32"
    (tmp_path / "a.yaml").write_text(
        f"fgspec: 1\nname: floats\ndata: {{source: {{type: npz, path: {source.path}}}, "
        "batch_size: 8}\narchitecture: {type: mlp, hidden: [4]}\ntraining: {steps: 2}\n"
    )
    assert fgspec.train(tmp_path / "a.yaml", run_dir=tmp_path)["step"] == 2
