"""Describes a data set for a plan, without reading its images where that is possible."""

from fgspec.spec.dataset_info import DatasetInfo
from fgspec.spec.kinds import working
from fgspec.spec.sources import Search, Source


def describe(source: Source, search: Search = None) -> DatasetInfo:
    """Describe a data set.

    Args:
        source: the source as the spec gives it.
        search: the folders in which a relative path is looked for; None means the current
            directory, then $FGSPEC_DATA.

    Raises:
        DataError: files that must be read for the description are missing or damaged.
        UserError: the source needs a package that is not installed.
    """
    return working(source).describe(search)
