"""`fgspec eval`."""

import json
from pathlib import Path

from fgspec.cli.arguments import meant, refuse_unwritable, then
from fgspec.trained.confusion import check_writable, lines, write
from fgspec.trained.model import restore


def run(
    run: Path,
    overrides: list[str] | None,
    other_data: bool,
    as_json: bool,
    step: str,
    data: Path | None,
    confusion: Path | None,
) -> None:
    """What `fgspec eval` does."""
    run = meant(run)
    if confusion is not None:
        check_writable(confusion)
        refuse_unwritable("eval: --confusion", confusion)
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
    then("report", run)
