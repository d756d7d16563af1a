"""MNIST from its published IDX files."""

from typing import ClassVar

from fgspec.data.idx import IdxSet, IdxSource
from fgspec.data.published import Publication
from fgspec.spec import sources
from fgspec.spec.sources import MNIST


class Mnist(IdxSource, sources.Mnist):
    """The section with how its files are read."""

    files: ClassVar = IdxSet(
        Publication(
            sources.Mnist.title,
            ("http://yann.lecun.com/exdb/mnist", "https://ossci-datasets.s3.amazonaws.com/mnist/"),
            "mnist",
        ),
        MNIST,
        made=("MNIST/raw", "raw"),
        # Of the unpacked files: the same bytes are in circulation gzipped in more than one way, so
        # the md5 of a .gz file says less.
        md5={
            "train-images-idx3-ubyte": "6bbc9ace898e44ae57da46a324031adb",
            "train-labels-idx1-ubyte": "a25bea736e30d166cdddb491f175f624",
            "t10k-images-idx3-ubyte": "2646ac647ad5339dbf082846283269ea",
            "t10k-labels-idx1-ubyte": "27ae3e4e09519cfbb04c329615203637",
        },
    )
