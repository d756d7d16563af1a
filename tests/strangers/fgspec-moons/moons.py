"""Two moons, each point drawn as a blurred dot on a small image."""

from typing import Literal

import numpy as np
from sklearn.datasets import make_moons

import fgspec


class Moons(fgspec.Source):
    """Which of two moons a dot lies on."""

    type: Literal["moons"] = "moons"
    size: int = fgspec.Field(default=8, ge=4, le=64, description="Side of the images in pixels.")
    examples: int = fgspec.Field(default=1000, ge=10, description="Of training; a fifth more test.")
    noise: float = fgspec.Field(default=0.1, ge=0, description="Deviation of the points.")

    def _drawn(self, count, seed):
        points, labels = make_moons(count, noise=self.noise, random_state=seed)
        at = (points - [-1.5, -1.0]) / [4.0, 2.5] * (self.size - 1)
        grid = np.arange(self.size)
        x, y = (np.exp(-0.5 * (grid - at[:, i, None]) ** 2) for i in (0, 1))
        images = y[:, :, None, None] * x[:, None, :, None]
        images, labels = (images * 255).astype(np.uint8), labels.astype(np.int32)
        for array in (images, labels):
            array.setflags(write=False)
        return images, labels

    def describe(self, search=None):
        images, _ = self._drawn(self.examples, 0)
        pixels = images / 255
        return fgspec.DatasetInfo(
            name="moons",
            image_shape=(self.size, self.size, 1),
            classes=2,
            train_examples=self.examples,
            test_examples=self.examples // 5,
            mean=(float(pixels.mean()),),
            std=(float(pixels.std()),),
        )

    def read(self, search=None):
        return fgspec.Dataset(*self._drawn(self.examples, 0), *self._drawn(self.examples // 5, 1))
