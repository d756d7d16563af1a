"""`fgspec predict`."""

from pathlib import Path

from fgspec.cli.arguments import ArgumentError, meant, unwritable
from fgspec.trained.model import restore
from fgspec.trained.prediction import as_csv, columns, predictions
from fgspec.training.logbook import write_bytes


def run(run: Path, files: list[Path], out: Path, step: str) -> None:
    """What `fgspec predict` does."""
    if reason := unwritable(out):
        raise ArgumentError(
            f"predict: --out {out}: cannot be written ({reason}); choose another folder"
        )
    model = restore(meant(run), step)
    rows = predictions(model, files)
    write_bytes(out, as_csv(rows, columns(model)))
    print(f"step {model.step}: {len(rows)} predictions in {out}")
