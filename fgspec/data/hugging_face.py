"""Reads data sets that Hugging Face `datasets` saved to a folder; needs pyarrow and Pillow."""

import importlib
import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray

from fgspec.data.encoded_images import Records, png
from fgspec.data.places import folder_at, is_file
from fgspec.data.splits import Split, SplitSource, identity_of, locating, mapping_in
from fgspec.errors import DataError, UserError
from fgspec.spec import hugging_face
from fgspec.spec.dataset_info import UNLABELLED
from fgspec.spec.sources import Search

_INFO, _STATE, _SPLITS = "dataset_info.json", "state.json", "dataset_dict.json"
_SAVE = "save it again with dataset.save_to_disk(PATH)"


class HuggingFace(SplitSource, hugging_face.HuggingFace):
    """The fields of this source, and how its files are read."""

    def splits(self, search: Search) -> tuple[Split, Split]:
        """See the base; needs pyarrow and Pillow."""
        arrow()
        root = self._located(search)
        return self._split(root, "train"), self._split(root, "test")

    @classmethod
    def example(cls, folder: Path) -> Self:
        """Write 12 training and 6 test images of noise, as PNG, of three classes."""
        random = np.random.default_rng(0)
        for split, examples in (("train", 12), ("test", 6)):
            images = random.integers(0, 256, (examples, 8, 8, 3), np.uint8)
            write_split(folder / split, images, np.arange(examples) % 3, ("a", "b", "c"))
        (folder / _SPLITS).write_text(json.dumps({"splits": ["train", "test"]}))
        return cls(path=str(folder))

    def _located(self, search: Search) -> Path:
        root = folder_at(self.path, search)
        if is_file(root / _STATE) and not is_file(root / _SPLITS):
            raise DataError(
                f"data.source.path: {root} holds a single split; save all splits together with "
                "datasets.DatasetDict(train=..., test=...).save_to_disk(PATH)"
            )
        return root

    def _split(self, root: Path, field: str) -> Split:
        name = getattr(self, field)
        folder = root / name
        if not is_file(folder / _STATE):
            there = sorted(file.parent.name for file in root.glob(f"*/{_STATE}"))
            raise DataError(
                f"data.source.{field}: {root} has no split {name} that `datasets` saved; the "
                f"splits there: {', '.join(there) or 'none'}"
            )
        features = mapping_in(folder / _INFO, _SAVE).get("features")
        state = mapping_in(folder / _STATE, _SAVE)
        if not isinstance(features, dict):
            raise DataError(f"data.source: {folder / _INFO} names no features; {_SAVE}")
        for column in ("image", "label"):
            if getattr(self, column) not in features:
                raise DataError(
                    f"data.source.{column}: {folder} has no column {getattr(self, column)}; the "
                    f"columns there: {', '.join(features) or 'none'}"
                )
        kind = features[self.image].get("_type")
        if kind != "Image":
            raise DataError(
                f"data.source.image: the column {self.image} of {folder} has the type {kind}, "
                "expected Image; cast it with dataset.cast_column(COLUMN, datasets.Image()) and "
                "save the data set again"
            )
        names = features[self.label].get("names") or ()
        try:
            files = [folder / file["filename"] for file in state["_data_files"]]
            # Older versions stored a selection and an order of the rows in separate files.
            if not files or any(state[name] for name in state if name.startswith("_indices")):
                raise ValueError("it selects some rows of its files")
        except (KeyError, TypeError, ValueError) as error:
            raise DataError(
                f"data.source: {folder / _STATE} does not list the files of the split; {_SAVE}"
            ) from error
        return _opened(folder, files, self.image, self.label, tuple(map(str, names)))


def arrow() -> Any:
    """The package pyarrow.

    Raises:
        UserError: it is not installed.
    """
    # pyarrow is the only package that reads these files besides `datasets`, which would bring forty
    # other packages, and downloads data. It is released each quarter, with wheels for every
    # platform.
    try:
        importlib.import_module("pyarrow.ipc")
        return importlib.import_module("pyarrow")
    except ImportError:
        raise UserError(
            "data.source: reading what Hugging Face `datasets` saved needs pyarrow, which is not "
            'installed; run pip install "pyarrow>=21.0", or install fgspec with its extra '
            "`hugging_face`"
        ) from None


def _opened(
    folder: Path, files: Sequence[Path], image: str, label: str, names: tuple[str, ...]
) -> Split:
    """Read the labels of a split, and open its images, which are decoded later.

    Raises:
        DataError: a file is missing or damaged, or a column has the wrong type.
    """
    encoded: list[Any] = []
    labels: list[NDArray[np.int64]] = []
    rows, owners = list[int](), list[Path]()
    for file in files:
        for batch in _batches(file):
            try:
                encoded.append(_encoded(batch, image))
                labels.append(_labels(batch, label))
            except (ValueError, KeyError, TypeError) as error:
                raise _damaged(file, error) from error
            owners.append(file)
            rows.append(batch.num_rows)
    if not sum(rows):
        raise DataError(f"data.source: {folder} holds no examples; {_SAVE}")
    place_of = locating(rows)

    def read(place: int) -> bytes:
        number, row = place_of(place)
        content = encoded[number][row].as_py()
        if content is None:
            raise ValueError(f"its image is stored outside of the file; {_SAVE}")
        return content

    def where(place: int) -> str:
        return f"row {place:,} of {folder} (in {owners[place_of(place)[0]].name})"

    records = Records(read, where, identity_of(files))
    return Split(str(folder), records, np.concatenate(labels), names)


def _batches(file: Path) -> list[Any]:
    """The record batches of a file; their data stay on disk until a row is taken."""
    ipc, pa = arrow().ipc, arrow()
    if not is_file(file):
        raise DataError(f"data.source: {file} was not found; {_SAVE}")
    try:
        # `datasets` writes Arrow's stream format. Other files named .arrow have an index.
        with ipc.open_stream(pa.memory_map(str(file))) as reader:
            return list(reader)
    except (pa.ArrowException, OSError, ValueError) as error:
        raise _damaged(file, error) from error


def _damaged(file: Path, error: Exception) -> DataError:
    reason = " ".join(str(error).split()) or type(error).__name__
    return DataError(
        f"data.source: {file} is not an intact file of a saved split: {reason}; {_SAVE}"
    )


def _encoded(batch: Any, name: str) -> Any:
    """The encoded images of a batch of rows."""
    column = batch.column(name)
    # Without this check, offsets of a damaged file could point outside of its buffers.
    column.validate(full=True)
    pa = arrow()
    if not pa.types.is_struct(column.type) or column.type.get_field_index("bytes") < 0:
        raise ValueError(
            f"its column {name} has the type {column.type}, expected a struct with bytes"
        )
    return column.field("bytes")


def _labels(batch: Any, name: str) -> NDArray[np.int64]:
    column = batch.column(name)
    column.validate(full=True)
    if not arrow().types.is_integer(column.type):
        raise ValueError(f"its column {name} has the type {column.type}, expected integers")
    return column.fill_null(UNLABELLED).to_numpy(zero_copy_only=False).astype(np.int64)


def write_split(
    folder: Path, images: NDArray[np.uint8], labels: NDArray[np.integer], names: Sequence[str]
) -> None:
    """Write a split as `save_to_disk` does, for tests.

    Raises:
        UserError: pyarrow or Pillow is not installed.
    """
    pa = arrow()
    folder.mkdir(parents=True)
    rows = {
        "image": [{"bytes": png(pixels), "path": None} for pixels in images],
        "label": [int(label) for label in labels],
    }
    kinds = pa.struct({"bytes": pa.binary(), "path": pa.string()}), pa.int64()
    table = pa.table(rows, pa.schema(dict(zip(rows, kinds, strict=True))))
    file = "data-00000-of-00001.arrow"
    with pa.OSFile(str(folder / file), "wb") as sink, pa.ipc.new_stream(sink, table.schema) as out:
        out.write_table(table, max_chunksize=5)
    features = {
        "image": {"_type": "Image"},
        "label": {"names": list(names), "_type": "ClassLabel"},
    }
    (folder / _INFO).write_text(json.dumps({"features": features}))
    (folder / _STATE).write_text(json.dumps({"_data_files": [{"filename": file}]}))
