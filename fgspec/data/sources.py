"""Reads a data set."""

from fgspec.data.dataset import Dataset
from fgspec.spec.kinds import working
from fgspec.spec.sources import Search, Source

__all__ = ["Dataset", "read"]


def read(source: Source, search: Search = None) -> Dataset:
    """Read all labels of a source into memory, and all images that are not in files of their own.

    Args:
        source: the source as the spec gives it.
        search: the folders in which a relative path is looked for; None means the current
            directory, then $FGSPEC_DATA.

    Raises:
        DataError: a file is missing, damaged or not the published one.
        UserError: the source needs a package that is not installed.
    """
    return working(source).read(search)
