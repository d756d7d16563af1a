"""Reading a data set: one row a source."""

from collections.abc import Callable, Mapping
from typing import Any

from fgspec.data.cifar10 import read_cifar10
from fgspec.data.dataset import Dataset
from fgspec.data.describe import Search
from fgspec.data.digits import read_digits
from fgspec.data.mnist import read_mnist
from fgspec.data.npz import read_npz
from fgspec.data.synthetic import make_synthetic
from fgspec.spec.data import Source

__all__ = ["Dataset", "read"]

_READERS: Mapping[str, Callable[[Any, Search], Dataset]] = {
    "digits": lambda source, search: read_digits(),
    "mnist": read_mnist,
    "cifar10": read_cifar10,
    "npz": read_npz,
    "synthetic": lambda source, search: make_synthetic(source),
}


def read(source: Source, search: Search = None) -> Dataset:
    """Reads all images and labels of a source into memory.

    Args:
        source: the source as the spec gives it.
        search: folders in which a relative path is looked for; None means the current directory,
            then $FGSPEC_DATA.

    Raises:
        DataError: a file is missing, damaged or not what the source says it is.
    """
    return _READERS[source.type](source, search)
