"""`fgspec init`."""

from pathlib import Path

from fgspec.cli.arguments import ArgumentError, written
from fgspec.loading.template import quickstart
from fgspec.training.logbook import write_text


def run(path: Path, rule: str) -> None:
    """What `fgspec init` does."""
    # A name has at most 100 characters; a file's may have more.
    text = quickstart(rule, path.stem[:100], str(path))
    with written("init:", path):
        if path.exists():
            raise ArgumentError(
                f"init: {path}: is there already, and was left as it is; give another file name"
            )
        if not path.parent.is_dir():
            raise ArgumentError(
                f"init: {path}: {path.parent} is not a folder; create it, or choose another one"
            )
        write_text(path, text)
    print(f"{path} written; try: fgspec train {path}")
