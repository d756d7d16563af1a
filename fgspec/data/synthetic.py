"""Made-up images for benchmarks; no result on them means anything."""

import numpy as np

from fgspec.data.dataset import Dataset, Labels, Pixels
from fgspec.spec.data import Synthetic

_SEED = 0


def make_synthetic(source: Synthetic) -> Dataset:
    """Makes uint8 images, each its class's random template plus noise; classes are balanced.

    The same for every seed of an experiment. For benchmarks only.
    """
    random = np.random.default_rng(_SEED)
    templates = random.integers(0, 128, (source.classes, *source.image), dtype=np.uint8)
    train_images, train_labels = _examples(random, templates, source.train_examples)
    test_images, test_labels = _examples(random, templates, source.test_examples)
    return Dataset(train_images, train_labels, test_images, test_labels)


def _examples(
    random: np.random.Generator, templates: Pixels, examples: int
) -> tuple[Pixels, Labels]:
    labels = random.permutation(np.arange(examples, dtype=np.int32) % len(templates))
    images = random.integers(0, 129, (examples, *templates.shape[1:]), dtype=np.uint8)
    images += templates[labels]
    return images, labels
