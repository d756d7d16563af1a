"""`training.trackers:` what follows a run from outside, one class each."""

from collections.abc import Iterator, Mapping
from importlib.util import find_spec
from pathlib import Path as File
from typing import Annotated, Any, ClassVar, Literal

from pydantic import Field

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

    Attributes:
        needs: the module that must be installed; empty if fgspec brings it.
        extra: of fgspec, which brings that module.
    """

    table: ClassVar = TRACKERS
    on_resume: ClassVar = Resume.MAY_CHANGE
    decides: ClassVar = False
    needs: ClassVar[str] = ""
    extra: ClassVar[str] = ""

    def problems(self, at: Path, training: Any) -> Iterator[Problem]:
        """No tracker is named twice: both would write to the same place."""
        if self in training.trackers[: at[-1]]:
            yield Problem(at, "is listed twice; remove one")

    def missing(self, at: Path) -> Iterator[Problem]:
        """The package that a run with this tracker must have; nothing is imported."""
        found = find_spec(self.needs) if self.needs else None
        # A folder that happens to be called wandb is found as a package without a file of its own.
        if self.needs and (found is None or found.origin is None):
            remedy = f'pip install "fgspec[{self.extra}]"' if self.extra else "install it"
            yield Problem(at, f"needs {self.needs}, which is not installed; {remedy}")

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


class TensorBoard(Tracker):
    """Event files for TensorBoard: a scalar for each metric, and the spec as a text."""

    behaviour: ClassVar[str | None] = "fgspec.training.on_tensorboard:TensorBoard"
    needs: ClassVar[str] = "tensorboard"
    extra: ClassVar[str] = "tensorboard"
    type: Literal["tensorboard"] = "tensorboard"
    folder: str | None = Field(
        default=None,
        description="Where the event files go, in a folder named after the run; null: "
        "`tensorboard` in the folder of the run.",
    )


class Named(Tracker):
    """A tracker that keeps runs by name, in projects."""

    project: Annotated[str, Field(min_length=1)] = Field(
        default="fgspec", description="The project, or experiment, that the run is listed in."
    )
    run: str | None = Field(
        default=None,
        description="The name of the run there; null: the name of the spec and of the run's "
        "folder.",
    )


class Wandb(Named):
    """Weights & Biases. Offline, which needs no account, `wandb sync` uploads the files later."""

    behaviour: ClassVar[str | None] = "fgspec.training.on_wandb:Wandb"
    needs: ClassVar[str] = "wandb"
    extra: ClassVar[str] = "wandb"
    type: Literal["wandb"] = "wandb"
    mode: Literal["offline", "online"] = Field(
        default="offline",
        description="offline: files in the folder of the run. online: sent as they come.",
    )
    entity: str | None = Field(
        default=None, description="The user or team; null: the default of the account."
    )
    group: str | None = Field(default=None, description="The group that the run is shown in.")
    tags: tuple[str, ...] = Field(
        default=(), description="Tags beside the spec's name, rule and hash."
    )


class Mlflow(Named):
    """MLflow; its experiment is `project`."""

    behaviour: ClassVar[str | None] = "fgspec.training.on_mlflow:Mlflow"
    needs: ClassVar[str] = "mlflow"
    extra: ClassVar[str] = "mlflow"
    type: Literal["mlflow"] = "mlflow"
    uri: str | None = Field(
        default=None,
        description="The tracking server or store, such as http://host:5000 or "
        "sqlite:///mlflow.db; null: $MLFLOW_TRACKING_URI, or mlflow.db in the current folder.",
    )


class Trackio(Named):
    """trackio: a SQLite file a project in $TRACKIO_DIR, shown by `trackio show`."""

    behaviour: ClassVar[str | None] = "fgspec.training.on_trackio:Trackio"
    needs: ClassVar[str] = "trackio"
    extra: ClassVar[str] = "trackio"
    type: Literal["trackio"] = "trackio"
    space: str | None = Field(
        default=None,
        description="The Hugging Face Space that the run is sent to; null: none, it stays on this "
        "machine.",
    )
