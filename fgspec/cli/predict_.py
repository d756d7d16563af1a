"""`fgspec predict`."""

from pathlib import Path

from fgspec.cli.arguments import meant, refuse_unwritable
from fgspec.trained.model import restore
from fgspec.trained.prediction import as_csv, columns, predictions
from fgspec.training.logbook import write_bytes


def run(run: Path, files: list[Path], out: Path, step: str) -> None:
    """What `fgspec predict` does."""
    refuse_unwritable("predict: --out", out)
    model = restore(meant(run), step)
    rows = predictions(model, files)
    write_bytes(out, as_csv(rows, columns(model)))
    print(f"step {model.step}: {len(rows)} predictions in {out}")
