"""Reads data that TensorFlow Datasets prepared as ArrayRecord; needs array_record and Pillow."""

import importlib
import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray

from fgspec.data.encoded_images import Records, png
from fgspec.data.example_records import make_example, parse_example
from fgspec.data.places import folder_at, is_file
from fgspec.data.splits import Split, SplitSource, identity_of, locating, mapping_in
from fgspec.errors import DataError, UserError
from fgspec.spec import tfds
from fgspec.spec.sources import Search

_INFO, _FEATURES = "dataset_info.json", "features.json"
_FORMAT = "array_record"
_TEMPLATE = "{DATASET}-{SPLIT}.{FILEFORMAT}-{SHARD_X_OF_Y}"
_PREPARE = "prepare it again with tfds build NAME --file_format=array_record"
_DEPTH = 3
"""Levels of folders below the data folder of TFDS: name, configuration and version."""
_CHUNK = 1024
"""How many records are read at a time to get their labels."""
_RAISED = (ValueError, OSError, RuntimeError, IndexError)
"""The exceptions that reading a damaged file raises."""


class Tfds(SplitSource, tfds.Tfds):
    """The fields of this source, and how its files are read."""

    def splits(self, search: Search) -> tuple[Split, Split]:
        """See the base; needs array_record and Pillow."""
        array_record()
        root = self._located(search)
        info, classes = mapping_in(root / _INFO, _PREPARE), self._classes(root)
        if (prepared := info.get("fileFormat")) != _FORMAT:
            raise DataError(
                f"data.source.path: {root} was prepared as {prepared}, expected {_FORMAT}; "
                f"{_PREPARE}"
            )
        names = _names(root / f"{self.label}.labels.txt", classes)

        def split(field: str) -> Split:
            records, labels = _opened(*self._files(root, info, field), self.image, self.label)
            where = f"the split {getattr(self, field)} of {root}"
            return Split(where, records, labels, names, classes)

        return split("train"), split("test")

    @classmethod
    def example(cls, folder: Path) -> Self:
        """Write 12 training and 6 test images of noise, as PNG, of three classes."""
        random = np.random.default_rng(0)
        splits = {
            split: (
                random.integers(0, 256, (examples, 8, 8, 3), np.uint8),
                np.arange(examples) % 3,
            )
            for split, examples in (("train", 12), ("test", 6))
        }
        write_version(folder / "noise" / "1.0.0", splits, ("a", "b", "c"))
        return cls(path=str(folder))

    def _located(self, search: Search) -> Path:
        root = folder_at(self.path, search)
        if is_file(root / _INFO):
            return root
        below = [file for depth in range(1, _DEPTH + 1) for file in root.glob("*/" * depth + _INFO)]
        versions = sorted(file.parent for file in below)
        if len(versions) != 1:
            there = ", ".join(str(version.relative_to(root)) for version in versions)
            raise DataError(
                f"data.source.path: {root} holds {len(versions)} prepared data sets"
                + (f": {there}; set the path to one of them" if versions else f"; {_PREPARE}")
            )
        return versions[0]

    def _classes(self, root: Path) -> int:
        """How many classes the labels' feature declares; 0 if it declares none."""
        features = (
            mapping_in(root / _FEATURES, _PREPARE).get("featuresDict", {}).get("features", {})
        )
        for field, kinds in (("image", ("image",)), ("label", ("classLabel", "tensor"))):
            name = getattr(self, field)
            if name not in features:
                raise DataError(
                    f"data.source.{field}: {root} has no feature {name}; the features there: "
                    f"{', '.join(features) or 'none'}"
                )
            if not any(kind in features[name] for kind in kinds):
                kind = str(features[name].get("pythonClassName", "unknown")).rsplit(".")[-1]
                expected = "Image" if field == "image" else "ClassLabel or a whole number"
                raise DataError(
                    f"data.source.{field}: the feature {name} of {root} has the type {kind}, "
                    f"expected {expected}; name another feature"
                )
        declared = features[self.label].get("classLabel", {}).get("numClasses", 0)
        return int(declared)

    def _files(self, root: Path, info: dict[str, Any], field: str) -> tuple[list[Path], list[int]]:
        """The files of a split, and how many records each holds."""
        splits = {split.get("name"): split for split in info.get("splits", [])}
        name = getattr(self, field)
        if name not in splits:
            there = ", ".join(sorted(map(str, splits))) or "none"
            raise DataError(
                f"data.source.{field}: {root} has no split {name}; the splits there: {there}"
            )
        try:
            counts = [int(length) for length in splits[name]["shardLengths"]]
            template = splits[name].get("filepathTemplate") or _TEMPLATE
            values = {"DATASET": info["name"], "SPLIT": name, "FILEFORMAT": _FORMAT}
            files = [root / _filled(template, values, n, len(counts)) for n in range(len(counts))]
        except (KeyError, TypeError, ValueError) as error:
            raise DataError(
                f"data.source: {root / _INFO} does not say which files the split {name} has; "
                f"{_PREPARE}"
            ) from error
        if not sum(counts):
            raise DataError(
                f"data.source.{field}: the split {name} of {root} has no examples; name another "
                "split"
            )
        return files, counts


def _filled(template: str, values: dict[str, str], shard: int, shards: int) -> str:
    """The name of one file of a split."""
    numbered = {"SHARD_INDEX": f"{shard:05d}", "NUM_SHARDS": f"{shards:05d}"}
    numbered["SHARD_X_OF_Y"] = f"{shard:05d}-of-{shards:05d}"
    for name, value in {**values, **numbered}.items():
        template = template.replace(f"{{{name}}}", value)
    if "{" in template or "/" in template:
        raise ValueError(f"{template} is not a file name")
    return template


def array_record() -> Any:
    """The module with the reader and the writer of ArrayRecord.

    Raises:
        UserError: it is not installed, for example on Windows.
    """
    try:
        return importlib.import_module("array_record.python.array_record_module")
    except ImportError:
        raise UserError(
            "data.source: reading ArrayRecord needs array-record, which is not installed; run "
            'pip install "array-record>=0.8.1" (it is not available for Windows)'
        ) from None


def _names(file: Path, classes: int) -> tuple[str, ...]:
    """The class names that TFDS writes beside the files; empty if their number is another."""
    if not is_file(file):
        return ()
    names = tuple(file.read_text("utf-8").splitlines())
    return names if len(names) == classes else ()


def _opened(
    files: Sequence[Path], counts: Sequence[int], image: str, label: str
) -> tuple[Records, NDArray[np.int64]]:
    """Open the images of a split, which are decoded later, and read its labels.

    Raises:
        DataError: a file is missing or damaged, or has another number of records than expected.
    """
    readers: list[Any] = []
    labels: list[int] = []
    for file, count in zip(files, counts, strict=True):
        reader = _reader(file, count)
        readers.append(reader)
        for start in range(0, count, _CHUNK):
            stop = min(start + _CHUNK, count)
            try:
                for place, record in enumerate(reader.read(start, stop), start):
                    labels.append(_label(record, label, place))
            except _RAISED as error:
                raise _damaged(file, error) from error
    place_of = locating(counts)

    def read(place: int) -> bytes:
        number, row = place_of(place)
        (record,) = readers[number].read([row])
        held = parse_example(record).get(image)
        if not held or not isinstance(held[0], bytes):
            raise ValueError(f"it has no encoded image in the feature {image}; {_PREPARE}")
        return held[0]

    def where(place: int) -> str:
        number, row = place_of(place)
        return f"record {row:,} of {files[number]}"

    return Records(read, where, identity_of(files)), np.array(labels, np.int64)


def _reader(file: Path, count: int) -> Any:
    if not is_file(file):
        raise DataError(f"data.source: {file} was not found; {_PREPARE}")
    try:
        reader = array_record().ArrayRecordReader(str(file))
        held = reader.num_records()
    except _RAISED as error:
        raise _damaged(file, error) from error
    if held != count:
        raise DataError(
            f"data.source: {file} holds {held} records, expected {count} according to {_INFO}; "
            f"{_PREPARE}"
        )
    return reader


def _damaged(file: Path, error: Exception) -> DataError:
    reason = " ".join(str(error).split()) or type(error).__name__
    return DataError(f"data.source: {file} is not an intact ArrayRecord file: {reason}; {_PREPARE}")


def _label(record: bytes, name: str, place: int) -> int:
    held = parse_example(record).get(name)
    if not held or len(held) != 1 or not isinstance(held[0], int):
        raise ValueError(f"record {place} has no whole number in the feature {name}")
    return held[0]


def write_version(
    folder: Path,
    splits: Mapping[str, tuple[NDArray[np.uint8], NDArray[np.integer]]],
    names: Sequence[str],
) -> None:
    """Write a version of a data set as TFDS does, with two files per split, for tests.

    Raises:
        UserError: array_record or Pillow is not installed.
    """
    folder.mkdir(parents=True)
    name, described = folder.parent.name, list[dict[str, Any]]()
    for split, (images, labels) in splits.items():
        halves = np.array_split(np.arange(len(labels)), 2)
        for number, rows in enumerate(halves):
            file = folder / _filled(
                _TEMPLATE, {"DATASET": name, "SPLIT": split, "FILEFORMAT": _FORMAT}, number, 2
            )
            writer = array_record().ArrayRecordWriter(str(file), "group_size:1")
            for row in rows:
                example = {"image": png(images[row]), "label": int(labels[row])}
                writer.write(make_example(example))
            writer.close()
        described.append({"name": split, "shardLengths": [str(len(rows)) for rows in halves]})
    info = {"fileFormat": _FORMAT, "name": name, "splits": described, "version": folder.name}
    (folder / _INFO).write_text(json.dumps(info))
    classes = "tensorflow_datasets.core.features."
    shape = {"dimensions": [str(length) for length in next(iter(splits.values()))[0].shape[1:]]}
    features = {
        "image": {
            "pythonClassName": f"{classes}image_feature.Image",
            "image": {"shape": shape, "dtype": "uint8", "encodingFormat": "png"},
        },
        "label": {
            "pythonClassName": f"{classes}class_label_feature.ClassLabel",
            "classLabel": {"numClasses": str(len(names))},
        },
    }
    (folder / _FEATURES).write_text(json.dumps({"featuresDict": {"features": features}}))
    (folder / "label.labels.txt").write_text("\n".join(names) + "\n")
