"""The handwritten digits that come with scikit-learn."""

import importlib

import numpy as np

from fgspec.data.dataset import Dataset
from fgspec.spec import sources
from fgspec.spec.sources import Search

TEST_EXAMPLES = 360
_BRIGHTEST = 16


class Digits(sources.Digits):
    """The section with how the digits are read and split."""

    def read(self, search: Search = None) -> Dataset:
        """1,437 training and 360 test images, [8, 8, 1] uint8.

        The set is published without a split. This one is stratified by class and the same for every
        seed of an experiment, so that all runs are tested on the same images. Pixels 0 to 16 are
        scaled to 0 to 255.
        """
        # Imported here as it takes a second, which whoever only describes the digits need not wait.
        datasets = importlib.import_module("sklearn.datasets")
        selection = importlib.import_module("sklearn.model_selection")
        pixels, labels = datasets.load_digits(return_X_y=True)
        images = np.rint(pixels * 255 / _BRIGHTEST).astype(np.uint8).reshape(-1, 8, 8, 1)
        labels = labels.astype(np.int32)
        train, test = selection.train_test_split(
            np.arange(len(labels)), test_size=TEST_EXAMPLES, random_state=0, stratify=labels
        )
        return Dataset(images[train], labels[train], images[test], labels[test])
