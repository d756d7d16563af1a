"""Pickles of NumPy arrays and plain containers, and of nothing that could run code."""

import io
import pickle
import pickletools
import re
from collections.abc import Callable, Mapping
from typing import Any

import numpy as np

_MOST_ARRAYS = 16
"""Arrays of a pickle; each copies its bytes, which many can share in the file."""

_NUMBERS = re.compile(r"b1|[iuf][1248]")
"""The dtypes of plain numbers; arrays of objects could be made of the addresses of anything."""


def load_numpy_pickle(content: bytes) -> Any:
    """Loads a pickle of containers, numbers, text and NumPy arrays, written by Python 2 or 3.

    Text of Python 2 is taken as latin-1, which also keeps its raw bytes.

    Raises:
        ValueError: it is damaged, or asks for anything else; nothing of that has been run.
    """
    try:
        _check_lengths(content)
        return _NumpyUnpickler(content).load()
    except Exception as error:  # a damaged pickle can raise anything
        raise ValueError(f"it cannot be unpickled ({error})") from error


def _check_lengths(content: bytes) -> None:
    """Refuse lengths beyond the end, and places in the memo beyond what could have filled it.

    The unpickler takes memory for both before it looks: 12 bytes would take gigabytes.
    """
    for opcode, argument, _ in pickletools.genops(content):
        if "PUT" in opcode.name and int(str(argument)) > len(content):
            raise pickle.UnpicklingError(f"it remembers a value under the number {argument}")


class _Array(np.ndarray):
    """An array that is filled as a pickle says, if that makes sense."""

    def __setstate__(self, state: Any, /) -> None:
        """Take version, shape, dtype, order and bytes."""
        version, shape, dtype, in_columns, raw = state
        if not isinstance(dtype, _Dtype):
            raise pickle.UnpicklingError("an array has no dtype")
        if isinstance(raw, str):  # of Python 2
            raw = raw.encode("latin1")
        made: Any = (int(version), shape, dtype.made(), bool(in_columns), bytes(raw))
        super().__setstate__(made)


class _Dtype:
    """The dtype of plain numbers that a pickle says."""

    def __init__(self, name: str, align: object = False, copy: object = False) -> None:
        if not _NUMBERS.fullmatch(name):
            raise pickle.UnpicklingError(f"the dtype {name!r} is not of plain numbers")
        self._name = name
        self._order = "="

    def __setstate__(self, state: Any) -> None:
        """Take the order of bytes, the only part of it that plain numbers have."""
        order = state[1]
        if order not in ("<", ">", "|", "="):
            raise pickle.UnpicklingError(f"the order of bytes {order!r} is not known")
        self._order = order

    def made(self) -> np.dtype[Any]:
        """As NumPy knows it."""
        return np.dtype(self._order + self._name)


_ARRAY = object()
"""Stands for numpy.ndarray, which as a function would take any memory."""


class _NumpyUnpickler(pickle.Unpickler):
    """Resolves only the names of a table."""

    def __init__(self, content: bytes) -> None:
        super().__init__(io.BytesIO(content), encoding="latin1")
        self._arrays = 0
        self._encoded, self._most_encoded = 0, len(content)
        self._allowed: Mapping[tuple[str, str], Callable[..., Any] | object] = {
            ("numpy.core.multiarray", "_reconstruct"): self._reconstruct,
            ("numpy._core.multiarray", "_reconstruct"): self._reconstruct,
            ("numpy", "ndarray"): _ARRAY,
            ("numpy", "dtype"): _Dtype,
            ("_codecs", "encode"): self._encode,
        }

    def find_class(self, module_name: str, global_name: str, /) -> Any:
        """The table's entry; raises UnpicklingError where there is none."""
        try:
            return self._allowed[module_name, global_name]
        except KeyError:
            raise pickle.UnpicklingError(
                f"it asks for {module_name}.{global_name}, which a data file has no use for"
            ) from None

    def _reconstruct(self, kind: object, shape: Any, typecode: Any) -> _Array:
        """An empty array, which its state fills."""
        if kind is not _ARRAY:
            raise pickle.UnpicklingError("it asks for an array that is not of numpy.ndarray")
        self._arrays += 1
        if self._arrays > _MOST_ARRAYS:
            raise pickle.UnpicklingError(f"it holds more than {_MOST_ARRAYS} arrays")
        return np.empty(0, np.uint8).view(_Array)

    def _encode(self, text: str, encoding: str) -> bytes:
        # How Python 3 writes bytes in the protocols of Python 2; any other codec has no place here.
        if encoding != "latin1":
            raise pickle.UnpicklingError(f"the encoding {encoding!r} is not allowed")
        # A pickle can ask for the bytes of one long text over and over.
        self._encoded += len(text)
        if self._encoded > self._most_encoded:
            raise pickle.UnpicklingError("it asks for more bytes than it holds")
        return text.encode(encoding)
