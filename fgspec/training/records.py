"""JSON files that carry a digest of their own, so that a damaged one is noticed and named.

A sealed file has two fields more than what was written: `sealed` first, `sha256` last. A file with
neither was written before files were sealed, and is read as it is. One flipped bit can hide one of
the two, never both.
"""

import hashlib
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from fgspec.errors import DamagedRecord
from fgspec.training.logbook import encoded, write_json

_MARK, _DIGEST = "sealed", "sha256"


def write_record(path: Path, value: Mapping[str, Any]) -> None:
    """Replaces a file by a sealed JSON object.

    Args:
        path: The file; its folder is made if missing.
        value: The object, without fields named `sealed` or `sha256`.
    """
    body = {_MARK: _DIGEST, **value}
    write_json(path, {**body, _DIGEST: digest_of(encoded(body))})


def read_record(path: Path) -> dict[str, Any]:
    """The object that `write_record` wrote, or one of before files were sealed.

    Args:
        path: The file.

    Raises:
        DamagedRecord: The file is missing, cannot be read, or was changed since.
    """
    try:
        value = json.loads(path.read_bytes())
    except OSError as error:
        raise DamagedRecord(f"{path}: cannot be read ({error.strerror or error})") from None
    except (ValueError, RecursionError):
        raise DamagedRecord(f"{path}: is damaged: it is no JSON") from None
    if not isinstance(value, dict):
        raise DamagedRecord(f"{path}: is damaged: it is not a JSON object")
    digest = value.pop(_DIGEST, None)
    if digest is None and _MARK not in value:
        return value
    if digest != digest_of(value):
        raise DamagedRecord(f"{path}: was changed since it was written (its SHA-256 differs)")
    del value[_MARK]
    return value


def digest_of(body: Mapping[str, Any]) -> str:
    """The SHA-256 of a JSON object, in hexadecimal, whatever the order of its fields.

    Args:
        body: As JSON reads it: with lists for tuples, and without NaN.
    """
    return hashlib.sha256(json.dumps(body, sort_keys=True).encode()).hexdigest()


def verified(sealed: Mapping[str, Any]) -> dict[str, Any]:
    """The body of an object `{"body": ..., "sha256": ...}`, as the manifest of a checkpoint is.

    Raises:
        ValueError: The body was changed since.
        KeyError: It is something else.
    """
    body = sealed["body"]
    if digest_of(body) != sealed["sha256"]:
        raise ValueError("its description is damaged (SHA-256 differs)")
    return body
