"""Arguments and options that several verbs share."""

import importlib
from pathlib import Path
from typing import Annotated

import typer


def _fields(incomplete: str) -> list[str]:
    return importlib.import_module("fgspec.cli.completion").fields(incomplete)


def field_names(incomplete: str) -> list[str]:
    """The fields, or values of a field, that a word begins to name."""
    return [name.removesuffix("=") for name in _fields(incomplete)]


SpecArgument = Annotated[Path, typer.Argument(metavar="SPEC", help="A spec, a YAML file.")]

SpecOrNothing = Annotated[
    Path | None,
    typer.Argument(metavar="SPEC", help="A spec, a YAML file."),
]

SetOption = Annotated[
    list[str] | None,
    typer.Option(
        "--set",
        metavar="PATH=VALUE",
        help="Set a field, such as optimizer.learning_rate=0.1; may be repeated. The word --set "
        "may be left out.",
        autocompletion=_fields,
    ),
]

MeshOption = Annotated[
    str | None,
    typer.Option(
        "--mesh",
        metavar="AXIS=N,...",
        help="Devices along each axis of the mesh, such as data=4,group=2; replaces the spec's "
        "mesh. -1 means all remaining devices of this machine.",
    ),
]

BreakLockOption = Annotated[
    bool,
    typer.Option(
        "--break-lock", help="Take over a run whose process, on another host, no longer exists."
    ),
]

PictureOption = Annotated[
    Path | None,
    typer.Option(
        "--picture",
        metavar="FILE",
        help="Write a picture to this file, an SVG: blocks, losses, and what layers learn from.",
    ),
]

JsonOption = Annotated[bool, typer.Option("--json", help="Print JSON instead of text.")]

RunDirOption = Annotated[Path, typer.Option("--run-dir", help="Create runs in this folder.")]

RunOption = Annotated[
    Path | None,
    typer.Option(
        "--run", metavar="RUN", help="Start a run in this folder, or resume the one in it."
    ),
]

ResumeOption = Annotated[
    Path | None,
    typer.Option("--resume", metavar="RUN", help="Resume this run: its folder or name, or latest."),
]

ForkOption = Annotated[
    bool,
    typer.Option(
        "--fork",
        help="With --resume: start a new run from the last checkpoint, with changed fields.",
    ),
]

JobsOption = Annotated[
    int | None,
    typer.Option(
        "--jobs",
        min=1,
        max=256,
        help="Train this many runs at a time, in processes or where --on says. Without --jobs "
        "and --on, runs are trained one after the other in this process.",
    ),
]

OnOption = Annotated[
    str | None,
    typer.Option(
        "--on",
        metavar="ENGINE",
        help="Where to train runs: processes, ray, slurm, or the name of a plugin's engine.",
    ),
]

ResourceOption = Annotated[
    list[str] | None,
    typer.Option(
        "--resource",
        metavar="NAME=VALUE",
        help="Resources that each run requests from Ray or SLURM, such as num_gpus=1 or time=60; "
        "may be repeated.",
    ),
]

ListOption = Annotated[
    bool, typer.Option("--list", help="Only list the arms and their cost; train nothing.")
]
TrackOption = Annotated[
    list[str] | None,
    typer.Option(
        "--track",
        metavar="NAME,...",
        help="Log to these trackers too, besides those in training.trackers: tensorboard, wandb, "
        "mlflow, trackio, csv, or those of other packages.",
    ),
]
RunArgument = Annotated[
    Path, typer.Argument(metavar="RUN", help="A run: its folder or name, or latest.")
]
StepOption = Annotated[
    str,
    typer.Option(
        "--step",
        metavar="STEP",
        help="Which checkpoint: newest, best (by the objective's main metric, among evaluated "
        "checkpoints), or a number of updates.",
    ),
]
