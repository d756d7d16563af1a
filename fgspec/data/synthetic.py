"""Made-up images for benchmarks; no result on them means anything."""

import numpy as np

from fgspec.data.dataset import Dataset, Labels, Pixels
from fgspec.spec import sources
from fgspec.spec.sources import Search

_SEED = 0


class Synthetic(sources.Synthetic):
    """The fields of this source, and how its images are made."""

    def read(self, search: Search = None) -> Dataset:
        """Images [N, *image], uint8: each is the random template of its class plus noise.

        Classes are balanced. The images are the same for every seed of an experiment. They are only
        meant for benchmarks.
        """
        random = np.random.default_rng(_SEED)
        templates = random.integers(0, 128, (self.classes, *self.image), dtype=np.uint8)
        train_images, train_labels = _examples(random, templates, self.train_examples)
        test_images, test_labels = _examples(random, templates, self.test_examples)
        return Dataset(train_images, train_labels, test_images, test_labels)


def _examples(
    random: np.random.Generator, templates: Pixels, examples: int
) -> tuple[Pixels, Labels]:
    labels = random.permutation(np.arange(examples, dtype=np.int32) % len(templates))
    images = random.integers(0, 129, (examples, *templates.shape[1:]), dtype=np.uint8)
    images += templates[labels]
    return images, labels
