"""`fgspec eval`."""

import json
from pathlib import Path
from typing import Annotated

import typer

from fgspec.cli.options import ArgumentError, JsonOption, RunArgument, SetOption, StepOption
from fgspec.cli.options import unwritable as why_unwritable
from fgspec.trained.confusion import check_writable, lines, write
from fgspec.trained.model import restore

OtherDataOption = Annotated[
    bool,
    typer.Option(
        "--other-data", help="Evaluate even if the data are not those of the run any more."
    ),
]
DataOption = Annotated[
    Path | None,
    typer.Option(
        "--data",
        metavar="SPEC",
        help="Evaluate on the test set of another spec's data: images of the same shape, the same "
        "classes; standardized as the run's were.",
    ),
]
ConfusionOption = Annotated[
    Path | None,
    typer.Option(
        "--confusion", metavar="FILE", help="Write the confusion matrix: .csv, .png or .svg."
    ),
]


def run(
    run: RunArgument,
    overrides: SetOption = None,
    other_data: OtherDataOption = False,
    as_json: JsonOption = False,
    step: StepOption = "newest",
    data: DataOption = None,
    confusion: ConfusionOption = None,
) -> None:
    """Evaluate a checkpoint of a run on its whole test set, or on that of other data.

    The data are compared with those that the run was trained with; --set data.source.path=PATH
    says where they are.

    Example: fgspec eval runs/quickstart/20260101T120000-0a1b2c3d --confusion confusion.png
    """
    if confusion is not None:
        check_writable(confusion)
        if reason := why_unwritable(confusion):
            raise ArgumentError(f"eval: --confusion {confusion}: cannot be written ({reason})")
    model = restore(run, step, overrides=overrides or (), other_data=other_data)
    found = model.evaluate(data)
    if confusion is not None:
        write(found, confusion)
    if as_json:
        print(json.dumps(found.json()))
        return
    metrics = ", ".join(f"{name} {value:.4f}" for name, value in found.metrics.items())
    print(f"step {found.step}: {metrics}")
    for line in lines(found):
        print(line)
