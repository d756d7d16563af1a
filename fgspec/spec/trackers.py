"""`training.trackers:` tools that receive the metrics of a run, one class each."""

from collections.abc import Iterator, Mapping
from importlib.util import find_spec
from pathlib import Path as File
from typing import Annotated, Any, ClassVar, Literal

from pydantic import Field

from fgspec.problems.problems import Problem
from fgspec.spec.base import Resume, Values
from fgspec.spec.kinds import Kind, table
from fgspec.yaml.load import Path

TRACKERS = table("tracker", "trackers")


class Tracker(Kind):
    """Receives every line of metrics that a run writes. It does not affect any result.

    `open` is called once, then `log` for every line in the order of steps, then `close`. Only
    process 0 of a run calls these methods. If one of them raises an error, a warning is printed,
    and the run continues without the tracker. Each run has its own instance. What it must remember
    belongs into private attributes of pydantic, such as `_file: Any = PrivateAttr(None)`.

    Attributes:
        needs: the module that must be installed; empty if fgspec itself depends on it.
        extra: the extra of fgspec that installs that module.
    """

    table: ClassVar = TRACKERS
    on_resume: ClassVar = Resume.MAY_CHANGE
    decides: ClassVar = False
    needs: ClassVar[str] = ""
    extra: ClassVar[str] = ""

    def problems(self, at: Path, training: Any) -> Iterator[Problem]:
        """A tracker that is listed twice; both would write to the same place."""
        if self in training.trackers[: at[-1]]:
            yield Problem(at, "is listed twice; remove one")

    def missing(self, at: Path) -> Iterator[Problem]:
        """The package that this tracker needs, if it is not installed; nothing is imported."""
        package = find_spec(self.needs) if self.needs else None
        # A folder that happens to be called wandb is found too, as a package without a file.
        if self.needs and (package is None or package.origin is None):
            remedy = f'pip install "fgspec[{self.extra}]"' if self.extra else "install it"
            yield Problem(at, f"needs {self.needs}, which is not installed; {remedy}")

    def open(self, run_folder: File, values: Mapping[str, Any]) -> None:
        """Called when the run begins or is resumed; a resumed run has the same folder as before.

        A run that was killed is resumed from its last checkpoint, so lines that were logged after
        it are logged again.

        Args:
            run_folder: the folder of the run. Its metrics.jsonl ends at the checkpoint.
            values: the resolved spec as plain values.
        """
        raise self.lacks("open")

    def log(self, step: int, metrics: Mapping[str, float]) -> None:
        """Called for every line of metrics.

        Args:
            step: how many updates are done.
            metrics: values by name, such as `train/loss`. Names differ from line to line.
        """
        raise self.lacks("log")

    def close(self, status: str) -> None:
        """Called when the run has ended, or was stopped and may be resumed.

        Args:
            status: `done`, `preempted` or `failed`.
        """


class Csv(Tracker):
    """A file `metrics.csv` in the run's folder, with a row for each line of metrics."""

    behaviour: ClassVar[str | None] = "fgspec.training.csv_file:Csv"
    type: Literal["csv"] = "csv"


class TensorBoard(Tracker):
    """TensorBoard: event files with a scalar for each metric and the spec as text."""

    behaviour: ClassVar[str | None] = "fgspec.training.on_tensorboard:TensorBoard"
    needs: ClassVar[str] = "tensorboard"
    extra: ClassVar[str] = "tensorboard"
    type: Literal["tensorboard"] = "tensorboard"
    folder: str | None = Field(
        default=None,
        description="Where event files go, in a folder named after the run. null: `tensorboard` in "
        "the run's folder.",
        examples=["tensorboard"],
    )


class Named(Tracker):
    """A tracker that keeps runs by name, in projects."""

    project: Annotated[str, Field(min_length=1)] = Field(
        default="fgspec",
        description="The project (in MLflow the experiment) that the run is listed in.",
        examples=["forward-gradients"],
    )
    run: str | None = Field(
        default=None,
        description="The name of the run there. null: the names of the spec and of the run's "
        "folder.",
        examples=["first try"],
    )


class Wandb(Named):
    """Weights & Biases. Offline needs no account; `wandb sync` can upload the files later."""

    behaviour: ClassVar[str | None] = "fgspec.training.on_wandb:Wandb"
    needs: ClassVar[str] = "wandb"
    extra: ClassVar[str] = "wandb"
    type: Literal["wandb"] = "wandb"
    mode: Annotated[
        Literal["offline", "online"],
        Values(
            {
                "offline": "Metrics go to files in the run's folder.",
                "online": "Metrics are sent while the run is trained.",
            }
        ),
    ] = Field(
        default="offline",
        description="Whether metrics are sent to the service.",
    )
    entity: str | None = Field(
        default=None,
        description="The user or team that the run belongs to. null: the account's default.",
        examples=["my-team"],
    )
    group: str | None = Field(
        default=None,
        description="The group that the run is shown in. null: none.",
        examples=["ablations"],
    )
    tags: tuple[str, ...] = Field(
        default=(),
        description="Tags of the run, besides the spec's name, rule and hash.",
        examples=[["paper"]],
    )


class Mlflow(Named):
    """MLflow. Its experiment is called `project` here."""

    behaviour: ClassVar[str | None] = "fgspec.training.on_mlflow:Mlflow"
    needs: ClassVar[str] = "mlflow"
    extra: ClassVar[str] = "mlflow"
    type: Literal["mlflow"] = "mlflow"
    uri: str | None = Field(
        default=None,
        description="The tracking server or store. null: `$MLFLOW_TRACKING_URI`, or `mlflow.db` in "
        "the current folder.",
        examples=["sqlite:///mlflow.db"],
    )


class Trackio(Named):
    """trackio: a SQLite file for each project in `$TRACKIO_DIR`; `trackio show` shows it."""

    behaviour: ClassVar[str | None] = "fgspec.training.on_trackio:Trackio"
    needs: ClassVar[str] = "trackio"
    extra: ClassVar[str] = "trackio"
    type: Literal["trackio"] = "trackio"
    space: str | None = Field(
        default=None,
        description="The Hugging Face Space that the run is sent to. null: none; it stays on this "
        "machine.",
        examples=["me/my-runs"],
    )
