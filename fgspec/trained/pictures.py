"""Turns picture files into images like those that a model was trained with, where that is safe."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fgspec.data.dataset import Images
from fgspec.data.image_files import ENDINGS, Unfit, central_square, decoded, imaging, side_by_side
from fgspec.data.npz import images_in
from fgspec.errors import DataError, UserError
from fgspec.spec.sources import Source

ARCHIVE = ".npz"
IMAGES = ("images", "test_images")
"""The array of an archive that is read is the first of these. Data sets have the second."""


class Pictures:
    """Picture files as images [N, height, width, channels], uint8, decoded when they are taken.

    If the source of the model's data resizes pictures, these are resized in the same way. Otherwise
    it is unknown how images were made from pictures. Then a picture must have the right size, and
    colours that can be converted without loss.

    Args:
        files: the N files.
        shape: height, width and channels of the images.
        resizes: whether the source resizes pictures.

    Raises:
        UserError: Pillow is not installed.
        DataError: `take` raises it if a file is damaged, or cannot become an image of this shape.
    """

    dtype = np.dtype(np.uint8)

    def __init__(self, files: Sequence[Path], shape: tuple[int, int, int], resizes: bool) -> None:
        imaging()
        self._files = files
        self._per_image = shape
        self._resizes = resizes
        self._pixels = (
            partial(central_square, size=shape[0]) if resizes else partial(_exact, shape=shape)
        )

    @property
    def shape(self) -> tuple[int, int, int, int]:
        """N, height, width (pixels), channels."""
        return (len(self._files), *self._per_image)

    def __len__(self) -> int:
        """The number of pictures."""
        return len(self._files)

    def take(self, indices: NDArray[np.integer], /, axis: int) -> NDArray[np.uint8]:
        """The images with these indices; `axis` must be 0."""
        if axis != 0:
            raise ValueError(f"images are taken along axis 0, not {axis}")
        return side_by_side(lambda place: self._image(self._files[place]), indices, self.shape)

    def __getitem__(self, part: slice, /) -> "Pictures":
        """A range of the pictures; none of them is decoded."""
        return Pictures(self._files[part], self._per_image, self._resizes)

    def _image(self, file: Path) -> NDArray[np.uint8]:
        try:
            return decoded(file, self._pixels)
        except Unfit as fault:
            raise DataError(f"{file}: cannot be used: {fault}; {fault.remedy}") from fault


def _exact(image: Any, shape: tuple[int, int, int]) -> NDArray[np.uint8]:
    """The pixels of a picture that is of that shape already.

    Raises:
        Unfit: it is not.
    """
    height, width, channels = shape
    if image.size != (width, height):
        raise Unfit(
            f"it is {image.size[0]}x{image.size[1]} pixels (width x height), the run's images are "
            f"{width}x{height}",
            "scale it as those were scaled",
        )
    if "A" in image.getbands() or "transparency" in image.info:
        if image.convert("RGBA").getchannel("A").getextrema()[0] < 255:
            raise Unfit(
                "parts of it are transparent", "save it with the background of the run's images"
            )
        image = image.convert("RGBA")
    pixels = np.asarray(image.convert("RGB"))
    if channels == 3:
        return pixels
    if channels == 1:
        if (pixels == pixels[..., :1]).all():
            return pixels[..., :1]
        raise Unfit(
            "it has colours, but the run's images are grey", "convert it to grey as those were"
        )
    raise Unfit(
        f"the run's images have {channels} channels, but pictures have 1 or 3",
        f"give the images as an {ARCHIVE} archive with the array {IMAGES[0]}",
    )


@dataclass(frozen=True)
class Given:
    """Images, and where each comes from: its file, and its index in an archive."""

    images: Images
    names: list[tuple[Path, int | None]]


def given(paths: Sequence[Path], source: Source, shape: tuple[int, int, int]) -> Iterator[Given]:
    """Read images from pictures, folders of pictures and archives, in order.

    From an archive the first array of `IMAGES` is read. Folders are searched with their subfolders
    in the order of names, without hidden files.

    Args:
        paths: the pictures, folders and archives.
        source: the source of the model's data.
        shape: height, width and channels of the model's images.

    Raises:
        UserError: a path is missing or of another kind, or a folder has no pictures.
        DataError: an archive is damaged.
    """
    pictures: list[Path] = []
    for path in paths:
        if path.suffix.lower() != ARCHIVE or path.is_dir():
            pictures += _pictures(path)
            continue
        yield from _of(pictures, source, shape)
        pictures = []
        if not path.is_file():
            raise UserError(f"{path}: no such file; correct the path")
        images = images_in(path, IMAGES)
        yield Given(images, [(path, place) for place in range(len(images))])
    yield from _of(pictures, source, shape)


def _of(files: list[Path], source: Source, shape: tuple[int, int, int]) -> Iterator[Given]:
    if files:
        yield Given(Pictures(files, shape, source.resizes), [(file, None) for file in files])


def _pictures(path: Path) -> list[Path]:
    kinds = ", ".join((*ENDINGS, ARCHIVE))
    if path.is_dir():
        files = sorted(
            file
            for file in path.rglob("*")
            if file.suffix.lower() in ENDINGS
            and file.is_file()
            and not any(part.startswith(".") for part in file.relative_to(path).parts)
        )
        if not files:
            raise UserError(f"{path}: has no pictures ({', '.join(ENDINGS)}); give another folder")
        return files
    if not path.is_file():
        raise UserError(f"{path}: no such file or folder; correct the path")
    if path.suffix.lower() not in ENDINGS:
        raise UserError(f"{path}: is neither a picture nor an archive; must end in {kinds}")
    return [path]
