"""What is said and checked of data files that others publish: origin, damage, checksum."""

import hashlib
import tarfile
import zlib
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from fgspec.data.dataset import Dataset
from fgspec.data.places import DATA_VARIABLE, listed
from fgspec.errors import DataError
from fgspec.spec.dataset_info import DatasetInfo


@dataclass(frozen=True)
class Publication:
    """A published data set: its name for people and the pages to get it from."""

    title: str
    pages: tuple[str, ...]

    @property
    def remedy(self) -> str:
        """Where to get the files, as part of an error."""
        return f"download it from {' or '.join(self.pages)}"


def _expected(checksum: str | None) -> str:
    return f" (expected md5 {checksum})" if checksum else ""


def missing(
    publication: Publication, file: str, looked_in: Sequence[Path], checksum: str | None
) -> DataError:
    """The error for a file that is nowhere; `checksum` is its published md5, if there is one."""
    return DataError(
        f"data.source: {file} of {publication.title} was not found; looked in "
        f"{listed(looked_in)}; {publication.remedy}{_expected(checksum)} and put it there, or "
        f"name its place in data.source.path or ${DATA_VARIABLE}"
    )


@contextmanager
def damage_reported(publication: Publication, file: Path, checksum: str | None) -> Iterator[None]:
    """Turns what reading or decoding `file` raises into a DataError that names it.

    Raises:
        DataError: the body raised one of the errors of damaged or unreadable files.
    """
    try:
        yield
    except (OSError, EOFError, ValueError, MemoryError, zlib.error, tarfile.TarError) as error:
        reason = " ".join(str(error).split()) or "it needs more memory than there is"
        raise DataError(
            f"data.source: {file} is no intact file of {publication.title}: {reason}; "
            f"{publication.remedy}{_expected(checksum)}"
        ) from error


def check_md5(publication: Publication, file: Path, content: bytes, md5: str) -> None:
    """Compares the checksum of `content`, which came from `file`, with the published one.

    Raises:
        DataError: they differ.
    """
    found = hashlib.md5(content, usedforsecurity=False).hexdigest()
    if found != md5:
        raise DataError(
            f"data.source: the content of {file} has md5 {found}, expected {md5}; "
            f"{publication.remedy}, or accept the file as it is with data.source.verify: false"
        )


def check_counts(
    publication: Publication, place: Path, dataset: Dataset, info: DatasetInfo
) -> None:
    """Compares the numbers of examples with the published ones.

    Raises:
        DataError: they differ.
    """
    found = len(dataset.train_labels), len(dataset.test_labels)
    expected = info.train_examples, info.test_examples
    if found != expected:
        raise DataError(
            f"data.source: {place} holds {found[0]} training and {found[1]} test examples, "
            f"expected {expected[0]} and {expected[1]}; {publication.remedy}, or accept the files "
            "as they are with data.source.verify: false"
        )
