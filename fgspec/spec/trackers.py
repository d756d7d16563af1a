"""`training.trackers:` what follows a run from outside, one class each."""

from collections.abc import Iterator, Mapping
from pathlib import Path as File
from typing import Any, ClassVar, Literal

from fgspec.problems.problems import Problem
from fgspec.spec.base import Resume
from fgspec.spec.kinds import Kind, table
from fgspec.yaml.load import Path

TRACKERS = table("tracker", "trackers")


class Tracker(Kind):
    """Receives every line of metrics that a run writes, and decides no number.

    `open` is called once, then `log` for every line in the order of steps, then `close`. Only
    process 0 of a run calls it. An error is printed as a warning, and the tracker receives nothing
    more; the run goes on. Each run has an instance of its own: what it must remember belongs into
    private attributes of pydantic, such as `_file: Any = PrivateAttr(None)`.
    """

    table: ClassVar = TRACKERS
    on_resume: ClassVar = Resume.MAY_CHANGE

    def problems(self, at: Path, training: Any) -> Iterator[Problem]:
        """No tracker is named twice: both would write to the same place."""
        if self in training.trackers[: at[-1]]:
            yield Problem(at, "is listed twice; remove one")

    def open(self, run_folder: File, values: Mapping[str, Any]) -> None:
        """The run begins, or is resumed: then the folder is the one of before.

        A run that was killed is resumed from its last checkpoint, so that lines that were logged
        before may come once more.

        Args:
            run_folder: of the run; it holds metrics.jsonl, cut off after the checkpoint.
            values: the resolved spec as plain values.
        """
        raise self.lacks("open")

    def log(self, step: int, metrics: Mapping[str, float]) -> None:
        """A line of metrics.

        Args:
            step: updates done.
            metrics: by name, such as `train/loss`; not the same names in every line.
        """
        raise self.lacks("log")

    def close(self, status: str) -> None:
        """The run is over, or stopped until it is resumed.

        Args:
            status: `done`, `preempted` or `failed`.
        """


class Csv(Tracker):
    """metrics.csv in the folder of the run: a row for each line, a column for each metric."""

    behaviour: ClassVar[str | None] = "fgspec.training.csv_file:Csv"
    type: Literal["csv"] = "csv"
