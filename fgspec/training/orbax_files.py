"""The steps in one folder, as Orbax writes and reads them.

Importing Orbax takes long, so `checkpoint` imports this module when it opens a folder.
"""

import asyncio
import glob
import logging
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

import jax
import numpy as np
import orbax.checkpoint as ocp


def _is_not_orbax(record: logging.LogRecord) -> bool:
    # Its background threads log each failure with a traceback, and raise it here as well.
    return record.exc_info is None or "orbax" not in record.pathname


logging.getLogger("absl").addFilter(_is_not_orbax)


class StepFiles:
    """The steps in one folder: arrays by name, and JSON beside them.

    Args:
        directory: has a folder for each step.
        keep: how many of the newest steps stay on disk.
    """

    def __init__(self, directory: Path, keep: int) -> None:
        self._policy = _Preserve(keep)
        self._manager = _open_manager(directory, self._policy)

    def preserve(self, steps: Iterable[int]) -> None:
        """Keep these steps besides the newest, from the next save on, and no longer others."""
        self._policy.also = frozenset(steps)

    def write(self, step: int, arrays: Mapping[str, np.ndarray], meta: Mapping[str, Any]) -> None:
        """Begin to write a step in the background; Orbax writes no arrays without elements."""
        items = ocp.args.Composite(
            state=ocp.args.PyTreeSave(dict(arrays)), meta=ocp.args.JsonSave(dict(meta))
        )
        self._manager.save(step, force=True, args=items)

    def read_meta(self, step: int) -> Any:
        """The JSON of a step."""
        items = ocp.args.Composite(meta=ocp.args.JsonRestore())
        return self._manager.restore(step, args=items)["meta"]

    def read_arrays(self, step: int, names: Sequence[str]) -> Mapping[str, Any]:
        """These arrays of a step, on the host."""
        request = ocp.args.PyTreeRestore(
            item=dict.fromkeys(names, 0),
            restore_args={name: ocp.RestoreArgs(restore_type=np.ndarray) for name in names},
        )
        return self._manager.restore(step, args=ocp.args.Composite(state=request))["state"]

    def reload(self) -> None:
        """Look again at which steps there are."""
        self._manager.reload()

    def wait(self) -> None:
        """Wait until everything is on disk."""
        self._manager.wait_until_finished()

    def close(self) -> None:
        """Wait until everything is on disk, and end Orbax's threads."""
        self._manager.close()


class _Patient(ocp.type_handlers.NumpyHandler):
    """Ends every read and write before it reports the first that failed.

    Orbax closes its event loop at the first failure, and each of them that ends after that
    complains on standard error that the loop is closed.
    """

    async def _background_serialize(
        self,
        values: Sequence[np.ndarray],
        infos: Sequence[ocp.type_handlers.ParamInfo],
        args: Sequence[ocp.SaveArgs] | None = None,
    ) -> None:
        write = super()._background_serialize
        asked = args or [ocp.SaveArgs()] * len(values)
        writes = [write([v], [i], [a]) for v, i, a in zip(values, infos, asked, strict=True)]
        for outcome in await asyncio.gather(*writes, return_exceptions=True):
            if isinstance(outcome, BaseException):
                raise outcome

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


class _Preserve:
    """Which steps stay on disk: the newest, and others by their number."""

    def __init__(self, keep: int) -> None:
        self._newest = ocp.checkpoint_managers.LatestN(keep)
        self.also: frozenset[int] = frozenset()

    def should_preserve(self, checkpoints: Sequence[Any], *, context: Any) -> Sequence[bool]:
        """Whether each of these steps stays; called by Orbax."""
        newest = self._newest.should_preserve(checkpoints, context=context)
        pairs = zip(checkpoints, newest, strict=True)
        return [new or found.step in self.also for found, new in pairs]


def _open_manager(directory: Path, policy: _Preserve) -> ocp.CheckpointManager:
    # The arrays given to it are copies already: it need not copy them again.
    arrays = (np.ndarray, _Patient(deepcopy_host_arrays=False))
    # Never used, but Orbax warns where it is missing.
    unused = (jax.Array, ocp.type_handlers.ArrayHandler())
    # Orbax looks for what it is to merge into one OCDBT database by a pattern that begins with the
    # folder's name: in `[2026] thesis` it finds nothing, and the checkpoint cannot be read. Arrays
    # in files of their own need no merging; how a checkpoint was written is seen when it is read.
    plain = glob.escape(str(directory)) == str(directory)
    state = ocp.PyTreeCheckpointHandler(
        use_ocdbt=plain,
        type_handler_registry=ocp.type_handlers.create_type_handler_registry(arrays, unused),
    )
    return ocp.CheckpointManager(
        directory,
        item_handlers={"state": state, "meta": ocp.JsonCheckpointHandler()},
        options=ocp.CheckpointManagerOptions(
            preservation_policy=policy,
            # `restore` judges each step itself; Orbax would log errors about damaged ones.
            lightweight_initialize=True,
        ),
    )
