"""Pictures of anywhere as images of the kind that a model was trained with, where that is safe."""

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
"""The array of an archive that is read: the first of these. Data sets have the second."""


class Pictures:
    """Picture files as images [N, height, width, channels], uint8, decoded when they are taken.

    Where the source of the model's data resizes pictures, these are treated alike. Elsewhere nobody
    knows how a picture became an image: it must have the size, and the colours that can be had
    without loss.

    Args:
        files: N of them.
        shape: height, width, channels.
        resizes: whether the source resizes pictures.

    Raises:
        UserError: Pillow is not installed.
        DataError: from `take`: a file is damaged, or cannot be made an image of that shape.
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
        """The images at these places; `axis` must be 0."""
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
            raise Unfit("parts of it are transparent", "save it on the background of the others")
        image = image.convert("RGBA")
    pixels = np.asarray(image.convert("RGB"))
    if channels == 3:
        return pixels
    if channels == 1:
        if (pixels == pixels[..., :1]).all():
            return pixels[..., :1]
        raise Unfit("it has colours, the run's images are grey", "save it in grey as those were")
    raise Unfit(
        f"the run's images have {channels} channels, which no picture has",
        f"give them as an {ARCHIVE} archive with the array {IMAGES[0]}",
    )


@dataclass(frozen=True)
class Given:
    """Images, and where each comes from: its file, and its place in an archive."""

    images: Images
    names: list[tuple[Path, int | None]]


def given(paths: Sequence[Path], source: Source, shape: tuple[int, int, int]) -> Iterator[Given]:
    """Images from pictures, folders of pictures and archives, in order.

    Of an archive the first array of `IMAGES` is read. Folders are searched with all that is below
    them, but for what is hidden; by name.

    Args:
        paths: of them.
        source: of the model's data.
        shape: height, width, channels of its images.

    Raises:
        UserError: a path is missing or something else, or a folder holds no picture.
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
        found = sorted(
            file
            for file in path.rglob("*")
            if file.suffix.lower() in ENDINGS
            and file.is_file()
            and not any(part.startswith(".") for part in file.relative_to(path).parts)
        )
        if not found:
            raise UserError(f"{path}: holds no picture ({', '.join(ENDINGS)})")
        return found
    if not path.is_file():
        raise UserError(f"{path}: no such file or folder; correct the path")
    if path.suffix.lower() not in ENDINGS:
        raise UserError(f"{path}: is no picture and no archive; must end in {kinds}")
    return [path]
