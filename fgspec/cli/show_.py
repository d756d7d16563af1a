"""`fgspec show`."""

from pathlib import Path

from fgspec.loading.resolved import resolved_text, spec_hash
from fgspec.loading.spec_file import load


def run(spec: Path, overrides: list[str] | None) -> None:
    """What `fgspec show` does."""
    loaded = load(spec, overrides or ())
    print(f"# sha256 {spec_hash(loaded)}")
    print(resolved_text(loaded), end="")
