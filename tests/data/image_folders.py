"""Folders of image files whose classes can be told apart: light bars in the direction of the class.

Files differ in height, width, mode and format, as photographs do.
"""

import numpy as np
from PIL import Image

MODES = ("RGB", "L", "CMYK", "P")


def photograph(random, label, classes=4):
    """A grey image of 24 to 40 pixels a side: stripes at the class's angle, and noise."""
    height, width = random.integers(24, 41, 2)
    rows, columns = np.mgrid[:height, :width]
    angle, phase = np.pi * label / classes, random.uniform(0, 2 * np.pi)
    wave = np.sin(0.8 * (rows * np.sin(angle) + columns * np.cos(angle)) + phase)
    pixels = 128 + 90 * wave + random.normal(0, 12, (height, width))
    return Image.fromarray(pixels.clip(0, 255).astype(np.uint8))


def write(root, train=64, test=24, classes=4, parts=("train", "val")):
    """Write the files of `classes` classes; returns the folder."""
    random = np.random.default_rng(0)
    for part, examples in zip(parts, (train, test), strict=True):
        for number in range(examples):
            label, mode = number % classes, MODES[number // classes % len(MODES)]
            folder = root / part / f"class{label}"
            folder.mkdir(parents=True, exist_ok=True)
            image = photograph(random, label, classes).convert(mode)
            image.save(folder / f"{number}.{'png' if mode == 'P' else 'JPEG'}")
    return root
