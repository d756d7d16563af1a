"""MNIST from its published IDX files."""

from typing import ClassVar

from fgspec.data.idx import IdxSet, IdxSource
from fgspec.data.published import Publication
from fgspec.spec import sources
from fgspec.spec.sources import MNIST


class Mnist(IdxSource, sources.Mnist):
    """The fields of this source, and how its files are read."""

    files: ClassVar = IdxSet(
        Publication(
            sources.Mnist.title,
            ("http://yann.lecun.com/exdb/mnist", "https://ossci-datasets.s3.amazonaws.com/mnist/"),
            "mnist",
        ),
        MNIST,
        made=("MNIST/raw", "raw"),
        # These are the digests of the unpacked files. The same files are distributed gzipped in
        # more than one way, so digests of .gz files would refuse intact ones.
        md5={
            "train-images-idx3-ubyte": "6bbc9ace898e44ae57da46a324031adb",
            "train-labels-idx1-ubyte": "a25bea736e30d166cdddb491f175f624",
            "t10k-images-idx3-ubyte": "2646ac647ad5339dbf082846283269ea",
            "t10k-labels-idx1-ubyte": "27ae3e4e09519cfbb04c329615203637",
        },
    )
