"""`fgspec data pack`."""

from pathlib import Path

from rich.console import Console

from fgspec.check.against_data import data_problems
from fgspec.data.describe import describe
from fgspec.data.packing import pack
from fgspec.loading.spec_file import load
from fgspec.show.progress import waiting
from fgspec.show.text import mebibytes


def run(spec: Path, folder: Path, overrides: list[str] | None, shard: int) -> None:
    """What `fgspec data pack` does."""
    loaded = load(spec, overrides or ())
    source = loaded.experiment.data.source
    loaded.refuse(data_problems(loaded.experiment, describe(source, loaded.search)))
    with waiting("reading, writing and comparing", Console(stderr=True)):
        made = pack(source, folder, loaded.search, shard * 2**20)
    counts = f"{made.info.train_examples:,} training and {made.info.test_examples:,} test images"
    print(
        f"{folder}: {counts} in {made.files} files, {mebibytes(made.bytes)} for "
        f"{mebibytes(made.pixels)} of pixels; they were read again and compared with {source}"
    )
    label = "" if made.info.label == "class" else f", labels: {made.info.label}"
    print(f"use it with data.source: {{type: packed, path: {folder}{label}}}")
