"""`fgspec export`."""

from pathlib import Path

from fgspec.cli.arguments import meant, refuse_unwritable
from fgspec.trained.export import arrays, export


def run(run: Path, to: str, out: Path, step: str) -> None:
    """What `fgspec export` does."""
    if not out.is_dir():  # the export of a format that writes folders refuses others
        refuse_unwritable("export: --out", out)
    model = export(meant(run), out, to=to, step=step)
    found = arrays(model)
    numbers = sum(array.size for array in found.values())
    print(f"step {model.step}: {len(found)} arrays, {numbers:,} numbers in {out}")
