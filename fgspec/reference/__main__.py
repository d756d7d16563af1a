"""`python -m fgspec.reference FOLDER` writes the pages of the language reference."""

import sys
from pathlib import Path

from fgspec.reference.markdown import pages


def main() -> None:
    """Write every page below the folder that the command line names."""
    if len(sys.argv) != 2:
        sys.exit("usage: python -m fgspec.reference FOLDER")
    folder = Path(sys.argv[1])
    folder.mkdir(parents=True, exist_ok=True)
    written = pages()
    for name, text in written.items():
        (folder / name).write_text(text)
    print(f"{folder}: {len(written)} pages")


if __name__ == "__main__":
    main()
