"""Checkpoints that are trusted only when every bit of them is what was saved.

Orbax writes and commits them (one rename a step, so that a killed process leaves either a whole
step or none). What it does not notice is checked here: flipped bits, another dtype, a renamed
step, another experiment's spec.
"""

import asyncio
import logging
import shutil
import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import orbax.checkpoint as ocp
from jax.experimental import multihost_utils

from fgspec.errors import DamagedRecord, ResumeError
from fgspec.training.manifest import (
    Description,
    Leaf,
    check_array,
    check_template,
    describe,
    named_leaves,
    seal,
    unseal,
)

LOG = logging.getLogger("fgspec")


@dataclass(frozen=True)
class Restored:
    """What a checkpoint held: arrays placed as the template asked, and the JSON beside them."""

    step: int
    state: Any
    extra: dict[str, Any]


class Checkpointer:
    """The checkpoints of one run, of which it is the only writer.

    Opening removes what a killed process left half written. Steps on disk that this object has
    neither saved nor restored are moved out of the way (to `set-aside-<step>`) when they are
    damaged or when a save reaches their number; nothing else is ever renamed.

    Args:
        directory: Where the step directories lie; made if missing.
        keep: How many of the newest steps stay on disk; at least 1.
        identity: SHA-256 of the resolved spec, in hexadecimal.
        clean: Whether to remove what a killed process left half written; only a run's writer may.
    """

    def __init__(self, directory: Path, *, keep: int, identity: str, clean: bool = True) -> None:
        self._directory = directory.resolve()
        self._identity = identity
        self._directory.mkdir(parents=True, exist_ok=True)
        if clean and jax.process_index() == 0:
            for leftover in self._directory.glob("*.orbax-checkpoint-tmp*"):
                shutil.rmtree(leftover)
        self._foreign = set(self._steps_on_disk())
        self._trusted: set[int] = set()
        self._damaged: set[int] = set()
        self._manager = _open_manager(self._directory, keep)

    def save(self, step: int, state: Any, extra: Mapping[str, Any]) -> None:
        """Copies the state to the host and returns; files are written in the background.

        The buffers of `state` may be donated or overwritten as soon as this returns. A step that
        this object saved or restored before is left as it is.

        Args:
            step: The number of updates done.
            state: A pytree of arrays of any shapes and dtypes (PRNG keys as raw uint32).
            extra: A JSON object; tuples come back as lists.

        Raises:
            Exception: An earlier save failed in the background, for example on a full disk.
        """
        if step in self._trusted:
            return
        self._clear_the_way(step)
        arrays = {path: _to_host(value) for path, value in named_leaves(state).items()}
        leaves = {path: describe(array) for path, array in arrays.items()}
        sealed = seal(Description(step, self._identity, leaves, dict(extra)))
        # Orbax refuses to write an array of no elements; the manifest suffices to make it again.
        filled = {path: array for path, array in arrays.items() if array.size}
        self._manager.save(
            step,
            force=True,
            args=ocp.args.Composite(
                state=ocp.args.PyTreeSave(filled), meta=ocp.args.JsonSave(sealed)
            ),
        )
        self._trusted.add(step)

    def restore(
        self, template: Any, accept: Callable[[Restored], object] | None = None
    ) -> Restored | None:
        """Reads the newest intact checkpoint, bit for bit; each damaged one is logged and skipped.

        Args:
            template: The state's pytree with `jax.ShapeDtypeStruct` leaves; a leaf without a
                sharding goes to the default device.
            accept: Raises `DamagedRecord` if the run's other records do not fit a checkpoint, which
                is then skipped as if it were damaged.

        Returns:
            The checkpoint, or None if there is none at all.

        Raises:
            ResumeError: No checkpoint is intact, or one belongs to another experiment.
        """
        self._manager.wait_until_finished()
        reasons: dict[int, str] = {}
        for step in reversed(self._steps_on_disk()):
            try:
                restored = self._read(step, template)
                if accept is not None:
                    accept(restored)
            except DamagedRecord as error:
                reasons[step] = str(error)
                LOG.warning("skipped checkpoint %s: %s", self._directory / str(step), error)
                continue
            except ResumeError:
                raise
            except Exception as error:  # Damaged files make Orbax raise nearly anything.
                reasons[step] = _first_line(error)
                LOG.warning("skipped checkpoint %s: %s", self._directory / str(step), reasons[step])
                continue
            self._damaged.update(reasons)
            self._foreign.update(reasons)
            self._trusted = (self._trusted - set(reasons)) | {step}
            return restored
        if reasons:
            listed = "\n".join(f"  step {step}: {reason}" for step, reason in reasons.items())
            raise ResumeError(
                f"{self._directory}: none of the checkpoints can be used:\n{listed}\n"
                "Restore what is damaged from a copy, or start a new run."
            )
        return None

    def set_aside_damaged(self) -> None:
        """Moves steps that `restore` skipped out of the way, before what they stand for is redone.

        Their manifests seal a log that will not be there again.
        """
        self._clear_the_way(sys.maxsize)

    def newest(self) -> int:
        """The newest step that this object saved or restored; 0 if none."""
        return max(self._trusted, default=0)

    def wait(self) -> None:
        """Waits until everything saved is on disk."""
        self._manager.wait_until_finished()

    def close(self) -> None:
        """Waits until everything saved is on disk, and ends."""
        self._manager.close()

    def _steps_on_disk(self) -> list[int]:
        """The numbers of all step directories, ascending, whatever state they are in."""
        names = (path.name for path in self._directory.iterdir() if path.is_dir())
        return sorted(int(name) for name in names if name.isascii() and name.isdecimal())

    def _clear_the_way(self, step: int) -> None:
        """Sets aside foreign steps that are damaged or not older than `step`.

        Orbax would refuse their number or, counting them among the newest, delete good ones.
        """
        blocking = {
            found
            for found in self._foreign - self._trusted
            if found in self._damaged or found >= step
        }
        if not blocking:
            return
        self._foreign -= blocking
        self._damaged -= blocking
        if jax.process_index() == 0:
            for found in blocking.intersection(self._steps_on_disk()):
                aside = self._directory / f"set-aside-{found}"
                shutil.rmtree(aside, ignore_errors=True)
                (self._directory / str(found)).rename(aside)
                LOG.warning("moved the unused checkpoint %d to %s", found, aside)
        if jax.process_count() > 1:
            multihost_utils.sync_global_devices("fgspec:set-aside")
        self._manager.reload()

    def _read(self, step: int, template: Any) -> Restored:
        """One checkpoint, verified.

        Raises:
            ResumeError: It belongs to another experiment.
            Exception: Whatever else shows that it is not what was saved.
        """
        meta = self._manager.restore(step, args=ocp.args.Composite(meta=ocp.args.JsonRestore()))
        found = unseal(meta["meta"])
        if found.identity != self._identity:
            raise ResumeError(
                f"{self._directory / str(step)}: this checkpoint was written by another experiment "
                f"(identity {found.identity[:12]}, expected {self._identity[:12]}). "
                "Resume with the spec that began the run, or train into another directory."
            )
        if found.step != step:
            raise ValueError(f"the directory is named {step} but holds step {found.step}")
        wanted = named_leaves(template)
        check_template(found.leaves, wanted)
        arrays = self._read_arrays(step, found.leaves)
        placed = [_place(arrays[path], leaf.sharding) for path, leaf in wanted.items()]
        state = jax.tree.unflatten(jax.tree.structure(template), placed)
        return Restored(step, state, found.extra)

    def _read_arrays(self, step: int, leaves: Mapping[str, Leaf]) -> dict[str, np.ndarray]:
        """The arrays of a manifest on the host, each one verified."""
        filled = [path for path, leaf in leaves.items() if 0 not in leaf.shape]
        request = ocp.args.PyTreeRestore(
            item=dict.fromkeys(filled, 0),
            restore_args={path: ocp.RestoreArgs(restore_type=np.ndarray) for path in filled},
        )
        read = self._manager.restore(step, args=ocp.args.Composite(state=request))["state"]
        arrays: dict[str, np.ndarray] = {}
        for path, leaf in leaves.items():
            array = np.asarray(read[path]) if path in read else np.empty(leaf.shape, leaf.dtype)
            check_array(path, leaf, array)
            arrays[path] = array
        return arrays


class _PatientReads(ocp.type_handlers.NumpyHandler):
    """Ends every read before it reports the first that failed.

    Orbax closes its event loop at the first failure, and each read that ends after that complains
    on standard error that the loop is closed.
    """

    async def deserialize(
        self,
        infos: Sequence[ocp.type_handlers.ParamInfo],
        args: Sequence[ocp.RestoreArgs] | None = None,
    ) -> Sequence[np.ndarray]:
        """The arrays of `infos`, read side by side."""
        read = super().deserialize
        asked = args or [ocp.RestoreArgs()] * len(infos)
        reads = [read([info], [arg]) for info, arg in zip(infos, asked, strict=True)]
        ended = await asyncio.gather(*reads, return_exceptions=True)
        arrays: list[np.ndarray] = []
        for outcome in ended:
            if isinstance(outcome, BaseException):
                raise outcome
            arrays.extend(outcome)
        return arrays


def newest(directory: Path, identity: str, template: Any) -> Restored | None:
    """The newest intact checkpoint of a run that may be going on; see `Checkpointer.restore`."""
    reader = Checkpointer(directory, keep=1, identity=identity, clean=False)
    try:
        return reader.restore(template)
    finally:
        reader.close()


def _open_manager(directory: Path, keep: int) -> ocp.CheckpointManager:
    # The arrays given to it are copies already: it need not copy them again.
    arrays = (np.ndarray, _PatientReads(deepcopy_host_arrays=False))
    # Never used, but Orbax warns where it is missing.
    unused = (jax.Array, ocp.type_handlers.ArrayHandler())
    state = ocp.PyTreeCheckpointHandler(
        type_handler_registry=ocp.type_handlers.create_type_handler_registry(arrays, unused)
    )
    return ocp.CheckpointManager(
        directory,
        item_handlers={"state": state, "meta": ocp.JsonCheckpointHandler()},
        options=ocp.CheckpointManagerOptions(
            preservation_policy=ocp.checkpoint_managers.LatestN(keep),
            # `restore` judges each step itself; Orbax would log errors about damaged ones.
            lightweight_initialize=True,
        ),
    )


def _to_host(value: Any) -> np.ndarray:
    """A copy that shares no memory with the device, which on a CPU a plain view would."""
    if isinstance(value, jax.Array) and not (
        value.is_fully_addressable or value.is_fully_replicated
    ):
        value = multihost_utils.process_allgather(value, tiled=True)
    return np.array(value, order="C", copy=True)


def _place(array: np.ndarray, sharding: jax.sharding.Sharding | None) -> jax.Array:
    if sharding is None:
        return jnp.array(array)
    return jax.make_array_from_callback(array.shape, sharding, lambda index: array[index])


def _first_line(error: Exception) -> str:
    line = str(error).strip().split("\n", 1)[0]
    return f"{type(error).__name__}: {line[:200]}"
