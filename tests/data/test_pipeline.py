"""Laws of the batches."""

from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fgspec.data.dataset import Dataset
from fgspec.data.pipeline import (
    TrainBatches,
    chosen_examples,
    epoch_order,
    evaluation_batches,
    fingerprint,
    train_batches,
)
from fgspec.errors import DataError


def numbered(examples):
    """Images and labels that carry the example's number."""
    labels = np.arange(examples, dtype=np.int32)
    images = np.broadcast_to(labels[:, None, None, None], (examples, 2, 3, 1)).astype(np.uint8)
    return images, labels


def dataset_of(examples, test=5):
    return Dataset(*numbered(examples), *numbered(test))


def labels_of(batches, steps):
    return np.concatenate([batches[step]["label"] for step in steps])


sizes = st.integers(1, 40).flatmap(lambda n: st.tuples(st.just(n), st.integers(1, n)))
seeds = st.integers(0, 2**64 - 1)


@given(sizes, seeds, st.integers(0, 2**20))
@settings(max_examples=50, deadline=None)
def test_an_epoch_visits_every_example_at_most_once_and_drops_less_than_a_batch(size, seed, epoch):
    examples, batch_size = size
    batches = TrainBatches(*numbered(examples), batch_size, seed, total_steps=2**31)
    per_epoch = batches.steps_per_epoch
    seen = labels_of(batches, range(epoch * per_epoch, (epoch + 1) * per_epoch))
    assert len(seen) == len(np.unique(seen)) == examples - examples % batch_size
    if examples % batch_size == 0:
        assert sorted(seen) == list(range(examples))


@given(sizes, seeds, st.integers(1, 4), st.integers(0, 30))
@settings(max_examples=30, deadline=None)
def test_rows_of_all_processes_make_up_the_batch(size, seed, processes, step):
    examples, batch_size = size
    of = (*numbered(examples), batch_size, seed, 31)
    rows = [np.arange(n, batch_size, processes) for n in range(processes)]
    whole, parts = TrainBatches(*of)[step], [TrainBatches(*of, rows=own)[step] for own in rows]
    for name, array in whole.items():
        for own, part in zip(rows, parts, strict=True):
            np.testing.assert_array_equal(part[name], array[own])


@given(sizes, seeds, st.integers(0, 30), st.integers(0, 30))
@settings(max_examples=30, deadline=None)
def test_starting_at_a_step_equals_skipping_those_before(size, seed, start, more):
    examples, batch_size = size
    total, data = start + more, dataset_of(examples)
    batches = TrainBatches(data.train_images, data.train_labels, batch_size, seed, total)
    iterator = train_batches(batches, start)
    found = list(iterator)
    iterator.close()
    assert len(found) == more
    for step, batch in zip(range(start, total), found, strict=True):
        np.testing.assert_array_equal(batch["label"], batches[step]["label"])
        np.testing.assert_array_equal(batch["image"], batches[step]["image"])
    places = [batches.of(chosen["index"]) for chosen in chosen_examples(batches, start)]
    assert len(places) == more
    for picked, batch in zip(places, found, strict=True):
        np.testing.assert_array_equal(picked["label"], batch["label"])
        np.testing.assert_array_equal(picked["image"], batch["image"])


@given(sizes, st.integers(1, 50))
@settings(max_examples=50, deadline=None)
def test_evaluation_is_one_pass_in_order(size, batch_size):
    images, labels = numbered(size[0])
    batches = list(evaluation_batches(images, labels, batch_size))
    np.testing.assert_array_equal(np.concatenate([batch["image"] for batch in batches]), images)
    np.testing.assert_array_equal(np.concatenate([batch["label"] for batch in batches]), labels)
    assert {len(batch["label"]) for batch in batches[:-1]} <= {batch_size}
    assert 1 <= len(batches[-1]["label"]) <= batch_size


def test_an_image_keeps_its_label():
    batches = TrainBatches(*numbered(40), batch_size=8, seed=0, total_steps=15)
    for batch in (batches[step] for step in range(15)):
        assert batch["image"].shape == (8, 2, 3, 1)
        assert batch["label"].dtype == np.int32
        np.testing.assert_array_equal(batch["image"][:, 1, 2, 0], batch["label"])


def test_seeds_and_epochs_differ():
    orders = [tuple(epoch_order(100, s, e)) for s in (0, 1, 2) for e in (0, 1, 2)]
    assert len(set(orders)) == 9


def test_the_order_is_the_same_on_every_machine():
    assert epoch_order(8, seed=0, epoch=0).tolist() == [5, 0, 6, 1, 7, 2, 4, 3]


def test_the_length_of_the_run_changes_no_batch():
    short, long = (TrainBatches(*numbered(20), 3, 7, total) for total in (5, 500))
    np.testing.assert_array_equal(labels_of(short, range(5)), labels_of(long, range(5)))


def test_batches_are_the_same_from_many_threads_in_any_order():
    images, labels = numbered(30)
    steps = np.random.default_rng(0).permutation(200)
    shared = TrainBatches(images, labels, 4, 3, total_steps=200)
    with ThreadPoolExecutor(8) as threads:
        found = list(threads.map(lambda step: shared[step]["label"], steps))
    for step, got in zip(steps, found, strict=True):
        alone = TrainBatches(images, labels, 4, 3, total_steps=200)
        np.testing.assert_array_equal(got, alone[step]["label"])


def test_a_batch_owns_its_arrays():
    data = dataset_of(10)
    batches = TrainBatches(data.train_images, data.train_labels, 10, 0, 1)
    batches[0]["image"][:] = 0
    np.testing.assert_array_equal(batches[0]["image"][:, 0, 0, 0], batches[0]["label"])


def test_the_iterator_knows_its_step():
    iterator = train_batches(TrainBatches(*numbered(10), 5, 0, total_steps=20), 7)
    next(iterator)
    assert iterator.get_state() == {"next_index": 8}
    iterator.close()


def test_starting_far_on_draws_one_epoch_only(monkeypatch):
    drawn = []

    def counted(examples, seed, epoch):
        drawn.append(epoch)
        return epoch_order(examples, seed, epoch)

    monkeypatch.setattr("fgspec.data.pipeline.epoch_order", counted)
    iterator = train_batches(TrainBatches(*numbered(10), 5, 0, 2 * 10**9 + 2), 2 * 10**9)
    assert len(list(iterator)) == 2
    iterator.close()
    assert drawn == [10**9]


def test_steps_outside_the_run_are_refused():
    batches = TrainBatches(*numbered(10), 5, 0, total_steps=3)
    assert len(batches) == 3
    for step in (-1, 3):
        with pytest.raises(IndexError, match="of a run of 3 steps"):
            batches[step]
    with pytest.raises(IndexError, match="out of range"):
        train_batches(batches, 4)


def test_a_batch_larger_than_the_training_set_is_refused():
    message = "data.batch_size: 11 is larger than the training set; give at most 10"
    with pytest.raises(DataError, match=message):
        TrainBatches(*numbered(10), 11, 0, 1)


def test_the_fingerprint_changes_with_what_batches_depend_on_and_with_nothing_else():
    data = dataset_of(12)
    first = fingerprint(data, 4, 0)
    assert len(first) == 64
    assert fingerprint(dataset_of(12), 4, 0) == first
    changed = data.train_images.copy()
    changed[3, 1, 1, 0] ^= 1
    others = [
        fingerprint(data, 5, 0),
        fingerprint(data, 4, 1),
        fingerprint(dataset_of(13), 4, 0),
        fingerprint(dataset_of(12, test=6), 4, 0),
        fingerprint(replace(data, train_images=changed), 4, 0),
        fingerprint(replace(data, train_images=data.train_images.reshape(12, 3, 2, 1)), 4, 0),
        fingerprint(replace(data, train_labels=data.train_labels.view(np.uint32)), 4, 0),
        fingerprint(replace(data, test_labels=data.test_labels[::-1]), 4, 0),
    ]
    assert len({first, *others}) == 1 + len(others)
