"""Loads pickles of NumPy arrays and plain containers, and refuses all that could run code."""

import io
import pickle
import pickletools
import re
from collections.abc import Callable, Mapping
from typing import Any

import numpy as np

_MOST_ARRAYS = 16
"""Arrays that a pickle may have. Each one copies its bytes, but many can share them in the file."""

_NUMBERS = re.compile(r"b1|[iuf][1248]")
"""The dtypes of plain numbers. An array of objects could point to any address in memory."""


def load_numpy_pickle(content: bytes) -> Any:
    """Load a pickle of containers, numbers, text and NumPy arrays, written by Python 2 or 3.

    Text of Python 2 is decoded as latin-1, which keeps its raw bytes.

    Raises:
        ValueError: the pickle is damaged, or asks for anything else. None of it has been run.
    """
    try:
        _check_lengths(content)
        return _NumpyUnpickler(content).load()
    except Exception as error:  # a damaged pickle can raise any exception
        raise ValueError(f"it cannot be unpickled ({error})") from error


def _check_lengths(content: bytes) -> None:
    """Refuse lengths beyond the end of the pickle, and memo indices beyond its length.

    The unpickler allocates memory for both before it checks them, so a pickle of 12 bytes could
    take gigabytes. `genops` raises an error for the lengths.
    """
    for opcode, argument, _ in pickletools.genops(content):
        if "PUT" in opcode.name and int(str(argument)) > len(content):
            raise pickle.UnpicklingError(f"it stores a value under the memo index {argument}")


class _Array(np.ndarray):
    """An array that takes its contents from a pickle, after checking them."""

    def __setstate__(self, state: Any, /) -> None:
        """Take the version, shape, dtype, memory order and bytes."""
        version, shape, dtype, in_columns, raw = state
        if not isinstance(dtype, _Dtype):
            raise pickle.UnpicklingError("an array has no dtype")
        if isinstance(raw, str):  # written by Python 2
            raw = raw.encode("latin1")
        made: Any = (int(version), shape, dtype.made(), bool(in_columns), bytes(raw))
        super().__setstate__(made)


class _Dtype:
    """A dtype in a pickle, which must be one of plain numbers."""

    def __init__(self, name: str, align: object = False, copy: object = False) -> None:
        if not _NUMBERS.fullmatch(name):
            raise pickle.UnpicklingError(f"the dtype {name!r} is not one of plain numbers")
        self._name = name
        self._order = "="

    def __setstate__(self, state: Any) -> None:
        """Take the byte order, which is the only part of the state that plain numbers need."""
        order = state[1]
        if order not in ("<", ">", "|", "="):
            raise pickle.UnpicklingError(f"the byte order {order!r} is unknown")
        self._order = order

    def made(self) -> np.dtype[Any]:
        """The dtype as a NumPy object."""
        return np.dtype(self._order + self._name)


_ARRAY = object()
"""Stands for numpy.ndarray, which a pickle could call to allocate any amount of memory."""


class _NumpyUnpickler(pickle.Unpickler):
    """An unpickler that resolves only the names in a table."""

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
        """The table's entry for a name; raises UnpicklingError if there is none."""
        try:
            return self._allowed[module_name, global_name]
        except KeyError:
            raise pickle.UnpicklingError(
                f"it asks for {module_name}.{global_name}, which a data file does not need"
            ) from None

    def _reconstruct(self, kind: object, shape: Any, typecode: Any) -> _Array:
        """An empty array, whose contents `__setstate__` sets."""
        if kind is not _ARRAY:
            raise pickle.UnpicklingError("it asks for an array that is not a numpy.ndarray")
        self._arrays += 1
        if self._arrays > _MOST_ARRAYS:
            raise pickle.UnpicklingError(f"it holds more than {_MOST_ARRAYS} arrays")
        return np.empty(0, np.uint8).view(_Array)

    def _encode(self, text: str, encoding: str) -> bytes:
        # Python 3 writes bytes in this way in the pickle protocols of Python 2. No other codec is
        # needed.
        if encoding != "latin1":
            raise pickle.UnpicklingError(f"the encoding {encoding!r} is not allowed")
        # A pickle could ask for the bytes of one long text again and again.
        self._encoded += len(text)
        if self._encoded > self._most_encoded:
            raise pickle.UnpicklingError("it asks for more bytes than it holds")
        return text.encode(encoding)
