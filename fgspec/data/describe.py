"""What a plan needs to know of a data set, as far as possible without reading it."""

from fgspec.spec.dataset_info import DatasetInfo
from fgspec.spec.kinds import working
from fgspec.spec.sources import Search, Source


def describe(source: Source, search: Search = None) -> DatasetInfo:
    """Describe a data set.

    Args:
        source: the source as the spec gives it.
        search: folders in which a relative path is looked for; None means the current directory,
            then $FGSPEC_DATA.

    Raises:
        DataError: files that must be read for it are missing or not what they should be.
        UserError: the source needs a package that is not installed.
    """
    return working(source).describe(search)
