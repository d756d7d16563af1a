"""Writes a run to event files, which TensorBoard shows.

The parts of TensorBoard that are used need neither TensorFlow nor torch. Records are written one by
one, because a separate writing thread, as in tensorboardX, would hang if the disk is full.
"""

import importlib
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from pydantic import PrivateAttr

from fgspec.spec import trackers
from fgspec.training.run_folder import RunDir
from fgspec.training.tracked import label, plain, remember, remembered, tags

VERSION = "brain.Event:2"
"""The version of event files. From this version on, readers take account of `START` events."""


class TensorBoard(trackers.TensorBoard):
    """The tracker `tensorboard`, with the code that writes the files.

    Each time a run is resumed, it begins a new file. The first event of that file tells readers to
    ignore what earlier files have from that step on.
    """

    _folder: Path = PrivateAttr(default=Path())
    _first: list[Any] = PrivateAttr(default_factory=list)
    _file: Any = PrivateAttr(default=None)
    _step: int = PrivateAttr(default=0)
    _records: Any = PrivateAttr(default=None)

    def open(self, run_folder: Path, values: Mapping[str, Any]) -> None:
        """Choose the folder. The file is created with the first line of metrics."""
        place = f"tensorboard {self.folder or ''}".rstrip()
        about = remembered(run_folder, place)
        if about is None:
            to = Path(self.folder) / label(run_folder, values) if self.folder else None
            about = {"folder": str(to.resolve()) if to else "tensorboard"}
            remember(run_folder, place, about)
            hparams = importlib.import_module("tensorboard.plugins.hparams.summary_v2")
            self._first = [hparams.hparams_pb(plain(values) | tags(run_folder, values))]
            if (spec := RunDir(run_folder).resolved).exists():
                self._first.append(_text("spec", spec.read_text()))
        self._folder = run_folder / about["folder"]

    def log(self, step: int, metrics: Mapping[str, float]) -> None:
        """Write an event with a scalar for each metric."""
        if self._file is None:
            self._begin(step)
        protos = importlib.import_module("tensorboard.compat.proto.summary_pb2")
        scalars = [
            protos.Summary.Value(tag=name, simple_value=value) for name, value in metrics.items()
        ]
        self._write(step=step, summary=protos.Summary(value=scalars))
        self._step = step

    def close(self, status: str) -> None:
        """Record how the run ended, with its hyperparameters and as a text."""
        if self._file is None:
            return
        states = importlib.import_module("tensorboard.plugins.hparams.api_pb2")
        ends = {"done": states.STATUS_SUCCESS, "failed": states.STATUS_FAILURE}
        if status in ends:
            self._write(step=self._step, summary=_end(ends[status]))
        self._write(step=self._step, summary=_text("status", status))
        self._file.close()

    def _begin(self, step: int) -> None:
        self._folder.mkdir(parents=True, exist_ok=True)
        before = len(list(self._folder.glob("events.out.tfevents.*")))
        # Readers read files in the order of their names. Two files may begin in the same second.
        name = f"events.out.tfevents.{int(time.time()):010d}.{before:05d}.fgspec"
        writer = importlib.import_module("tensorboard.summary.writer.record_writer")
        events = importlib.import_module("tensorboard.compat.proto.event_pb2")
        self._file = (self._folder / name).open("xb")
        self._records = writer.RecordWriter(self._file)
        self._write(file_version=VERSION)
        if before:
            start = events.SessionLog(status=events.SessionLog.START)
            self._write(step=step, session_log=start)
        for summary in self._first:
            self._write(summary=summary)

    def _write(self, **fields: Any) -> None:
        events = importlib.import_module("tensorboard.compat.proto.event_pb2")
        event = events.Event(wall_time=time.time(), **fields)
        self._records.write(event.SerializeToString())
        self._file.flush()


def _end(status: Any) -> Any:
    """An event that says how a run ended, for the page of hyperparameters."""
    hparams = importlib.import_module("tensorboard.plugins.hparams.metadata")
    data = importlib.import_module("tensorboard.plugins.hparams.plugin_data_pb2")
    protos = importlib.import_module("tensorboard.compat.proto.summary_pb2")
    end = data.HParamsPluginData(session_end_info=data.SessionEndInfo(status=status))
    value = protos.Summary.Value(
        tag=hparams.SESSION_END_INFO_TAG,
        metadata=hparams.create_summary_metadata(end),
        tensor=hparams.NULL_TENSOR,
    )
    return protos.Summary(value=[value])


def _text(tag: str, text: str) -> Any:
    """A text that TensorBoard shows in a monospaced font."""
    module = importlib.import_module("tensorboard.plugins.text.summary_v2")
    return module.text_pb(tag, "".join(f"    {line}\n" for line in text.splitlines()))
