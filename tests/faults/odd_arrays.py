"""Odd npz files: every one is read with the values that were written, or refused by its field.

What is right is said here by how a file was made, and nothing of how fgspec reads it.
"""

import io
import itertools
import random
import shutil
import struct
import traceback
import warnings
import zipfile
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.lib import format as npy

from fgspec import api
from fgspec.data.sources import read
from fgspec.errors import UserError
from fgspec.spec.sources import Npz
from tests.faults.outcome import Outcome

TITLE = "npz files that are not what they should be"
PARTS = ("train_images", "train_labels", "test_images", "test_labels")

SPEC = """\
fgspec: 1
name: odd
rule: bp
data: {{source: {{type: npz, path: {path}}}, batch_size: 4}}
architecture: {{type: mlp, hidden: [2]}}
training: {{steps: 1}}
"""


@dataclass(frozen=True)
class Case:
    """One file.

    Attributes:
        name: what is odd about it.
        write: writes it into a folder, and returns the path that a spec has.
        refused: the field that the refusal names, below `data.source`; None if it is read.
        arrays: what is to be read, by the names of `PARTS`; labels and images as they are stored.
    """

    name: str
    write: Callable[[Path], str]
    refused: str | None = None
    arrays: dict[str, np.ndarray] = field(default_factory=dict)


def _images(dtype: Any, shape: tuple[int, ...], seed: int) -> np.ndarray:
    generator = np.random.default_rng(seed)
    made = np.dtype(dtype)
    if made.kind == "f":
        return generator.random(shape, np.float32).astype(made)
    return generator.integers(0, 256, shape).astype(made)


def _arrays(**changes: Any) -> dict[str, np.ndarray]:
    made = {
        "train_images": _images("u1", (6, 5, 7, 3), 0),
        "train_labels": np.array([0, 1, 2, 0, 1, 2]),
        "test_images": _images("u1", (3, 5, 7, 3), 1),
        "test_labels": np.array([2, 0, 1]),
    }
    return made | changes


def _saved(arrays: dict[str, Any], packed: bool = False) -> Callable[[Path], str]:
    def write(folder: Path) -> str:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # NumPy warns of what it stores as version 3
            (np.savez_compressed if packed else np.savez)(folder / "a.npz", **arrays)
        return "a.npz"

    return write


def _case(name: str, refused: str | None = None, **changes: Any) -> Case:
    arrays = _arrays(**changes)
    return Case(name, _saved(arrays), refused, {} if refused else arrays)


def cases() -> Iterator[Case]:
    """Every odd file, each once."""
    yield from _right()
    yield from _of_dtypes()
    yield from _of_values()
    yield from _of_shapes()
    yield from _of_labels()
    yield from _of_heads()
    yield from _of_archives()
    yield from _of_paths()


def _right() -> Iterator[Case]:
    shapes = [(5, 7), (5, 7, 1), (5, 7, 2), (5, 7, 4), (6, 6, 9), (1, 1), (1, 9, 1), (3, 4, 4)]
    labels = ["i1", "u1", "<i2", ">i2", "<i4", ">i4", "<i8", ">i8", "<u4", ">u8"]
    for number, (dtype, shape, order, packed) in enumerate(
        itertools.product(("u1", "<f4", ">f4"), shapes, "CF", (False, True))
    ):
        arrays = _arrays(
            train_images=np.asarray(_images(dtype, (6, *shape), number), order=order),
            test_images=np.asarray(_images(dtype, (3, *shape), -number - 1 & 0xFF), order=order),
        )
        kind = labels[number % len(labels)]
        arrays |= {name: arrays[name].astype(kind) for name in ("train_labels", "test_labels")}
        name = f"{dtype} {shape} in order {order}, labels {kind}, {'packed' if packed else 'plain'}"
        yield Case(name, _saved(arrays, packed), None, arrays)
    yield _case("grey as [N, H, W] and as [N, H, W, 1]", train_images=_images("u1", (6, 5, 7), 0),
                test_images=_images("u1", (3, 5, 7, 1), 1))  # fmt: skip
    zeros = np.zeros((3, 5, 7, 3), np.uint8)
    yield _case("black test images", test_images=zeros)
    yield _case("a test set without one class", test_labels=np.array([0, 0, 2]))
    small = np.array([-0.0, 5e-324, 1.0], np.float32).repeat(35).reshape(3, 5, 7)
    yield _case("float images of -0, the least and 1", test_images=small,
                train_images=np.tile(small, (2, 1, 1)))  # fmt: skip
    yield _case("further arrays beside the four", more=np.arange(3), objects=np.arange(9.0))


def _of_dtypes() -> Iterator[Case]:
    kinds = ["f2", "<f8", ">f8", "i1", "<i2", ">u2", "<i4", "u4", "<i8", ">u8", "?", "c8", "c16"]
    kinds += ["S3", "U3", "M8[s]", "m8[s]", "V8", "g", "(2,)u1", "O", [("a", "u1"), ("b", "u1")]]
    for part, kind in itertools.product(("train", "test"), kinds):
        made = np.zeros((6 if part == "train" else 3, 5, 7, 3), kind)
        name = f"{part} images of {kind}"
        yield _case(name, f"{part}_images", **{f"{part}_images": made})
    for part, kind in itertools.product(("train", "test"), ["f4", "f8", "?", "c8", "U3", "m8[s]"]):
        labels = _arrays()[f"{part}_labels"]
        made = labels.astype(kind) if kind != "m8[s]" else labels.astype("i8").astype(kind)
        yield _case(f"{part} labels of {kind}", f"{part}_labels", **{f"{part}_labels": made})
    objects = np.array([0, "one", None] * 2, object)
    yield _case("labels of objects", "train_labels", train_labels=objects)
    floats = _images("f4", (3, 5, 7, 3), 1)
    yield _case("uint8 for training, float32 to test", "test_images", test_images=floats)


def _of_values() -> Iterator[Case]:
    wrong = {"1.001": 1.001, "255": 255, "-0.001": -0.001, "nan": np.nan, "inf": np.inf}
    wrong["-inf"] = -np.inf
    for part, (name, value) in itertools.product(("train", "test"), wrong.items()):
        arrays = {
            "train_images": _images("f4", (6, 5, 7), 0),
            "test_images": _images("f4", (3, 5, 7), 1),
        }
        arrays[f"{part}_images"].flat[17] = value
        yield _case(f"a {part} pixel of {name}", f"{part}_images", **arrays)
    for part, other in (("train", "test"), ("test", "train")):
        counts = {"train": 6, "test": 3}
        dark = _images("u1", (counts[part], 5, 7, 3), 0) // 255
        dark.flat[0] = 1
        yield _case(f"uint8 {part} images of 0 and 1, others to 255", f"{part}_images",
                    **{f"{part}_images": dark})  # fmt: skip
        twice = {
            f"{part}_images": _images("f4", (counts[part], 5, 7), 0) / np.float32(255),
            f"{other}_images": _images("f4", (counts[other], 5, 7), 1),
        }
        yield _case(f"{part} images that were divided by 255 twice", f"{part}_images", **twice)


def _of_shapes() -> Iterator[Case]:
    for shape in [(), (6,), (6, 35), (6, 5, 7, 3, 1), (6, 0, 7), (6, 5, 0, 3), (6, 5, 7, 0)]:
        made = _images("u1", shape, 0)
        yield _case(f"training images {shape}", "train_images", train_images=made)
    for count in (0, 5, 7):
        images, labels = np.zeros((count, 5, 7, 3), np.uint8), np.arange(count)
        wanted = "train_images" if count == 0 else "train_labels"
        yield _case(f"{count} images of 6 labels", wanted, train_images=images)
        if count:
            yield _case(f"6 images of {count} labels", "train_labels", train_labels=labels % 3)
    for channels, rows, columns in itertools.product((1, 2, 3, 4), (5, 8), (8, 32)):
        made = {n: _images("u1", (k, channels, rows, columns), 0) for n, k in
                (("train_images", 6), ("test_images", 3))}  # fmt: skip
        name = f"{channels} channels first, {rows}x{columns}"
        yield _case(name, "train_images", **made)
    svhn = np.moveaxis(_images("u1", (6, 32, 32, 3), 0), 0, -1)
    yield _case("images along the last axis", "train_labels", train_images=svhn)
    for shape in [(3, 5, 6, 3), (3, 7, 5, 3), (3, 5, 7, 4), (3, 5, 7)]:
        made = _images("u1", shape, 1)
        yield _case(f"test images {shape}", "test_images", test_images=made)


def _of_labels() -> Iterator[Case]:
    wrong = {
        "negative": [0, -1, 1, 0, 1, 2],
        "from 1": [1, 2, 3, 1, 2, 3],
        "with a gap": [0, 1, 3, 0, 1, 3],
        "with 255 for none": [0, 1, 2, 255, 1, 2],
        "in the millions": [4_000_000, 4_000_001, 4_000_002] * 2,
        "in the billions": [0, 1, 2**31 - 2, 0, 1, 2],
        "beyond 32 bits": [0, 1, 2**40, 0, 1, 2],
        "all 0": [0] * 6,
    }
    for name, values in wrong.items():
        made = np.array(values)
        yield _case(f"labels {name}", "train_labels", train_labels=made)
    huge = np.array([0, 1, 2, 0, 1, 2**64 - 1], np.uint64)
    yield _case("labels of 64 bits without a sign", "train_labels", train_labels=huge)
    for name, values in {"3 of 3": [0, 1, 3], "-1": [0, -1, 2], "2**40": [0, 1, 2**40]}.items():
        yield _case(f"a test label {name}", "test_labels", test_labels=np.array(values))
    yield _case("one-hot labels", "train_labels", train_labels=np.eye(6, 3, dtype=int))
    yield _case("labels in a column", "train_labels", train_labels=np.zeros((6, 1), int))
    yield _case("one label for all", "train_labels", train_labels=np.array(0))
    nothing = np.zeros(0, int)
    yield _case("no test examples", "test_images", test_labels=nothing,
                test_images=np.zeros((0, 5, 7, 3), np.uint8))  # fmt: skip


# ------------------------------------------------------------------ files that NumPy does not write


def _npy(array: np.ndarray) -> bytes:
    stream = io.BytesIO()
    npy.write_array(stream, array)
    return stream.getvalue()


def _head(text: str, version: tuple[int, int] = (1, 0)) -> bytes:
    encoded = text.encode("utf-8") + b"\n"
    size = struct.pack("<H" if version == (1, 0) else "<I", len(encoded))
    return b"\x93NUMPY" + bytes(version) + size + encoded


def _zipped(
    members: list[tuple[str, bytes]], packing: int = zipfile.ZIP_STORED, comment: bytes = b""
) -> bytes:
    stream = io.BytesIO()
    with warnings.catch_warnings(), zipfile.ZipFile(stream, "w", packing) as archive:
        warnings.simplefilter("ignore")  # of names that come twice
        archive.comment = comment
        for name, content in members:
            archive.writestr(name, content)
    return stream.getvalue()


def _members(**changes: bytes) -> list[tuple[str, bytes]]:
    made = {name: _npy(array) for name, array in _arrays().items()} | changes
    return [(f"{name}.npy", content) for name, content in made.items()]


def _bytes(content: bytes, name: str = "a.npz") -> Callable[[Path], str]:
    def write(folder: Path) -> str:
        (folder / name).write_bytes(content)
        return name

    return write


def _of_heads() -> Iterator[Case]:
    pixels = _arrays()["train_images"].tobytes()
    fields = "{{'descr': {}, 'fortran_order': {}, 'shape': {}, }}"
    shapes = ["(10**30,)", f"({10**30},)", "(True, 5, 7, 3)", "(6, 5, 7, True)", "(-6, 5, 7, -3)",
              "(6, 5, 7, 3.0)", "[6, 5, 7, 3]", "6", "('6',)", "(6, 5, 7, 4)", "(6, 5, 7, 2)",
              "(2**64, 0)", "None", f"({2**62}, 4)", "(6, 5, 7, 3, 2**62, 0)"]  # fmt: skip
    for shape in shapes:
        content = _head(fields.format("'|u1'", "False", shape)) + pixels
        yield Case(f"a head of the shape {shape}", _bytes(_zipped(_members(train_images=content))),
                   "train_images")  # fmt: skip
    for descr in ("'|O'", "'|u9'", "'nonsense'", "1", "None", "[('a', '|O')]", "'|V0'", "'|S0'"):
        content = _head(fields.format(descr, "False", "(6, 5, 7, 3)")) + pixels
        yield Case(f"a head of the dtype {descr}", _bytes(_zipped(_members(train_images=content))),
                   "train_images")  # fmt: skip
    right = fields.format("'|u1'", "False", "(6, 5, 7, 3)")
    odd = {
        "no dictionary": _head("(6, 5, 7, 3)"),
        "code": _head("__import__('os').system('touch written')"),
        "a missing key": _head("{'descr': '|u1', 'shape': (6, 5, 7, 3), }"),
        "a further key": _head(right[:-1] + "'more': 1, }"),
        "the order 2": _head(fields.format("'|u1'", "2", "(6, 5, 7, 3)")),
        "a thousand brackets": _head("(" * 1000),
        "20,000 letters": _head(right + " " * 20_000),
        "bytes that are no text": b"\x93NUMPY\x01\x00\x04\x00\xff\xfe\xfd\n",
        "version 9.9": _head(right, (9, 9)),
        "version 3.0": _head(right, (3, 0)),
        "another magic": b"\x93NUMPI" + _head(right)[6:],
        "nothing": b"",
        "half a magic": b"\x93NU",
        "a length beyond the end": b"\x93NUMPY\x01\x00\xff\xff{}",
    }
    for name, head in odd.items():
        content = head + (pixels if len(head) > 9 else b"")
        yield Case(f"a head that is {name}", _bytes(_zipped(_members(train_images=content))),
                   "train_images")  # fmt: skip
    content = _head(right, (2, 0)) + pixels
    yield Case("a head of version 2.0", _bytes(_zipped(_members(train_images=content))), None,
               _arrays())  # fmt: skip


def _of_archives() -> Iterator[Case]:
    whole = _zipped(_members())
    packed = _zipped(_members(), zipfile.ZIP_DEFLATED)
    yield Case("a comment at the end", _bytes(_zipped(_members(), comment=b"c" * 300)), None,
               _arrays())  # fmt: skip
    for junk in (b"#!/bin/sh\n", b"\0" * 512, _npy(np.zeros(3)), b"PK"):
        yield Case(f"{len(junk)} bytes before it", _bytes(junk + whole), "path")
    for part in (0.0, 0.001, 0.1, 0.5, 0.9, 0.99):
        yield Case(f"cut off at {part}", _bytes(whole[: int(len(whole) * part)]), "path")
        yield Case(f"packed, cut off at {part}", _bytes(packed[: int(len(packed) * part)]), "path")
    for name, array in (("train_images", _arrays()["train_images"]),):
        place = whole.index(array.tobytes()) + 50
        broken = whole[:place] + bytes([whole[place] ^ 1]) + whole[place + 1 :]
        yield Case(f"a flipped bit of {name}", _bytes(broken), "path")
    for packing in (zipfile.ZIP_BZIP2, zipfile.ZIP_LZMA):
        yield Case(f"packed by method {packing}", _bytes(_zipped(_members(), packing)),
                   "train_images")  # fmt: skip
    locked = bytearray(whole)
    for mark, place in ((b"PK\x03\x04", 6), (b"PK\x01\x02", 8)):
        start = whole.index(mark)
        locked[start + place] |= 1
    yield Case("a password", _bytes(bytes(locked)), "path")
    for name in PARTS:
        members = [member for member in _members() if member[0] != f"{name}.npy"]
        yield Case(f"no {name}", _bytes(_zipped(members)), name)
        yield Case(f"{name} without its ending", _bytes(_zipped([*members, (name, b"text")])), name)
        twice = [*members, (f"{name}.npy", _npy(_arrays()[name])), (f"{name}.npy", b"text")]
        yield Case(f"{name} twice", _bytes(_zipped(twice)), name)
        text = [*members, (f"{name}.npy", b"text")]
        yield Case(f"{name} of text", _bytes(_zipped(text)), name)
    yield Case("an empty archive", _bytes(_zipped([])), "path")
    yield Case("no bytes", _bytes(b""), "path")
    yield Case("an npy file", _bytes(_npy(np.zeros(3))), "path")
    yield Case("a pickle", _bytes(b"\x80\x04N."), "path")
    yield Case("text", _bytes(b"train_images,train_labels\n"), "path")


def _of_paths() -> Iterator[Case]:
    def linked(folder: Path) -> str:
        np.savez(folder / "b.npz", **_arrays())
        (folder / "a.npz").symlink_to("b.npz")
        return "a.npz"

    def looped(folder: Path) -> str:
        (folder / "a.npz").symlink_to("a.npz")
        return "a.npz"

    def dangling(folder: Path) -> str:
        (folder / "a.npz").symlink_to("nowhere.npz")
        return "a.npz"

    def a_folder(folder: Path) -> str:
        (folder / "a.npz").mkdir()
        return "a.npz"

    yield Case("a link", linked, None, _arrays())
    yield Case("a link to itself", looped, "path")
    yield Case("a link to nothing", dangling, "path")
    yield Case("a folder", a_folder, "path")
    wrong = [
        "~nosuch/a.npz",
        "~nosuch",
        "a" * 5000,
        "/" + "a/" * 2500,
        "a\nb.npz",
        "a\tb",
        "a\x7fb",
    ]
    for path in [*wrong, "[/b].npz", "a b.npz", "ä.npz", "..", ".", "/"]:
        yield Case(f"the path {path[:20]!r}", lambda folder, path=path: path, "path")
    for name in ("line\nbreak.npz", "[b].npz", "ä.npz", "a b.npz", "a'b.npz"):
        write = _saved(_arrays())

        def renamed(folder: Path, write: Any = write, name: str = name) -> str:
            (folder / write(folder)).rename(folder / name)
            return name

        yield Case(f"a right file named {name!r}", renamed, None, _arrays())


# --------------------------------------------------------------------------------------- judging


def _difference(source: Npz, folder: Path, arrays: dict[str, np.ndarray]) -> str | None:
    """What was read that was not written."""
    found = read(source, [folder])
    for name in PARTS:
        own, written = getattr(found, name), arrays[name]
        wanted = written.astype(np.int32) if "labels" in name else written
        if wanted.ndim == 3:
            wanted = wanted[..., np.newaxis]
        if not np.array_equal(own, wanted) or own.dtype != wanted.dtype.newbyteorder("="):
            return f"{name} is not as it was written"
    return None


def judge(case: Case, folder: Path, outcome: Outcome) -> None:
    """Write a file, read it, and note what became of it."""
    outcome.tried += 1
    try:
        path = case.write(folder)
        source = Npz(path=path if path.startswith(("~", "/")) else str(folder / path))
        spec = folder / "odd.yaml"
        spec.write_text(SPEC.format(path=_quoted(source.path)), encoding="utf-8")
        planned = api.plan(spec)
        wrong = "it was read, and should be refused"
        if case.refused is None:
            wrong = _difference(source, folder, case.arrays)
        described = (planned.data.image_shape, planned.data.pixels, planned.data.classes)
        dataset = read(source, [folder])
        images, labels = dataset.train_images, dataset.train_labels
        if described != (images.shape[1:], str(images.dtype), len(np.unique(labels))):
            wrong = wrong or f"it is described as {described}"
    except UserError as error:
        lines = str(error).splitlines()
        named = case.refused is not None and f"data.source.{case.refused}: " in lines[0]
        wrong = None if named and len(lines) == 1 else f"refused by {lines}, not by {case.refused}"
    except Exception:
        outcome.tracebacks.append(f"{case.name}: {traceback.format_exc().splitlines()[-1]}")
        return
    if wrong is None:
        outcome.survived += 1
    else:
        outcome.silent.append(f"{case.name}: {wrong}")


def _quoted(text: str) -> str:
    escaped = (c if c.isprintable() and c not in '\\"' else f"\\U{ord(c):08x}" for c in text)
    return f'"{"".join(escaped)}"'


def run(count: int | None, folder: Path, seed: int) -> Outcome:
    """Try odd files: all of them, or so many in an order of the seed."""
    chosen, outcome = list(cases()), Outcome()
    random.Random(seed).shuffle(chosen)
    for number, case in enumerate(chosen[:count]):
        own = folder / f"{number:04d}"
        own.mkdir(parents=True)
        judge(replace(case), own, outcome)
        shutil.rmtree(own)
    return outcome
