"""The 8x8 handwritten digits of the UCI repository, which come with fgspec."""

from pathlib import Path

import numpy as np

from fgspec.data.dataset import Dataset
from fgspec.spec import sources
from fgspec.spec.sources import Search

# The digits are kept as arrays, because importing scikit-learn to read them took a third of the
# time until a run of the quickstart began. A test compares them with those of scikit-learn.
_FILE = Path(__file__).with_name("digits.npz")


class Digits(sources.Digits):
    """The fields of this source, and how the digits are read."""

    def read(self, search: Search = None) -> Dataset:
        """1,437 training and 360 test images, [8, 8, 1] uint8.

        The digits are published without a split. The split used here is stratified by class and the
        same for every seed of an experiment, so that all runs are tested on the same images. The
        published pixels, from 0 to 16, are scaled to the range from 0 to 255.
        """
        with np.load(_FILE, allow_pickle=False) as arrays:
            return Dataset(
                arrays["train_images"],
                arrays["train_labels"].astype(np.int32),
                arrays["test_images"],
                arrays["test_labels"].astype(np.int32),
            )
