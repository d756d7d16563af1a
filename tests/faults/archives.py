"""Archives, pickles and image files that are damaged, or made to harm whoever reads them.

Each is refused in one line, or read with the values that it holds. No code of theirs runs, no file
is written, and memory stays bounded: a process that reads them has little more than they may take.
"""

import bz2
import contextlib
import gzip
import io
import os
import pickle
import random
import resource
import shutil
import struct
import tarfile
import traceback
import warnings
import zipfile
import zlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from fgspec.data.dataset import Dataset
from fgspec.data.describe import describe
from fgspec.data.sources import read
from fgspec.errors import UserError
from fgspec.spec.sources import Cifar10, ImageFolder, Mnist, Npz, Source
from tests.faults.outcome import Outcome

TITLE = "malicious and damaged archives, pickles and image files"
MEMORY = 512 * 2**20
"""Bytes that reading one file may take beyond what the process has."""

MIB = 2**20


@dataclass(frozen=True)
class Case:
    """One file and what must become of it.

    Attributes:
        name: what is wrong with it.
        write: writes it into a folder; returns the source that reads it.
        must: `refuse`, `read`, or `either`: nothing in the file tells the damage, or it does none.
        exact: whether what is read, if anything is, must be what `RIGHT` says; pixels of image
            files carry no checksum.
    """

    name: str
    write: Callable[[Path], Source]
    must: str = "refuse"
    exact: bool = True


# --------------------------------------------------------------------------------- right contents


def _pixels(seed: int, *shape: int) -> np.ndarray:
    return np.random.default_rng(seed).integers(0, 256, shape, np.uint8)


def _idx(array: np.ndarray) -> bytes:
    return (
        bytes((0, 0, 8, array.ndim)) + struct.pack(f">{array.ndim}I", *array.shape) + bytes(array)
    )


MNIST_FILES = {
    "train-images-idx3-ubyte": _pixels(0, 12, 28, 28),
    "train-labels-idx1-ubyte": np.arange(12, dtype=np.uint8) % 10,
    "t10k-images-idx3-ubyte": _pixels(1, 5, 28, 28),
    "t10k-labels-idx1-ubyte": np.arange(5, dtype=np.uint8),
}
CIFAR_FILES = (*(f"data_batch_{number}" for number in range(1, 6)), "test_batch")
CIFAR_FOLDER = "cifar-10-batches-py"
CIFAR_BATCHES = {
    name: {"data": _pixels(seed, 2, 3072), "labels": [seed, 9 - seed]}
    for seed, name in enumerate(CIFAR_FILES)
}
NPZ = {
    "train_images": _pixels(0, 6, 5, 7, 3),
    "train_labels": np.array([0, 1, 2, 0, 1, 2]),
    "test_images": _pixels(1, 3, 5, 7, 3),
    "test_labels": np.array([2, 0, 1]),
}


def _planes(rows: np.ndarray) -> np.ndarray:
    return np.moveaxis(rows.reshape(-1, 3, 32, 32), 1, -1)


RIGHT = {
    "mnist": [array[..., None] if array.ndim == 3 else array for array in MNIST_FILES.values()],
    "cifar10": [
        np.concatenate([_planes(CIFAR_BATCHES[name]["data"]) for name in CIFAR_FILES[:-1]]),
        np.concatenate([CIFAR_BATCHES[name]["labels"] for name in CIFAR_FILES[:-1]]),
        _planes(CIFAR_BATCHES["test_batch"]["data"]),
        np.array(CIFAR_BATCHES["test_batch"]["labels"]),
    ],
    "npz": list(NPZ.values()),
}
"""Training images and labels, test images and labels of every source, as they were written."""


def _mnist(changed: bytes | None = None, name: str = "train-images-idx3-ubyte.gz") -> Any:
    """A folder of MNIST's files, one of them changed."""

    def write(folder: Path) -> Source:
        for other, array in MNIST_FILES.items():
            (folder / f"{other}.gz").write_bytes(gzip.compress(_idx(array), mtime=0))
        if changed is not None:
            (folder / f"{name.removesuffix('.gz').replace('.idx', '-idx')}.gz").unlink()
            (folder / name).write_bytes(changed)
        return Mnist(path=str(folder), verify=False)

    return write


def _cifar(changed: bytes, name: str = "data_batch_2") -> Any:
    """A folder of CIFAR-10's pickles, one of them changed."""

    def write(folder: Path) -> Source:
        inner = folder / CIFAR_FOLDER
        inner.mkdir()
        for other, batch in CIFAR_BATCHES.items():
            (inner / other).write_bytes(pickle.dumps(batch, protocol=2))
        (inner / name).write_bytes(changed)
        return Cifar10(path=str(folder), verify=False)

    return write


def _archive(content: bytes) -> Any:
    def write(folder: Path) -> Source:
        (folder / "cifar-10-python.tar.gz").write_bytes(content)
        return Cifar10(path=str(folder), verify=False)

    return write


def _npz(content: bytes) -> Any:
    def write(folder: Path) -> Source:
        (folder / "a.npz").write_bytes(content)
        return Npz(path=str(folder / "a.npz"))

    return write


def _image(content: bytes, name: str = "0.png") -> Any:
    """A folder of image files, one of them changed; its other images are small and right."""

    def write(folder: Path) -> Source:
        for part in ("train", "val"):
            for label in ("a", "b"):
                inner = folder / part / label
                inner.mkdir(parents=True)
                Image.fromarray(_pixels(3, 9, 11, 3)).save(inner / "1.png")
        (folder / "train" / "a" / name).write_bytes(content)
        return ImageFolder(path=str(folder), size=8)

    return write


# ------------------------------------------------------------------------------------------ cases


def cases(seed: int) -> Iterator[Case]:
    """Every file, each once; flips and cuts are drawn by the seed."""
    draw = random.Random(seed)
    yield from _of_gzip(draw)
    yield from _of_tar(draw)
    yield from _of_pickles(draw)
    yield from _of_zip(draw)
    yield from _of_images(draw)


def _damaged(draw: random.Random, content: bytes, count: int) -> Iterator[tuple[str, bytes]]:
    """Cut off, with a bit flipped, with bytes left out, repeated, overwritten or added."""
    for _ in range(count):
        at, span = draw.randrange(len(content)), draw.randrange(1, 40)
        yield f"cut off at {at}", content[:at]
        flipped = content[at] ^ 1 << draw.randrange(8)
        yield f"a bit flipped at {at}", content[:at] + bytes([flipped]) + content[at + 1 :]
        yield f"{span} bytes left out at {at}", content[:at] + content[at + span :]
        yield f"{span} bytes repeated at {at}", content[: at + span] + content[at:]
        over = content[:at] + draw.randbytes(span) + content[at + span :]
        yield f"{span} bytes overwritten at {at}", over


def _zeros(mebibytes: int) -> bytes:
    """Gzip members that unpack to so many MiB of zeros; made fast, as all are the same."""
    return _zeros_of_16_mebibytes() * (mebibytes // 16)


@cache
def _zeros_of_16_mebibytes() -> bytes:
    return gzip.compress(bytes(16 * MIB), mtime=0)


def _of_gzip(draw: random.Random) -> Iterator[Case]:
    images = _idx(MNIST_FILES["train-images-idx3-ubyte"])
    right = gzip.compress(images, mtime=0)
    yield Case("mnist: right", _mnist(right), "read")
    for name in ("train-images.idx3-ubyte", "train-images.idx3-ubyte.gz"):
        content = right if name.endswith("gz") else images
        yield Case(f"mnist: named {name}", _mnist(content, name), "read")
    parts = gzip.compress(images[:500]) + gzip.compress(b"") * 50 + gzip.compress(images[500:])
    yield Case("mnist: in 52 members", _mnist(parts), "read")
    for name, content in _damaged(draw, right, 18):
        yield Case(f"mnist: {name}", _mnist(content), "either")
    for name, more in {
        "text": b"more",
        "zeros": bytes(64),
        "a member": gzip.compress(b"x"),
    }.items():
        yield Case(f"mnist: {name} after its end", _mnist(right + more), "either")
    yield Case("mnist: zeros without end", _mnist(_zeros(4096)))
    head = bytes((0, 0, 8, 3))
    for examples in (12, 16_000_000, 2**32 - 1):
        start = gzip.compress(head + struct.pack(">3I", examples, 28, 28))
        yield Case(f"mnist: {examples} images, then 4 GiB", _mnist(start + _zeros(4096)))
    for shape in [(0, 28, 28), (12, 0, 28), (2**32 - 1,) * 3, (12, 28, 29), (13, 28, 28)]:
        content = head + struct.pack(">3I", *shape) + images[16:]
        yield Case(f"mnist: a head of {shape}", _mnist(gzip.compress(content)))
        yield Case(f"mnist: an unpacked head of {shape}", _mnist(content))
    for kind in (0x09, 0x0B, 0x0C, 0x0D, 0x0E, 0x00):
        content = bytes((0, 0, kind, 3)) + images[4:]
        yield Case(f"mnist: numbers of type {kind}", _mnist(gzip.compress(content)))
    labels = bytes((0, 0, 8, 1)) + struct.pack(">I", 12) + bytes([255] * 12)
    yield Case("mnist: labels of 255", _mnist(gzip.compress(labels), "train-labels-idx1-ubyte.gz"))


def _tarred(members: list[tuple[tarfile.TarInfo, bytes]], mode: int = tarfile.GNU_FORMAT) -> bytes:
    stream = io.BytesIO()
    with tarfile.open(fileobj=stream, mode="w", format=mode) as archive:
        for info, content in members:
            archive.addfile(info, io.BytesIO(content))
    return stream.getvalue()


def _entry(name: str, content: bytes = b"", **fields: Any) -> tuple[tarfile.TarInfo, bytes]:
    info = tarfile.TarInfo(name)
    info.size = len(content)
    for key, value in fields.items():
        setattr(info, key, value)
    return info, content


def _entries() -> list[tuple[tarfile.TarInfo, bytes]]:
    return [
        _entry(f"{CIFAR_FOLDER}/{name}", pickle.dumps(batch, protocol=2))
        for name, batch in CIFAR_BATCHES.items()
    ]


def _of_tar(draw: random.Random) -> Iterator[Case]:
    plain = _tarred(_entries())
    right = gzip.compress(plain, mtime=0)
    yield Case("tar: right", _archive(right), "read")
    for name, content in _damaged(draw, right, 16):
        yield Case(f"tar: {name}", _archive(content), "either")
    yield Case("tar: zeros without end", _archive(_zeros(4096)))
    yield Case("tar: right, then zeros without end", _archive(right + _zeros(4096)))
    harmless = ["/etc/passwd", "../../../written", "/tmp/written", "~/written", "a\nb", "\x1b[31m",
                "a" * 300, f"../{CIFAR_FOLDER}x/data_batch_1", "./"]  # fmt: skip
    for name in harmless:
        for kind in (tarfile.REGTYPE, tarfile.DIRTYPE, tarfile.CHRTYPE, tarfile.FIFOTYPE):
            made = _tarred([_entry(name, type=kind), *_entries()])
            yield Case(f"tar: also {name[:20]!r} of type {kind!r}", _archive(gzip.compress(made)),
                       "read")  # fmt: skip
        link = _entry(name, type=tarfile.SYMTYPE, linkname="/etc/passwd")
        made = _tarred([link, *_entries()])
        yield Case(f"tar: a link {name[:20]!r}", _archive(gzip.compress(made)), "read")
    for kind in (tarfile.SYMTYPE, tarfile.LNKTYPE, tarfile.CHRTYPE, tarfile.FIFOTYPE):
        for target in ("/etc/passwd", "/dev/zero", "test_batch", f"{CIFAR_FOLDER}/test_batch"):
            odd = _entry(f"{CIFAR_FOLDER}/data_batch_1", type=kind, linkname=target)
            made = gzip.compress(_tarred([odd, *_entries()[1:]]))
            yield Case(f"tar: data_batch_1 of type {kind!r} to {target}", _archive(made))
    for number, name in enumerate(CIFAR_FILES):
        made = _tarred([entry for index, entry in enumerate(_entries()) if index != number])
        yield Case(f"tar: no {name}", _archive(gzip.compress(made)))
    absolute = [_entry(f"/{info.name}", content) for info, content in _entries()]
    yield Case("tar: absolute names", _archive(gzip.compress(_tarred(absolute))), "read")
    for field in (0, 100, 124, 136, 148, 156, 157, 257):
        broken = plain[:field] + b"\xff" * 8 + plain[field + 8 :]
        yield Case(f"tar: a header broken at {field}", _archive(gzip.compress(broken)), "either")
    for size in (2**31, 2**62):
        info = tarfile.TarInfo(f"{CIFAR_FOLDER}/data_batch_1")
        info.size = size
        made = info.tobuf(tarfile.GNU_FORMAT) + plain
        yield Case(f"tar: data_batch_1 of {size} bytes", _archive(gzip.compress(made)))
        for kind in (tarfile.XHDTYPE, tarfile.GNUTYPE_LONGNAME, tarfile.XGLTYPE):
            info.type = kind
            made = gzip.compress(info.tobuf(tarfile.GNU_FORMAT)) + _zeros(2048)
            yield Case(f"tar: a header of type {kind!r} of {size} bytes", _archive(made))
    sparse = {"GNU.sparse.major": "1", "GNU.sparse.minor": "0", "GNU.sparse.realsize": str(2**40)}
    info, content = _entry(f"{CIFAR_FOLDER}/data_batch_1", b"0\n" + bytes(510))
    info.pax_headers = sparse
    made = _tarred([(info, content), *_entries()[1:]], tarfile.PAX_FORMAT)
    yield Case("tar: a sparse file of a TiB", _archive(gzip.compress(made)))
    yield Case("tar: in bzip2", _archive(bz2.compress(plain)))
    yield Case("tar: not packed", _archive(plain))
    yield Case("tar: a zip", _archive(_zipped(_npys())))


MARK = "written"


class _Harm:
    """Pickles as a call that would leave a file."""

    def __init__(self, function: Any, *arguments: Any) -> None:
        self._called = function, arguments

    def __reduce__(self) -> Any:
        return self._called


def _of_pickles(draw: random.Random) -> Iterator[Case]:
    right = CIFAR_BATCHES["data_batch_2"]
    for protocol in range(5):
        content = pickle.dumps(right, protocol=protocol)
        yield Case(f"pickle: right, protocol {protocol}", _cifar(content), "read")
    harm = [
        _Harm(os.system, f"touch {MARK}"), _Harm(eval, f"open({MARK!r}, 'w')"),
        _Harm(exec, f"open({MARK!r}, 'w')"), _Harm(open, MARK, "w"), _Harm(os.mkdir, MARK),
        _Harm(getattr, "", "join"), _Harm(np.save, MARK, 1), _Harm(np.memmap, MARK, "u1", "w+"),
        _Harm(__import__, "antigravity"), _Harm(pickle.loads, b"N."), _Harm(Path, MARK),
        _Harm(np.ndarray, (2**33,), "u1"), _Harm(np.ndarray, (2**30,), "O"),
        _Harm(np.zeros, 2**33), _Harm(bytearray, 2**33), _Harm(range, 2**40),
        _Harm(np.dtype, "O"), _Harm(np.dtype, "V8"), _Harm(zlib.decompress, zlib.compress(b"x")),
    ]  # fmt: skip
    for number, one in enumerate(harm):
        for protocol in range(5):
            content = pickle.dumps({"data": one, "labels": [0, 1]}, protocol=protocol)
            yield Case(f"pickle: harm {number}, protocol {protocol}", _cifar(content))
    for name, content in _bombs().items():
        yield Case(f"pickle: {name}", _cifar(content))
    objects = {"data": np.array([[1, "a", None]], object), "labels": [0]}
    yield Case("pickle: an array of objects", _cifar(pickle.dumps(objects, protocol=2)))
    tail = pickle.dumps(right, protocol=2)
    for name, content in _damaged(draw, tail[: tail.index(b"labels")], 6):
        whole = content + tail[tail.index(b"labels") :]
        # The bytes of an unpacked file have no checksum of their own where `verify` is off.
        yield Case(f"pickle: {name}", _cifar(whole), "either", exact=False)
    for number in range(60):
        soup = bytes(draw.choice(_OPCODES) for _ in range(draw.randrange(1, 200)))
        yield Case(f"pickle: soup {number}", _cifar(b"\x80\x04" + soup + b"."))


_OPCODES = (
    b"(0123.FNIJKLMTUVSX])}acdeghijlopqrstu\x80\x81\x85\x86\x87\x88\x89\x8a\x8b\x8c\x8d\x8e\x8f"
)


def _bombs() -> dict[str, bytes]:
    """Short pickles that ask for memory."""
    text = b"\x8c\x06latin1"
    call = b"c_codecs\nencode\n"
    long = b"X" + struct.pack("<I", 100_000) + b"x" * 100_000 + b"q\x00" + call + b"q\x01"
    array = b"cnumpy\nndarray\n"
    made = b"cnumpy.core.multiarray\n_reconstruct\n" + array
    setting = b"(K\x01J" + struct.pack("<i", 2**30) + b"\x85cnumpy\ndtype\n\x8c\x02u1\x85R\x89Nt"
    return {
        "12 bytes that hold 2 GiB": b"\x80\x04\x8e" + struct.pack("<Q", 2**31) + b".",
        "12 bytes that hold 2 GiB to change": b"\x80\x05\x96" + struct.pack("<Q", 2**31) + b".",
        "a text of 2 GiB": b"\x80\x04\x8d" + struct.pack("<Q", 2**31) + b".",
        "a memo of 2**28": b"\x80\x02Nr" + struct.pack("<I", 2**28) + b".",
        "a memo of text": b"Np268435456\n.",
        "a number of 2 GiB": b"\x80\x02\x8b" + struct.pack("<i", 2**31 - 1) + b".",
        "a frame of 2**62 bytes": b"\x80\x04\x95" + struct.pack("<Q", 2**62) + b"N.",
        "an array of 8 GiB": array + b"(L8589934592L\ntR.",
        "an array of 2**30 objects": array + b"((I1073741824\ntS'O'\ntR.",
        "an array of 1 GiB, made anew": made + b"\x8a\x04\x00\x00\x00\x40\x85\x8c\x01b\x87R.",
        "a state of 1 GiB": made + b"K\x00\x85\x8c\x01b\x87R" + setting + b"b.",
        "a text encoded 100,000 times": long + (b"h\x01h\x00" + text + b"\x86R") * 100_000 + b".",
        "a thousand nested lists": b"(" * 100_000 + b"l" * 100_000 + b".",
        "a list in itself": b"]q\x00h\x00ae.",
        "digits without end": b"I" + b"9" * 100_000 + b"\n.",
    }


def _npys(**changes: bytes) -> list[tuple[str, bytes]]:
    made = {}
    for name, array in NPZ.items():
        stream = io.BytesIO()
        np.save(stream, array)
        made[name] = stream.getvalue()
    return [(f"{name}.npy", content) for name, content in (made | changes).items()]


def _zipped(members: list[tuple[str, bytes]], packing: int = zipfile.ZIP_STORED) -> bytes:
    stream = io.BytesIO()
    with warnings.catch_warnings(), zipfile.ZipFile(stream, "w", packing) as archive:
        warnings.simplefilter("ignore")
        for name, content in members:
            archive.writestr(name, content)
    return stream.getvalue()


def _of_zip(draw: random.Random) -> Iterator[Case]:
    stored, packed = _zipped(_npys()), _zipped(_npys(), zipfile.ZIP_DEFLATED)
    yield Case("npz: right", _npz(stored), "read")
    for kind, whole in (("stored", stored), ("packed", packed)):
        for name, content in _damaged(draw, whole, 14):
            yield Case(f"npz: {kind}, {name}", _npz(content), "either")
    for name in ("../written.npy", "/tmp/written.npy", "a\nb", "\x1b[31m", "x" * 5000):
        yield Case(f"npz: also {name[:20]!r}", _npz(_zipped([(name, b"x"), *_npys()])), "read")
    for gibibytes in (1, 12):
        bomb, count = _zip_bomb(gibibytes * 2**30), gibibytes * 2**30
        yield Case(f"npz: {gibibytes} GiB of zeros, {count} images", _npz(bomb))
    for place, size in ((22, 4), (18, 4), (14, 4)):  # lengths and checksum of the local head
        lied = stored[:place] + b"\xfe\xff\xff\x7f"[:size] + stored[place + size :]
        yield Case(f"npz: a local head that lies at {place}", _npz(lied), "either")
    start = stored.index(b"PK\x01\x02")
    for place in (10, 16, 20, 24, 28, 30, 42):
        at = start + place
        lied = stored[:at] + b"\xfe\xff" + stored[at + 2 :]
        yield Case(f"npz: a directory that lies at {place}", _npz(lied), "either")
    end = stored.rindex(b"PK\x05\x06")
    for place in (4, 8, 10, 12, 16, 20):
        lied = stored[: end + place] + b"\xfe\xff" + stored[end + place + 2 :]
        yield Case(f"npz: an end that lies at {place}", _npz(lied), "either")


def _zip_bomb(size: int) -> bytes:
    """An npz with training images of `size` zeros, right in all its lengths."""
    head = io.BytesIO()
    np.lib.format.write_array_header_1_0(
        head, {"descr": "|u1", "fortran_order": False, "shape": (size // 4, 2, 2)}
    )
    stream = io.BytesIO()
    with zipfile.ZipFile(stream, "w", zipfile.ZIP_DEFLATED) as archive:
        info = zipfile.ZipInfo("train_images.npy")
        info.compress_type = zipfile.ZIP_DEFLATED
        # Few are packed; the lengths alone say how many there are.
        with archive.open(info, "w", force_zip64=True) as member:
            member.write(head.getvalue())
            member.write(bytes(_PACKED))
        for name, content in _npys()[1:]:
            archive.writestr(name, content)
    whole = stream.getvalue()
    told = struct.pack("<Q", size + len(head.getvalue()))
    return whole.replace(struct.pack("<Q", _PACKED + len(head.getvalue())), told)


_PACKED = 32 * MIB


def _saved(image: Any, kind: str, **options: Any) -> bytes:
    stream = io.BytesIO()
    image.save(stream, kind, **options)
    return stream.getvalue()


def _png(width: int, height: int, depth: int, colour: int, data: bytes, more: bytes = b"") -> bytes:
    def chunk(kind: bytes, content: bytes) -> bytes:
        check = struct.pack(">I", zlib.crc32(kind + content))
        return struct.pack(">I", len(content)) + kind + content + check

    head = struct.pack(">2I5B", width, height, depth, colour, 0, 0, 0)
    parts = chunk(b"IHDR", head) + more + chunk(b"IDAT", zlib.compress(data))
    return b"\x89PNG\r\n\x1a\n" + parts + chunk(b"IEND", b"")


def _of_images(draw: random.Random) -> Iterator[Case]:
    image = Image.fromarray(_pixels(0, 24, 20, 3))
    kinds = {"JPEG": "0.jpg", "PNG": "0.png", "WEBP": "0.webp", "BMP": "0.bmp"}
    for kind, name in kinds.items():
        whole = _saved(image, kind)
        yield Case(f"{kind}: right", _image(whole, name), "read", exact=False)
        yield Case(f"{kind}: of another's name", _image(whole, "0.PNG"), "read", exact=False)
        for what, content in _damaged(draw, whole, 7):
            yield Case(f"{kind}: {what}", _image(content, name), "either", exact=False)
    for mode in ("L", "LA", "RGBA", "P", "1", "CMYK", "YCbCr"):
        kind = "JPEG" if mode in ("CMYK", "YCbCr") else "PNG"
        yield Case(
            f"{kind}: {mode}", _image(_saved(image.convert(mode), kind)), "read", exact=False
        )
    turned = Image.Exif()
    turned[0x0112] = 6
    yield Case("JPEG: turned by EXIF", _image(_saved(image, "JPEG", exif=turned)), "read",
               exact=False)  # fmt: skip
    for kind in ("PNG", "WEBP"):
        moving = _saved(image, kind, save_all=True, append_images=[image.rotate(90)])
        yield Case(f"{kind}: animated", _image(moving), "read", exact=False)
    for kind in ("GIF", "TIFF", "ICO", "PPM", "TGA", "PDF", "EPS"):
        yield Case(f"a {kind} named .jpg", _image(_saved(image, kind), "0.jpg"))
    foreign = {"html": b"<html>not found</html>", "nothing": b"", "zeros": bytes(4096),
               "svg": b"<svg xmlns='http://www.w3.org/2000/svg'/>", "zip": _zipped(_npys()),
               "a pickle": pickle.dumps(_Harm(open, MARK, "w"))}  # fmt: skip
    for what, content in foreign.items():
        for name in kinds.values():
            yield Case(f"{what} named {name}", _image(content, name))
    for colour, channels in ((0, 1), (2, 3), (4, 2), (6, 4)):
        rows = b"".join(b"\0" + bytes(2 * channels * 8) for _ in range(8))
        yield Case(f"PNG: 16 bits of colour {colour}", _image(_png(8, 8, 16, colour, rows)))
    for width, height in [(0, 0), (0, 8), (8, 0), (2**31 - 1, 2**31 - 1), (60_000, 60_000)]:
        yield Case(f"PNG: {width}x{height}", _image(_png(width, height, 8, 2, b"\0" * 100)))
    text = zlib.compress(bytes(64 * MIB))
    chunk = struct.pack(">I", len(text) + 6) + b"zTXt" + b"text\0\0" + text
    chunk += struct.pack(">I", zlib.crc32(chunk[4:]))
    small = b"".join(b"\0" + bytes(24) for _ in range(8))
    yield Case("PNG: text of 64 MiB", _image(_png(8, 8, 8, 2, small, chunk)), "either", exact=False)
    yield Case("PNG: 64 MiB of pixels", _image(_png(8, 8, 8, 2, bytes(64 * MIB))), "either",
               exact=False)  # fmt: skip


# ---------------------------------------------------------------------------------------- judging


@contextlib.contextmanager
def little_memory() -> Iterator[None]:
    """Bounds what this process may take beyond what it has."""
    with Path("/proc/self/statm").open() as pages:
        taken = int(pages.read().split()[0]) * resource.getpagesize()
    soft, hard = resource.getrlimit(resource.RLIMIT_AS)
    most = taken + MEMORY
    resource.setrlimit(resource.RLIMIT_AS, (most if soft < 0 else min(soft, most), hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_AS, (soft, hard))


def _wrong(dataset: Dataset, right: list[np.ndarray]) -> bool:
    found = (dataset.train_images, dataset.train_labels, dataset.test_images, dataset.test_labels)
    return not all(np.array_equal(a, b) for a, b in zip(found, right, strict=True))


def _decoded(dataset: Dataset) -> None:
    for images in (dataset.train_images, dataset.test_images):
        images.take(np.arange(len(images)), axis=0)


def _told(source: Source, case: Case) -> str | None:
    """What is wrong about what was read or said, if anything is."""
    try:
        with little_memory():
            describe(source)
            dataset = read(source)
            _decoded(dataset)
    except UserError as error:
        lines = str(error).splitlines()
        if len(lines) != 1 or not lines[0].startswith("data."):
            return f"refused by {lines}"
        return f"refused though it is right: {lines[0]}" if case.must == "read" else None
    if case.must == "refuse":
        return "it was read, and should be refused"
    if case.exact and _wrong(dataset, RIGHT[str(source)]):
        return "what was read is not what was written"
    return None


def judge(case: Case, folder: Path, outcome: Outcome) -> None:
    """Write a file, read it, and note what became of it."""
    outcome.tried += 1
    source = case.write(folder)
    before, here = sorted(folder.rglob("*")), sorted(Path.cwd().iterdir())
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # Pillow's of large images and odd EXIF
            wrong = _told(source, case)
    except Exception:
        outcome.tracebacks.append(f"{case.name}: {traceback.format_exc().splitlines()[-1]}")
        return
    if sorted(folder.rglob("*")) != before or sorted(Path.cwd().iterdir()) != here:
        wrong = "a file was written"
    if wrong is None:
        outcome.survived += 1
    else:
        outcome.silent.append(f"{case.name}: {wrong}")


def run(count: int | None, folder: Path, seed: int) -> Outcome:
    """Try files: all of them, or so many in an order of the seed."""
    chosen, outcome = list(cases(seed)), Outcome()
    random.Random(seed).shuffle(chosen)
    with contextlib.chdir(folder):
        for number, case in enumerate(chosen[:count]):
            own = Path(folder).absolute() / f"{number:04d}"
            own.mkdir()
            judge(case, own, outcome)
            shutil.rmtree(own)
    return outcome
