"""Files that hold arrays by name and what is known of them: one class a format."""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Protocol

import numpy as np
import orbax.checkpoint as ocp
from numpy.typing import NDArray

from compiler.named_arrays.paths import flatten, unflatten
from fgspec.errors import UserError
from fgspec.errors.extras import extra
from fgspec.training.logbook import replacing

Arrays = Mapping[str, NDArray[Any]]
"""Arrays by names such as `blocks/block0/channel/w`."""

About = Mapping[str, Any]
"""What is known of the arrays, as JSON knows it."""


class Format(Protocol):
    """How arrays lie in a file.

    Attributes:
        ending: of the names of such files; empty for a folder.
    """

    ending: str

    def check(self) -> None:
        """Raise unless what it needs is installed.

        Raises:
            UserError: it is not.
        """
        ...

    def write(self, path: Path, arrays: Arrays, about: About) -> None:
        """Write a file; one that is there is replaced at once.

        Raises:
            UserError: a folder is there already.
        """
        ...

    def read(self, path: Path) -> tuple[dict[str, NDArray[Any]], dict[str, Any]]:
        """What was written."""
        ...


class Safetensors:
    """The format of Hugging Face's library; its metadata are texts, JSON where they have parts."""

    ending = ".safetensors"

    def check(self) -> None:
        """The package is an extra."""
        self._package()

    def write(self, path: Path, arrays: Arrays, about: About) -> None:
        """All in one file."""
        texts = {name: v if isinstance(v, str) else json.dumps(v) for name, v in about.items()}
        with replacing(path) as new:
            self._package().numpy.save_file(dict(arrays), new, metadata=texts)

    def read(self, path: Path) -> tuple[dict[str, NDArray[Any]], dict[str, Any]]:
        """Texts that are JSON become what they stand for."""
        with self._package().safe_open(path, framework="numpy") as file:
            texts = file.metadata() or {}
            names = file.keys()
            return {name: file.get_tensor(name) for name in names}, _unpacked(texts)

    def _package(self) -> Any:
        extra("safetensors.numpy", "safetensors>=0.7", "safetensors", "the format safetensors")
        return extra("safetensors", "safetensors>=0.7", "safetensors", "the format safetensors")


class Npz:
    """A NumPy archive; what is known of the arrays is JSON in the array `__metadata__`."""

    ending = ".npz"
    about = "__metadata__"

    def check(self) -> None:
        """NumPy is always there."""

    def write(self, path: Path, arrays: Arrays, about: About) -> None:
        """Not compressed, as weights do not shrink."""
        with replacing(path) as new, new.open("wb") as file:
            told = np.array(json.dumps(about))
            np.savez(file, allow_pickle=False, **{**arrays, self.about: told})

    def read(self, path: Path) -> tuple[dict[str, NDArray[Any]], dict[str, Any]]:
        """Nothing is unpickled."""
        with np.load(path, allow_pickle=False) as archive:
            arrays = {name: archive[name] for name in archive.files}
        return arrays, json.loads(str(arrays.pop(self.about)))


class Orbax:
    """A folder with the items `parameters`, nested, and `metadata`, JSON."""

    ending = ""

    def check(self) -> None:
        """Orbax is always there."""

    def write(self, path: Path, arrays: Arrays, about: About) -> None:
        """A new folder."""
        if path.exists():
            raise UserError(f"{path}: is there already; choose another folder")
        path.parent.mkdir(parents=True, exist_ok=True)
        items = ocp.args.Composite(
            parameters=ocp.args.PyTreeSave(unflatten(arrays)),
            metadata=ocp.args.JsonSave(dict(about)),
        )
        with ocp.Checkpointer(ocp.CompositeCheckpointHandler()) as writer:
            writer.save(path.resolve(), args=items)

    def read(self, path: Path) -> tuple[dict[str, NDArray[Any]], dict[str, Any]]:
        """As arrays on the host."""
        kinds = ocp.args.Composite(
            parameters=ocp.args.PyTreeRestore(), metadata=ocp.args.JsonRestore()
        )
        with ocp.Checkpointer(ocp.CompositeCheckpointHandler()) as reader:
            found = reader.restore(path.resolve(), args=kinds)
        arrays = {name: np.asarray(a) for name, a in flatten(found["parameters"]).items()}
        return arrays, found["metadata"]


FORMATS: dict[str, Format] = {"safetensors": Safetensors(), "npz": Npz(), "orbax": Orbax()}
"""By the name that `--to` takes."""


def _unpacked(texts: Mapping[str, str]) -> dict[str, Any]:
    found: dict[str, Any] = {}
    for name, text in texts.items():
        try:
            found[name] = json.loads(text)
        except ValueError:
            found[name] = text
    return found
