"""`fgspec explain`."""

from pathlib import Path

from fgspec.cli.explain_spec import show


def run(
    spec: Path,
    overrides: list[str] | None,
    latex: Path | None,
    markdown: Path | None,
    picture: Path | None,
) -> None:
    """What `fgspec explain` does."""
    show(spec, overrides or (), latex, markdown, picture)
