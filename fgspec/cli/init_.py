"""`fgspec init`."""

from pathlib import Path

from fgspec.cli.arguments import ArgumentError
from fgspec.loading.template import quickstart
from fgspec.training.logbook import write_text


def run(path: Path, rule: str) -> None:
    """What `fgspec init` does."""
    # A name has at most 100 characters; a file's may have more.
    text = quickstart(rule, path.stem[:100], str(path))
    try:
        if path.exists():
            raise ArgumentError(f"init: {path} is there already; nothing was written")
        if not path.parent.is_dir():
            raise ArgumentError(f"init: {path.parent} is no folder; nothing was written")
        write_text(path, text)
    except (OSError, ValueError) as error:
        raise ArgumentError(f"init: {path} cannot be written ({error})") from None
    print(f"{path} written; try: fgspec train {path}")
