"""Arguments that several verbs share."""

import importlib
from pathlib import Path
from typing import Annotated

import typer


def _fields(incomplete: str) -> list[str]:
    return importlib.import_module("fgspec.cli.completion").fields(incomplete)


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
        help="Set a field, such as optimizer.learning_rate=0.1; may be given many times. --set may "
        "be left out.",
        autocompletion=_fields,
    ),
]

MeshOption = Annotated[
    str | None,
    typer.Option(
        "--mesh",
        metavar="AXIS=N,...",
        help="Devices along each axis of the mesh, such as data=4,group=2, instead of the "
        "spec's; -1 takes the devices that are here and left.",
    ),
]

BreakLockOption = Annotated[
    bool,
    typer.Option(
        "--break-lock", help="Take the run away from a process of another host, which is gone."
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

RunDirOption = Annotated[Path, typer.Option("--run-dir", help="Runs are made below this folder.")]

RunOption = Annotated[
    Path | None,
    typer.Option(
        "--run", metavar="RUN", help="Begin a run in this folder, or go on with the one in it."
    ),
]

ResumeOption = Annotated[
    Path | None,
    typer.Option(
        "--resume", metavar="RUN", help="Go on with this run: its folder or name, or latest."
    ),
]

ForkOption = Annotated[
    bool,
    typer.Option(
        "--fork",
        help="Begin a new run at the last checkpoint of the run to resume, with other fields.",
    ),
]

JobsOption = Annotated[
    int | None,
    typer.Option(
        "--jobs",
        min=1,
        max=256,
        help="Train so many runs at a time, as processes or where --on says; without both, one "
        "after the other in this process.",
    ),
]

OnOption = Annotated[
    str | None,
    typer.Option(
        "--on",
        metavar="ENGINE",
        help="Where runs are trained: processes, ray, slurm or a plugin's.",
    ),
]

ResourceOption = Annotated[
    list[str] | None,
    typer.Option(
        "--resource",
        metavar="NAME=VALUE",
        help="What a run asks of Ray or SLURM, such as num_gpus=1 or time=60; may be given many "
        "times.",
    ),
]

ListOption = Annotated[
    bool, typer.Option("--list", help="Only say which arms there are, and what they cost.")
]
TrackOption = Annotated[
    list[str] | None,
    typer.Option(
        "--track",
        metavar="NAME,...",
        help="Let trackers follow the run beside those of training.trackers: tensorboard, wandb, "
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
        help="Which checkpoint: newest; best, by the objective's leading metric among those that "
        "were evaluated; or the updates done.",
    ),
]
