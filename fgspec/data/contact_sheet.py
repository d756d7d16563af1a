"""One picture of a data set: images of each class, and augmented images as training sees them."""

import struct
import zlib
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from compiler.augment.recipes import augmented
from compiler.named_arrays.random_streams import key_data
from fgspec.data.dataset import Dataset, labelled
from fgspec.errors import DataError
from fgspec.spec.experiment import Experiment

ROWS = 10
COLUMNS = 6
"""Rows of the sheet, and images in a row. Up to as many augmented images follow in each row."""

_LEAST_SIDE = 48
"""Pixels; images with a shorter side are enlarged by a whole factor until it is this long."""

_GAP = 4
_BACKGROUND = 255


@dataclass(frozen=True)
class Sheet:
    """A contact sheet.

    Attributes:
        pixels: [height, width, 3], uint8.
        rows: the label of each row's class; negative where the data set has no classes.
        images: how many images a row has.
        views: how many augmented versions of its first image follow in a row; 0 without
            augmentation.
    """

    pixels: NDArray[np.uint8]
    rows: tuple[int, ...]
    images: int
    views: int

    def png(self) -> bytes:
        """The sheet as a PNG file."""
        height, width, _ = self.pixels.shape
        # Each row of a PNG begins with the number of its filter; 0 stands for no filter.
        rows = np.concatenate([np.zeros((height, 1), np.uint8), self.pixels.reshape(height, -1)], 1)
        head = struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)  # 8 bits, colours
        parts = ((b"IHDR", head), (b"IDAT", zlib.compress(rows.tobytes())), (b"IEND", b""))
        return b"\x89PNG\r\n\x1a\n" + b"".join(_chunk(name, content) for name, content in parts)


def _chunk(name: bytes, content: bytes) -> bytes:
    check = struct.pack(">I", zlib.crc32(name + content))
    return struct.pack(">I", len(content)) + name + content + check


def sheet_of(dataset: Dataset, experiment: Experiment) -> Sheet:
    """Make a sheet of training images of up to ten classes, with augmented versions of some.

    If there are more classes, evenly spaced ones are shown, and so are the images of a class.
    Images that cannot be read are left out. If labels are not classes, rows are not either. Each
    row ends with augmented versions of its first image.

    Args:
        dataset: the data set, after the spec's validation set was set aside.
        experiment: the spec, which says how images are augmented, and with which seed.
    """
    labels = dataset.train_labels
    rows = _places(labels)
    shown = {row: _readable(dataset, places) for row, places in rows.items()}
    shown = {row: images for row, images in shown.items() if len(images)}
    height, width = dataset.train_images.shape[1:3]
    zoom = max(1, -(-_LEAST_SIDE // min(height, width)))
    augment, views = experiment.data.augment, experiment.losses.objective.views
    seen = COLUMNS if augment.changes else 0
    changed = np.zeros((0, len(shown), height, width, dataset.train_images.shape[-1]))
    if seen and shown:
        first: Any = np.stack([_unit(images[0]) for images in shown.values()]).astype(np.float32)
        key = key_data(experiment.seed)
        draws = [
            np.asarray(augmented(augment, views, first, key, step))
            for step in range(-(-seen // views))
        ]
        changed = np.concatenate([draw.reshape(views, *first.shape) for draw in draws])[:seen]
    cells = [
        [*(_cell(image, zoom) for image in images), *[None] * (COLUMNS - len(images))]
        + [_cell(view[index], zoom) for view in changed]
        for index, images in enumerate(shown.values())
    ]
    pixels = _laid_out(cells, (height * zoom, width * zoom), COLUMNS)
    return Sheet(pixels, tuple(shown), COLUMNS, len(changed))


def _places(labels: NDArray[Any]) -> dict[int, NDArray[np.intp]]:
    """The indices of the images of each row, by label; by -1, -2, ... if there are no classes."""
    if labels.ndim == 1:
        present = np.unique(labels[labelled(labels)])
        chosen = present[_spread(len(present), ROWS)]
        members = {int(label): np.flatnonzero(labels == label) for label in chosen}
        return {label: at[_spread(len(at), COLUMNS)] for label, at in members.items()}
    every = _spread(len(labels), ROWS * COLUMNS)
    rows = [every[start : start + COLUMNS] for start in range(0, len(every), COLUMNS)]
    return {-1 - number: row for number, row in enumerate(rows)}


def _spread(count: int, most: int) -> NDArray[np.intp]:
    """Up to `most` evenly spaced numbers from 0 to count - 1."""
    return np.linspace(0, count - 1, min(count, most)).round().astype(np.intp)


def _readable(dataset: Dataset, places: NDArray[np.intp]) -> list[NDArray[Any]]:
    images = []
    for place in places:
        try:
            images.append(np.asarray(dataset.train_images.take(np.array([place]), axis=0))[0])
        except DataError:  # the inspection reports it
            continue
    return images


def _unit(image: NDArray[Any]) -> NDArray[Any]:
    """Pixels in [0, 1]."""
    return image / np.float32(255) if image.dtype == np.uint8 else image


def _cell(image: NDArray[Any], zoom: int) -> NDArray[np.uint8]:
    """An enlarged RGB image; of 2 or more than 4 channels only the first is shown, in grey."""
    channels = image.shape[-1]
    shown = image[..., :3] if channels in (3, 4) else image[..., :1]
    pixels = np.clip(np.round(_unit(shown) * 255), 0, 255).astype(np.uint8)
    colours = np.broadcast_to(pixels, (*pixels.shape[:2], 3))
    return colours.repeat(zoom, 0).repeat(zoom, 1)


def _laid_out(cells: Any, side: tuple[int, int], images: int) -> NDArray[np.uint8]:
    """The cells in a grid, with a wider gap before the augmented views."""
    height, width = side
    columns = max((len(row) for row in cells), default=1)
    wide = (columns * (width + _GAP)) + _GAP + 2 * _GAP * (columns > images)
    sheet = np.full((len(cells) * (height + _GAP) + _GAP, wide, 3), _BACKGROUND, np.uint8)
    for number, row in enumerate(cells):
        top = _GAP + number * (height + _GAP)
        for column, cell in enumerate(row):
            if cell is not None:
                left = _GAP + column * (width + _GAP) + 2 * _GAP * (column >= images)
                sheet[top : top + height, left : left + width] = cell
    return sheet
