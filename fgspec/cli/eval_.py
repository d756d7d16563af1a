"""`fgspec eval`."""

import json
from pathlib import Path

from fgspec import api
from fgspec.cli.arguments import meant, then


def run(run: Path, overrides: list[str] | None, other_data: bool, as_json: bool) -> None:
    """What `fgspec eval` does."""
    run = meant(run)
    values = api.evaluate(run, overrides=overrides or (), other_data=other_data)
    if as_json:
        print(json.dumps(values))
        return
    metrics = ", ".join(f"{k} {v:.4f}" for k, v in values.items() if k != "step")
    print(f"step {values['step']}: {metrics}")
    then("report", run)
