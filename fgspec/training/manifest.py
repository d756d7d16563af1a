"""What a checkpoint says about itself, and whether it is true.

A manifest lists every leaf of a state by path (`.params['w']`) with its dtype, shape and digest.
It lies in the checkpoint's JSON, which carries a digest of its own.
"""

import hashlib
import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any

import jax
import numpy as np

from fgspec.training.records import digest_of, verified


@dataclass(frozen=True)
class Leaf:
    """One array of a state; `sha256` is the hexadecimal digest of its bytes in C order."""

    dtype: str
    shape: tuple[int, ...]
    sha256: str


@dataclass(frozen=True)
class Description:
    """All that is saved beside the arrays; `identity` is the SHA-256 of the resolved spec."""

    step: int
    identity: str
    leaves: dict[str, Leaf]
    extra: dict[str, Any]


def named_leaves(tree: Any) -> dict[str, Any]:
    """Leaves by path, in the order of `jax.tree.leaves`.

    Args:
        tree: Any pytree.
    """
    return {
        jax.tree_util.keystr(path): leaf
        for path, leaf in jax.tree_util.tree_flatten_with_path(tree)[0]
    }


def describe(array: np.ndarray) -> Leaf:
    """The manifest's entry of an array of any shape and dtype."""
    return Leaf(str(array.dtype), array.shape, _sha256(array))


def arrays_digest(arrays: Mapping[str, np.ndarray]) -> str:
    """A SHA-256, in hexadecimal, of arrays and their names."""
    found = {name: asdict(describe(array)) for name, array in sorted(arrays.items())}
    return digest_of(json.loads(json.dumps(found)))


def seal(description: Description) -> dict[str, Any]:
    """A description as a JSON object that carries its own digest.

    Raises:
        TypeError: `extra` is not JSON.
    """
    body = json.loads(json.dumps(asdict(description)))
    return {"body": body, "sha256": digest_of(body)}


def unseal(sealed: Mapping[str, Any]) -> Description:
    """The description in a JSON object that `seal` made.

    Raises:
        ValueError: It was changed since.
        KeyError: It is something else.
    """
    body = verified(sealed)
    leaves = {
        path: Leaf(leaf["dtype"], tuple(leaf["shape"]), leaf["sha256"])
        for path, leaf in body["leaves"].items()
    }
    return Description(body["step"], body["identity"], leaves, body["extra"])


def check_template(leaves: Mapping[str, Leaf], template: Mapping[str, Any]) -> None:
    """Refuses a manifest whose leaves are not the template's.

    Args:
        leaves: The manifest.
        template: Path to anything with `shape` and `dtype`.

    Raises:
        ValueError: A leaf is missing, unknown, or of another dtype or shape.
    """
    if missing := [path for path in template if path not in leaves]:
        raise ValueError(f"it lacks {', '.join(missing)}")
    if unknown := [path for path in leaves if path not in template]:
        raise ValueError(f"it has {', '.join(unknown)}, which this program does not know")
    for path, leaf in leaves.items():
        dtype, shape = str(np.dtype(template[path].dtype)), tuple(template[path].shape)
        if (leaf.dtype, leaf.shape) != (dtype, shape):
            found = f"{leaf.dtype}{list(leaf.shape)}"
            raise ValueError(f"{path} is {found}, expected {dtype}{list(shape)}")


def check_array(path: str, leaf: Leaf, array: np.ndarray) -> None:
    """Refuses an array that is not, bit for bit, the one described.

    Raises:
        ValueError: Its dtype, shape or digest differs.
    """
    if (str(array.dtype), array.shape) != (leaf.dtype, leaf.shape):
        raise ValueError(f"{path} was read as {array.dtype}{list(array.shape)}")
    if _sha256(array) != leaf.sha256:
        raise ValueError(f"{path} is damaged (SHA-256 differs)")


def _sha256(array: np.ndarray) -> str:
    # Viewed as bytes because bfloat16 has no buffer of its own; reshaped because 0-d has no view.
    return hashlib.sha256(np.ascontiguousarray(array).reshape(-1).view(np.uint8).data).hexdigest()
