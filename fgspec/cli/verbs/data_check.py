"""`fgspec data check`."""

from pathlib import Path
from typing import Annotated

import typer

from fgspec.cli.verbs.shared import JsonOption, SetOption, SpecArgument

SheetOption = Annotated[
    Path,
    typer.Option(
        "--sheet", metavar="FILE", help="The picture of images and augmented views to write, a PNG."
    ),
]


def run(
    spec: SpecArgument,
    overrides: SetOption = None,
    sheet: SheetOption = Path("contact_sheet.png"),
    as_json: JsonOption = False,
) -> None:
    """Read all images and labels of a spec once, and report what is there.

    It counts examples and classes, lists images that cannot be read, and measures means, deviations
    and how many examples a second are read. It draws images of each class, and augmented views of
    them as training sees them. If images cannot be read, the exit code is 2.

    Example: fgspec data check specs/quickstart.yaml --sheet digits.png
    """
