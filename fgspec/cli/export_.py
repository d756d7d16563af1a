"""`fgspec export`."""

from pathlib import Path

from fgspec.cli.arguments import ArgumentError, meant, unwritable
from fgspec.trained.export import arrays, export


def run(run: Path, to: str, out: Path, step: str) -> None:
    """What `fgspec export` does."""
    if not out.is_dir() and (reason := unwritable(out)):
        raise ArgumentError(
            f"export: --out {out}: cannot be written ({reason}); choose another folder"
        )
    model = export(meant(run), out, to=to, step=step)
    found = arrays(model)
    numbers = sum(array.size for array in found.values())
    print(f"step {model.step}: {len(found)} arrays, {numbers:,} numbers in {out}")
