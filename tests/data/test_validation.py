"""Training examples that are set aside: which, what is left, and what a run does with them."""

import contextlib
import json
from pathlib import Path

import numpy as np
import pytest
import runs
from data import image_folders

import fgspec as package
from fgspec import api
from fgspec.data.pipeline import fingerprint
from fgspec.data.sources import read
from fgspec.data.validation import divided, set_aside
from fgspec.spec.data import Validation
from fgspec.spec.sources import Digits, ImageFolder
from fgspec.training.loop import Preempted
from fgspec.training.run import Job
from fgspec.training.run_folder import RunDir
from fgspec.training.run_log import checked_lines

ASIDE = "data.validation.examples=200"


def _together(a, b):
    """Rows of both, sorted."""
    rows = np.concatenate([a.reshape(-1, 64), b.reshape(-1, 64)])
    return rows[np.lexsort(rows.T)]


def test_every_training_example_is_in_one_of_both_sets():
    whole = read(Digits())
    parts = divided(whole, Validation(examples=200))
    assert len(parts.valid_labels) == len(parts.valid_images) == 200
    assert len(parts.train_labels) == len(whole.train_labels) - 200
    found = _together(parts.train_images, parts.valid_images)
    assert (found == _together(whole.train_images, whole.train_images[:0])).all()
    aside = set_aside(Validation(examples=200), len(whole.train_labels))
    assert (parts.valid_labels == whole.train_labels[aside]).all()
    assert (parts.valid_images == whole.train_images[aside]).all()
    assert parts.test_images is whole.test_images


def test_which_ones_follows_from_its_own_seed_alone():
    first = set_aside(Validation(fraction=0.1), 1000)
    assert len(first) == 100
    assert (first == set_aside(Validation(examples=100), 1000)).all()
    assert len(np.intersect1d(first, set_aside(Validation(examples=100, seed=1), 1000))) < 30
    assert fingerprint(divided(read(Digits()), Validation(examples=9)), 8, 0) != fingerprint(
        divided(read(Digits()), Validation(examples=9, seed=1)), 8, 0
    )


def test_images_in_files_are_read_where_they_are_taken(tmp_path):
    source = ImageFolder(path=str(image_folders.write(tmp_path)), size=8)
    whole, validation = read(source), Validation(fraction=0.25)
    parts = divided(whole, validation)
    aside = set_aside(validation, len(whole.train_labels))
    everything = whole.train_images.take(np.arange(len(whole.train_labels)), axis=0)
    taken = parts.valid_images[2:7].take(np.array([0, 3]), axis=0)
    assert (taken == everything[aside[[2, 5]]]).all()
    assert parts.train_images.shape == (len(whole.train_labels) - len(aside), 8, 8, 3)
    assert fingerprint(parts, 8, 0) != fingerprint(whole, 8, 0)
    same = divided(read(source), validation)
    assert fingerprint(parts, 8, 0) == fingerprint(same, 8, 0)


@pytest.fixture(scope="module")
def trained(tmp_path_factory):
    folder = tmp_path_factory.mktemp("aside")
    spec = package.load(runs.write_spec(folder), [ASIDE])
    return spec, RunDir(Path(package.train(spec, run_dir=folder)["run"]))


def test_the_test_set_is_read_once_at_the_end(trained):
    lines = checked_lines(trained[1])
    assert [line["step"] for line in lines if "valid/error" in line] == [10, 20, 25]
    assert [line["step"] for line in lines if "test/error" in line] == [25]
    assert package.evaluate(trained[1].path)["test/error"] == lines[-1]["test/error"]


def test_pixels_are_standardized_by_what_is_left(trained):
    program, dataset = api._with_data(trained[0])
    pixels = dataset.train_images
    assert program.plan.data.mean == pytest.approx((pixels.mean() / 255,), rel=1e-6)
    assert program.plan.data.std == pytest.approx((pixels.std() / 255,), rel=1e-6)
    assert program.plan.data.train_examples == len(pixels)


def test_valid_is_what_evaluation_says_of_those_set_aside(trained, tmp_path):
    """A run whose test set is the validation set of another, and that trains on the same."""
    spec, run = trained
    _, parts = api._with_data(spec)
    np.savez(
        tmp_path / "swapped.npz",
        train_images=parts.train_images,
        train_labels=parts.train_labels,
        test_images=parts.valid_images,
        test_labels=parts.valid_labels,
    )
    path = tmp_path / "swapped.npz"
    other = runs.write_spec(tmp_path)
    swapped = package.load(other, [f"data.source={json.dumps({'type': 'npz', 'path': str(path)})}"])
    found = package.train(swapped, run_dir=tmp_path)["metrics"]
    last = {name: value for line in checked_lines(run) for name, value in line.items()}
    assert found["test/loss"] == pytest.approx(last["valid/loss"], rel=1e-5)
    assert found["train/loss"] == pytest.approx(last["train/loss"], rel=1e-5)


def test_a_run_that_is_stopped_in_its_last_evaluation_ends_alike(trained, tmp_path, monkeypatch):
    _, whole = trained
    small = package.load(runs.write_spec(tmp_path), [ASIDE, "data.evaluation_batch_size=150"])
    evaluated = []

    @contextlib.contextmanager
    def signals():
        yield lambda: len(evaluated) == 8  # of 3 x 2 batches set aside and 3 of the test set

    passes = Job._evaluated

    def counted(job, images, labels):
        for batch in passes(job, images, labels):
            evaluated.append(len(batch["label"]))
            yield batch

    with monkeypatch.context() as patch:
        patch.setattr(api, "stop_signals", signals)
        patch.setattr(Job, "_evaluated", counted)
        with pytest.raises(Preempted):
            package.train(small, run=tmp_path / "run")
    assert evaluated == [150, 50] * 3 + [150] * 2
    package.train(resume=tmp_path / "run")
    lines, theirs = checked_lines(RunDir(tmp_path / "run")), checked_lines(whole)
    assert [line.keys() for line in lines] == [line.keys() for line in theirs]
    for name in ("valid/loss", "test/loss"):
        assert lines[-1][name] == pytest.approx(theirs[-1][name], rel=1e-6)


@pytest.mark.parametrize(
    ("count", "said"),
    [(1437, "leaves none of the 1437 training examples"), (1400, "at most the 37 training")],
)
def test_check_refuses_what_leaves_too_few(count, said, tmp_path, fgspec):
    spec = runs.write_spec(tmp_path)
    code, _, err = fgspec("check", spec, "--set", f"data.validation.examples={count}")
    assert (code, said in err, len(err.splitlines())) == (2, True, 1)
