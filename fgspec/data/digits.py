"""The handwritten digits that come with scikit-learn."""

import numpy as np
from sklearn.datasets import load_digits
from sklearn.model_selection import train_test_split

from fgspec.data.dataset import Dataset

TEST_EXAMPLES = 360
_BRIGHTEST = 16


def read_digits() -> Dataset:
    """Reads the digits: 1,437 training and 360 test images, [8, 8, 1] uint8.

    The set is published without a split. This one is stratified by class and the same for every
    seed of an experiment, so that all runs are tested on the same images. Pixels 0 to 16 are
    scaled to 0 to 255.
    """
    pixels, labels = load_digits(return_X_y=True)
    images = np.rint(pixels * 255 / _BRIGHTEST).astype(np.uint8).reshape(-1, 8, 8, 1)
    labels = labels.astype(np.int32)
    train, test = train_test_split(
        np.arange(len(labels)), test_size=TEST_EXAMPLES, random_state=0, stratify=labels
    )
    return Dataset(images[train], labels[train], images[test], labels[test])
