"""Checks published data files, and makes the errors that say where to get intact ones."""

import hashlib
import tarfile
import zlib
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import cast

import numpy as np
from numpy.typing import NDArray

from fgspec.data.dataset import Dataset
from fgspec.data.moments import moments
from fgspec.data.places import DATA_VARIABLE, listed
from fgspec.errors import DataError, UserError
from fgspec.spec.dataset_info import DatasetInfo
from fgspec.spec.kinds import working_class
from fgspec.spec.sources import SOURCES, Source

_ROUNDED = 2e-4
"""How much a mean may differ from the published one, which is rounded to four digits."""


@dataclass(frozen=True)
class Publication:
    """A published data set.

    Attributes:
        title: its name in messages.
        pages: the web pages to get it from.
        source: the type of `data.source` that reads it.
    """

    title: str
    pages: tuple[str, ...]
    source: str = ""

    @property
    def remedy(self) -> str:
        """Where to get the files, as part of an error message."""
        return f"download it from {' or '.join(self.pages)}"

    def advice(self, places: Sequence[Path]) -> str:
        """What to do about missing or wrong files, as part of an error message.

        Args:
            places: folders or archives. If they hold another published data set, the message says
                so first.
        """
        return f"{other_set(self.source, places)}{self.remedy}"


def other_set(source: str, places: Sequence[Path]) -> str:
    """Says if these places hold another published data set, and how to read that one.

    The text ends in `; `. It is empty if no installed source recognizes the files.

    Args:
        source: the type of `data.source` that was asked to read the files.
        places: folders or archives.
    """
    others: dict[str, type[Source]] = {}
    for name in SOURCES.names():
        with suppress(UserError):  # a package that cannot be imported is not needed here
            others[name] = working_class(cast(type[Source], SOURCES.kind(name)))
    asked = others.pop(source, None)
    for place in places:
        # A folder may hold several sets. If it has files of this one, they are damaged, and it is
        # not mistaken for another set.
        if asked is not None and _recognizes(asked, place):
            continue
        for name, kind in others.items():
            if _recognizes(kind, place):
                return f"{place} holds the files of {kind.title}: set data.source: {name}; "
    return ""


def _recognizes(kind: type[Source], place: Path) -> bool:
    with suppress(OSError):  # a folder that cannot be listed
        return kind.recognizes(place)
    return False


def _expected(checksum: str | None) -> str:
    return f" (expected md5 {checksum})" if checksum else ""


def missing(
    publication: Publication, file: str, looked_in: Sequence[Path], checksum: str | None
) -> DataError:
    """The error for a file that was not found.

    Args:
        publication: the data set.
        file: the name of the file.
        looked_in: the places in which it was looked for.
        checksum: its published MD5 digest, if there is one.
    """
    return DataError(
        f"data.source: {file} of {publication.title} was not found; looked in "
        f"{listed(looked_in)}; {publication.advice(looked_in)}"
        f"{_expected(checksum)} and put it there, or name its place in data.source.path or "
        f"${DATA_VARIABLE}"
    )


@contextmanager
def damage_reported(publication: Publication, file: Path, checksum: str | None) -> Iterator[None]:
    """Turn errors of reading or decoding `file` into a DataError that names it.

    Raises:
        DataError: the file is damaged or cannot be read.
    """
    try:
        yield
    except (OSError, EOFError, ValueError, MemoryError, zlib.error, tarfile.TarError) as error:
        reason = " ".join(str(error).split()) or "it needs more memory than there is"
        raise DataError(
            f"data.source: {file} is not an intact file of {publication.title}: {reason}; "
            f"{publication.advice([file.parent])}{_expected(checksum)}"
        ) from error


def check_md5(publication: Publication, file: Path, content: bytes, md5: str) -> None:
    """Compare the MD5 digest of `content`, which was read from `file`, with the published one.

    Raises:
        DataError: they differ.
    """
    found = hashlib.md5(content, usedforsecurity=False).hexdigest()
    if found != md5:
        raise DataError(
            f"data.source: the content of {file} has md5 {found}, expected {md5}; "
            f"{publication.advice([file.parent])}, or accept the file as it is with "
            "data.source.verify: false"
        )


def check_counts(
    publication: Publication, place: Path, dataset: Dataset, info: DatasetInfo
) -> None:
    """Compare the numbers of examples with the published ones.

    Raises:
        DataError: they differ.
    """
    found = len(dataset.train_labels), len(dataset.test_labels)
    expected = info.train_examples, info.test_examples
    if found != expected:
        raise DataError(
            f"data.source: {place} holds {found[0]} training and {found[1]} test examples, "
            f"expected {expected[0]} and {expected[1]}; {publication.advice([place])}, or "
            "accept the files as they are with data.source.verify: false"
        )


def check_mean(
    publication: Publication, place: Path, images: NDArray[np.uint8], info: DatasetInfo
) -> None:
    """Compare the mean of the training images with the published one, if no digest is known.

    Raises:
        DataError: the difference cannot be explained by the rounding of the published mean.
    """
    found = moments(images)[0]
    if not is_mean_of(found, info):
        shown = [", ".join(f"{value:.4f}" for value in mean) for mean in (found, info.mean)]
        raise DataError(
            f"data.source: the training images of {place} have the mean {shown[0]}, but those of "
            f"{publication.title} have {shown[1]}; {publication.advice([place])}, or "
            "accept the files as they are with data.source.verify: false"
        )


def is_mean_of(mean: Sequence[float], info: DatasetInfo) -> bool:
    """Whether a mean per channel equals that of a published set, rounded to four digits."""
    return bool(np.abs(np.subtract(mean, info.mean)).max() < _ROUNDED)
