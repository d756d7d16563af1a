"""Pickles of NumPy arrays and plain containers, and of nothing that could run code."""

import io
import pickle
from collections.abc import Callable, Mapping
from typing import Any

import numpy as np


def load_numpy_pickle(content: bytes) -> Any:
    """Loads a pickle of containers, numbers, text and NumPy arrays, written by Python 2 or 3.

    Text of Python 2 is taken as latin-1, which also keeps its raw bytes.

    Raises:
        ValueError: it is damaged, or asks for anything else; nothing of that has been run.
    """
    try:
        return _NumpyUnpickler(io.BytesIO(content), encoding="latin1").load()
    except Exception as error:  # a damaged pickle can raise anything
        raise ValueError(f"it cannot be unpickled ({error})") from error


def _dtype(name: str, align: object = False, copy: object = False) -> np.dtype[Any]:
    # Old pickles give the flags as integers, which NumPy 2.4 warns of.
    return np.dtype(name, align=bool(align), copy=bool(copy))


def _latin1_bytes(text: str, encoding: str) -> bytes:
    # How Python 3 writes bytes in the protocols of Python 2; any other codec has no place here.
    if encoding != "latin1":
        raise pickle.UnpicklingError(f"the encoding {encoding!r} is not allowed")
    return text.encode(encoding)


# NumPy's own function without its private module.
_reconstruct: Any = np.empty(0).__reduce__()[0]

_ALLOWED: Mapping[tuple[str, str], Callable[..., Any]] = {
    ("numpy.core.multiarray", "_reconstruct"): _reconstruct,
    ("numpy._core.multiarray", "_reconstruct"): _reconstruct,
    ("numpy", "ndarray"): np.ndarray,
    ("numpy", "dtype"): _dtype,
    ("_codecs", "encode"): _latin1_bytes,
}


class _NumpyUnpickler(pickle.Unpickler):
    """Resolves only the names of a table."""

    def find_class(self, module_name: str, global_name: str, /) -> Any:
        """The table's entry; raises UnpicklingError where there is none."""
        try:
            return _ALLOWED[module_name, global_name]
        except KeyError:
            raise pickle.UnpicklingError(
                f"it asks for {module_name}.{global_name}, which a data file has no use for"
            ) from None
