"""Checkpoints that are trusted only when every bit of them is what was saved.

Orbax writes and commits them (one rename a step, so that a killed process leaves either a whole
step or none). What it does not notice is checked here: flipped bits, another dtype, a renamed
step, another experiment's spec.
"""

import errno
import importlib
import logging
import os
import shutil
import sys
import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import jax
import jax.numpy as jnp
import numpy as np
from jax.experimental import multihost_utils

from fgspec.errors import DamagedRecord, ResumeError, RunError
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
from fgspec.training.steps import steps_in

if TYPE_CHECKING:
    from fgspec.training.orbax_files import StepFiles

LOG = logging.getLogger("fgspec")

ORBAX = "fgspec.training.orbax_files"
"""The module that imports Orbax."""

_REMOVAL = 1.0
"""Seconds in which a writer removes a step that it began to remove."""


@dataclass(frozen=True)
class Restored:
    """What a checkpoint held: arrays placed as the template asked, and the JSON beside them."""

    step: int
    state: Any
    extra: dict[str, Any]


class Checkpointer:
    """The checkpoints of one run, of which it is the only writer.

    Opening removes what a killed process left half written. The first step that is saved is read
    back before any is trusted: whatever keeps a file system from giving back what it was given
    would otherwise be noticed when the run is lost. Steps on disk that this object has
    neither saved nor restored are moved out of the way (to `set-aside-<step>`) when they are
    damaged or when a save reaches their number; nothing else is ever renamed.

    Args:
        directory: Where the step directories lie; made if missing.
        keep: How many of the newest steps stay on disk; at least 1.
        identity: SHA-256 of the resolved spec, in hexadecimal.
        clean: Whether to remove what a killed process left half written; only a run's writer may.

    Raises:
        ResumeError: A file lies where the directory belongs.
    """

    def __init__(self, directory: Path, *, keep: int, identity: str, clean: bool = True) -> None:
        self._directory = directory.resolve()
        self._identity = identity
        self._clean = clean
        try:
            self._directory.mkdir(parents=True, exist_ok=True)
        except (FileExistsError, NotADirectoryError):
            raise ResumeError(
                f"{directory}: is a file, but must be the folder of checkpoints; restore the run "
                "from a copy, or remove the file to start again"
            ) from None
        if clean and jax.process_index() == 0:
            for leftover in self._directory.glob("*.orbax-checkpoint-tmp*"):
                shutil.rmtree(leftover)
        self._foreign = set(self._steps_on_disk())
        self._trusted: set[int] = set()
        self._damaged: set[int] = set()
        self._proven = False
        # Imported late, because it takes long: a run imports it while XLA compiles.
        self._files: StepFiles = importlib.import_module(ORBAX).StepFiles(self._directory, keep)
        self._place = _identity_of(self._directory)

    def preserve(self, steps: Iterable[int]) -> None:
        """Keeps these steps besides the newest, from the next save on, and no longer others."""
        self._files.preserve(steps)

    def save(self, step: int, state: Any, extra: Mapping[str, Any]) -> None:
        """Copies the state to the host and returns; files are written in the background.

        The buffers of `state` may be donated or overwritten as soon as this returns. A step that
        this object saved or restored before is left as it is.

        Args:
            step: The number of updates done.
            state: A pytree of arrays of any shapes and dtypes (PRNG keys as raw uint32).
            extra: A JSON object; tuples come back as lists.

        Raises:
            OSError: This save failed, or an earlier one in the background, as on a full disk.
            RunError: The first step that this object saved cannot be read back.
        """
        if step in self._trusted:
            return
        # Orbax would make the folder anew, and go on without the steps that were in it.
        if _identity_of(self._directory) != self._place:
            raise _taken_away(self._directory)
        with _as_os_error(self._directory):
            self._save(step, state, extra)
        self._trusted.add(step)

    def _save(self, step: int, state: Any, extra: Mapping[str, Any]) -> None:
        self._clear_the_way(step)
        arrays = {path: _to_host(value) for path, value in named_leaves(state).items()}
        leaves = {path: describe(array) for path, array in arrays.items()}
        sealed = seal(Description(step, self._identity, leaves, dict(extra)))
        # Orbax refuses to write an array of no elements; the manifest suffices to make it again.
        filled = {path: array for path, array in arrays.items() if array.size}
        self._files.write(step, filled, sealed)
        if not self._proven:
            self._prove(step)

    def _prove(self, step: int) -> None:
        """Reads a step back that was just saved."""
        self._files.wait()
        try:
            self._verified(step)
        except Exception as error:  # as in `restore`
            raise RunError(
                f"{self._directory / str(step)}: the saved checkpoint cannot be read back "
                f"({_first_line(error)}); use a folder with another name or on another file system"
            ) from error
        self._proven = True

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
        self._files.wait()
        reasons: dict[int, str] = {}
        steps = self._steps_on_disk()
        for step in reversed(steps):
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
                if not self._clean and self._have_changed(steps):
                    return self.restore(template)
                LOG.warning("skipped checkpoint %s: %s", self._directory / str(step), reasons[step])
                continue
            self._damaged.update(reasons)
            self._foreign.update(reasons)
            self._trusted = (self._trusted - set(reasons)) | {step}
            return restored
        if reasons:
            listed = "\n".join(f"  step {step}: {reason}" for step, reason in reasons.items())
            raise ResumeError(
                f"{self._directory}: none of the checkpoints can be used:\n{listed}\nRestore the "
                "damaged files from a copy, or start a new run."
            )
        return None

    def restore_best(self, template: Any) -> Restored | None:
        """Reads the checkpoint of the best evaluation up to the newest intact one.

        Args:
            template: As for `restore`.

        Returns:
            The checkpoint, or None if the run marks none.

        Raises:
            ResumeError: No checkpoint is intact, the best is gone or damaged, or one belongs to
                another experiment.
        """
        newest = self.restore(template)
        mark = None if newest is None else newest.extra.get("best")
        if newest is None or mark is None:
            return None
        own = mark["step"] == newest.step
        return newest if own else self.restore_at(mark["step"], template)

    def restore_at(self, step: int, template: Any) -> Restored:
        """Reads the checkpoint of one step, bit for bit; see `restore`.

        Raises:
            ResumeError: There is none, it is damaged, or it belongs to another experiment.
        """
        self._files.wait()
        if step not in (steps := self._steps_on_disk()):
            there = ", ".join(map(str, steps)) or "none"
            raise ResumeError(
                f"{self._directory}: no checkpoint of step {step}; available steps: {there}"
            )
        try:
            return self._read(step, template)
        except ResumeError:
            raise
        except Exception as error:  # as in `restore`
            raise ResumeError(
                f"{self._at(step)}: cannot be used: {_first_line(error)}; restore it from a copy, "
                "or take another step"
            ) from error

    def set_aside_damaged(self) -> None:
        """Moves steps that `restore` skipped out of the way, before what they stand for is redone.

        Their manifests seal a log that will not be there again.
        """
        self._clear_the_way(sys.maxsize)

    def newest(self) -> int:
        """The newest step that this object saved or restored; 0 if none."""
        return max(self._trusted, default=0)

    def wait(self) -> None:
        """Waits until everything saved is on disk.

        Raises:
            OSError: A save failed in the background.
        """
        with _as_os_error(self._directory):
            self._files.wait()

    def close(self) -> None:
        """Waits until everything saved is on disk, and ends Orbax's threads.

        Raises:
            OSError: A save failed in the background.
        """
        with _as_os_error(self._directory):
            self._files.close()

    def _have_changed(self, steps: Sequence[int]) -> bool:
        """Whether the run's writer saves and removes steps meanwhile; waits while it may do so."""
        until = time.monotonic() + _REMOVAL
        while self._steps_on_disk() == steps:
            if time.monotonic() > until:
                return False
            time.sleep(_REMOVAL / 50)
        self._files.reload()
        return True

    def _steps_on_disk(self) -> list[int]:
        """The numbers of all step directories, ascending, whatever state they are in."""
        return [step for step in steps_in(self._directory) if self._at(step).is_dir()]

    def _at(self, step: int) -> Path:
        return self._directory / str(step)

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
        self._files.reload()

    def _read(self, step: int, template: Any) -> Restored:
        """One checkpoint, verified.

        Raises:
            ResumeError: It belongs to another experiment.
            Exception: Whatever else shows that it is not what was saved.
        """
        found, arrays = self._verified(step)
        wanted = named_leaves(template)
        check_template(found.leaves, wanted)
        placed = [_place(arrays[path], leaf.sharding) for path, leaf in wanted.items()]
        state = jax.tree.unflatten(jax.tree.structure(template), placed)
        return Restored(step, state, found.extra)

    def _verified(self, step: int) -> tuple[Description, dict[str, np.ndarray]]:
        """What one checkpoint says of itself, and its arrays; raises what `_read` raises."""
        found = unseal(self._files.read_meta(step))
        if found.identity != self._identity:
            raise ResumeError(
                f"{self._directory / str(step)}: this checkpoint was written by another "
                f"experiment (identity {found.identity[:12]}, expected {self._identity[:12]}). "
                "Resume with the spec of that run, or use another folder."
            )
        if found.step != step:
            raise ValueError(f"the directory is named {step} but holds step {found.step}")
        return found, self._read_arrays(step, found.leaves)

    def _read_arrays(self, step: int, leaves: Mapping[str, Leaf]) -> dict[str, np.ndarray]:
        """The arrays of a manifest on the host, each one verified."""
        filled = [path for path, leaf in leaves.items() if 0 not in leaf.shape]
        read = self._files.read_arrays(step, filled)
        arrays: dict[str, np.ndarray] = {}
        for path, leaf in leaves.items():
            array = np.asarray(read[path]) if path in read else np.empty(leaf.shape, leaf.dtype)
            check_array(path, leaf, array)
            arrays[path] = array
        return arrays


def _identity_of(folder: Path) -> tuple[int, int] | None:
    """What tells a folder from another one of its name; None if there is none."""
    try:
        found = folder.stat()
    except (FileNotFoundError, NotADirectoryError):
        return None
    return found.st_dev, found.st_ino


def _taken_away(folder: Path) -> OSError:
    return FileNotFoundError(errno.ENOENT, "the folder was removed", str(folder))


@contextmanager
def _as_os_error(directory: Path) -> Iterator[None]:
    """Raises whatever Orbax and TensorStore make of a file that cannot be written as one kind."""
    try:
        yield
    except (OSError, jax.errors.JaxRuntimeError):  # the latter is a process that was lost
        raise
    except Exception as error:
        text = f"{error} {error.__cause__ or error.__context__ or ''}"
        for number in _WRITE_ERRORS:
            if os.strerror(number) in text:
                raise OSError(number, os.strerror(number), str(directory)) from error
        if "NOT_FOUND" in text or not directory.is_dir():
            raise _taken_away(directory) from error
        raise


_WRITE_ERRORS = (
    *(errno.ENOSPC, errno.EDQUOT, errno.EFBIG, errno.EROFS, errno.EACCES, errno.EPERM),
    *(errno.ENOENT, errno.ENOTDIR, errno.EIO, errno.ESTALE),
)


def newest(directory: Path, identity: str, template: Any) -> Restored | None:
    """The newest intact checkpoint of a run that may be going on; see `Checkpointer.restore`."""
    with _reader(directory, identity) as reader:
        return reader.restore(template)


def at_step(directory: Path, identity: str, template: Any, step: int) -> Restored:
    """The checkpoint of one step of a run that may be going on; see `Checkpointer.restore_at`."""
    with _reader(directory, identity) as reader:
        return reader.restore_at(step, template)


@contextmanager
def _reader(directory: Path, identity: str) -> Iterator[Checkpointer]:
    reader = Checkpointer(directory, keep=1, identity=identity, clean=False)
    try:
        yield reader
    finally:
        reader.close()


def best(directory: Path, identity: str, template: Any) -> Restored | None:
    """The best checkpoint of a run that may be going on; see `Checkpointer.restore_best`."""
    reader = Checkpointer(directory, keep=1, identity=identity, clean=False)
    try:
        return reader.restore_best(template)
    finally:
        reader.close()


def _to_host(value: Any) -> np.ndarray:
    """A copy that shares no memory with the device, which on a CPU a plain view would.

    It is whole, so that a checkpoint has no trace of the mesh that wrote it.
    """
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
