"""Files with named arrays and metadata, one class per format."""

import importlib
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from compiler.named_arrays.paths import flatten, unflatten
from fgspec.errors import UserError
from fgspec.errors.extras import extra
from fgspec.training.logbook import replacing

Arrays = Mapping[str, NDArray[Any]]
"""Arrays by names such as `blocks/block0/channel/w`."""

About = Mapping[str, Any]
"""Metadata, as values for JSON."""


class Format(Protocol):
    """A file format for arrays.

    Attributes:
        ending: the ending of file names; empty for a folder.
    """

    ending: str

    def check(self) -> None:
        """Raise if a package that the format needs is not installed.

        Raises:
            UserError: the package is not installed.
        """
        ...

    def write(self, path: Path, arrays: Arrays, about: About) -> None:
        """Write a file; an existing file is replaced in one step.

        Raises:
            UserError: the folder exists, for formats that write a folder.
        """
        ...

    def read(self, path: Path) -> tuple[dict[str, NDArray[Any]], dict[str, Any]]:
        """Read the arrays and the metadata."""
        ...


class Safetensors:
    """The format of Hugging Face's library. Metadata that are not text are stored as JSON."""

    ending = ".safetensors"

    def check(self) -> None:
        """Raise if the package, which is an extra, is not installed."""
        self._package()

    def write(self, path: Path, arrays: Arrays, about: About) -> None:
        """Write one file."""
        texts = {name: v if isinstance(v, str) else json.dumps(v) for name, v in about.items()}
        with replacing(path) as new:
            self._package().numpy.save_file(dict(arrays), new, metadata=texts)

    def read(self, path: Path) -> tuple[dict[str, NDArray[Any]], dict[str, Any]]:
        """Read a file; metadata that are JSON are decoded."""
        with self._package().safe_open(path, framework="numpy") as file:
            texts = file.metadata() or {}
            names = file.keys()
            return {name: file.get_tensor(name) for name in names}, _unpacked(texts)

    def _package(self) -> Any:
        extra("safetensors.numpy", "safetensors>=0.7", "safetensors", "the format safetensors")
        return extra("safetensors", "safetensors>=0.7", "safetensors", "the format safetensors")


class Npz:
    """A NumPy archive; the metadata are JSON in the array `__metadata__`."""

    ending = ".npz"
    about = "__metadata__"

    def check(self) -> None:
        """NumPy is always installed."""

    def write(self, path: Path, arrays: Arrays, about: About) -> None:
        """Write an archive without compression, because weights hardly shrink."""
        with replacing(path) as new, new.open("wb") as file:
            metadata = np.array(json.dumps(about))
            np.savez(file, allow_pickle=False, **{**arrays, self.about: metadata})

    def read(self, path: Path) -> tuple[dict[str, NDArray[Any]], dict[str, Any]]:
        """Read an archive without unpickling anything."""
        with np.load(path, allow_pickle=False) as archive:
            arrays = {name: archive[name] for name in archive.files}
        return arrays, json.loads(str(arrays.pop(self.about)))


class Orbax:
    """An Orbax checkpoint: a folder with the items `parameters`, nested, and `metadata`, JSON."""

    ending = ""

    def check(self) -> None:
        """Orbax is always installed."""

    def write(self, path: Path, arrays: Arrays, about: About) -> None:
        """Write a new folder."""
        if path.exists():
            raise UserError(f"{path}: exists already; choose another folder")
        path.parent.mkdir(parents=True, exist_ok=True)
        ocp = _orbax()
        items = ocp.args.Composite(
            parameters=ocp.args.PyTreeSave(unflatten(arrays)),
            metadata=ocp.args.JsonSave(dict(about)),
        )
        with ocp.Checkpointer(ocp.CompositeCheckpointHandler()) as writer:
            writer.save(path.resolve(), args=items)

    def read(self, path: Path) -> tuple[dict[str, NDArray[Any]], dict[str, Any]]:
        """Read a folder; arrays are NumPy arrays."""
        ocp = _orbax()
        kinds = ocp.args.Composite(
            parameters=ocp.args.PyTreeRestore(), metadata=ocp.args.JsonRestore()
        )
        with ocp.Checkpointer(ocp.CompositeCheckpointHandler()) as reader:
            items = reader.restore(path.resolve(), args=kinds)
        arrays = {name: np.asarray(a) for name, a in flatten(items["parameters"]).items()}
        return arrays, items["metadata"]


def _orbax() -> Any:
    return importlib.import_module("orbax.checkpoint")  # late, because it takes long


FORMATS: dict[str, Format] = {"safetensors": Safetensors(), "npz": Npz(), "orbax": Orbax()}
"""The formats by the name that `--to` takes."""


def _unpacked(texts: Mapping[str, str]) -> dict[str, Any]:
    metadata: dict[str, Any] = {}
    for name, text in texts.items():
        try:
            metadata[name] = json.loads(text)
        except ValueError:
            metadata[name] = text
    return metadata
