"""`fgspec data pack`."""

from pathlib import Path
from typing import Annotated

import typer

from fgspec.cli.verbs.shared import SetOption, SpecArgument

FolderArgument = Annotated[
    Path, typer.Argument(metavar="FOLDER", help="The folder to write, which must not exist yet.")
]
ShardOption = Annotated[
    int,
    typer.Option("--shard", metavar="MIB", min=1, help="About how many MiB of pixels a file has."),
]


def run(
    spec: SpecArgument,
    folder: FolderArgument,
    overrides: SetOption = None,
    shard: ShardOption = 256,
) -> None:
    """Write the images and labels of a spec's source to ArrayRecord files.

    Images are written as the source gives them: those of image files decoded and resized. The
    files are then read again and compared with the source. Specs read them with
    data.source: {type: packed, path: FOLDER}. Batches are those of the source, image for image.

    Example: fgspec data pack specs/quickstart.yaml digits-packed
    """
