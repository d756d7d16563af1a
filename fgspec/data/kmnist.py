"""Kuzushiji-MNIST from its published IDX files."""

from typing import ClassVar

from fgspec.data.idx import IdxSet, IdxSource
from fgspec.data.published import Publication
from fgspec.spec import kmnist
from fgspec.spec.kmnist import KMNIST


class Kmnist(IdxSource, kmnist.Kmnist):
    """The fields of this source, and how its files are read."""

    files: ClassVar = IdxSet(
        Publication(kmnist.Kmnist.title, (kmnist.Kmnist.homepage,), "kmnist"),
        KMNIST,
        made=("KMNIST/raw", "raw"),
        # The digests are those of torchvision (torchvision/datasets/mnist.py).
        packed_md5={
            "train-images-idx3-ubyte": "bdb82020997e1d708af4cf47b453dcf7",
            "train-labels-idx1-ubyte": "e144d726b3acfaa3e44228e80efcd344",
            "t10k-images-idx3-ubyte": "5c965bf0a639b31b8f53240b1b52f4d7",
            "t10k-labels-idx1-ubyte": "7320c461ea6c1c855c0b718fb2a4b134",
        },
        names=("o", "ki", "su", "tsu", "na", "ha", "ma", "ya", "re", "wo"),
    )
