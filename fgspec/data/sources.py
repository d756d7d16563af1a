"""Reading a data set: one row a source."""

from collections.abc import Callable, Mapping
from typing import Any

from fgspec.data.cifar10 import read_cifar10
from fgspec.data.dataset import Dataset
from fgspec.data.describe import Search
from fgspec.data.digits import read_digits
from fgspec.data.image_folder import read_image_folder
from fgspec.data.imagenet import read_imagenet
from fgspec.data.mnist import read_mnist
from fgspec.data.npz import read_npz
from fgspec.data.synthetic import make_synthetic
from fgspec.spec.data import Source

__all__ = ["Dataset", "read"]

_READERS: Mapping[str, Callable[[Any, Search], Dataset]] = {
    "digits": lambda source, search: read_digits(),
    "mnist": read_mnist,
    "cifar10": read_cifar10,
    "imagenet": read_imagenet,
    "image_folder": read_image_folder,
    "npz": read_npz,
    "synthetic": lambda source, search: make_synthetic(source),
}


def read(source: Source, search: Search = None) -> Dataset:
    """Reads all labels of a source into memory, and all images but those of files.

    Args:
        source: the source as the spec gives it.
        search: folders in which a relative path is looked for; None means the current directory,
            then $FGSPEC_DATA.

    Raises:
        DataError: a file is missing, damaged or not what the source says it is.
        UserError: the source needs a package that is not installed.
    """
    return _READERS[source.type](source, search)
