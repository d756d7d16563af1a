"""Run the commands that the docs show, and write their output into the pages.

    python docs/commands.py                      # all pages
    python docs/commands.py docs/diff.md         # only the commands of this page
    python docs/commands.py --check              # writes nothing, names the commands that fail

A command stands in a fence of the language `console`, in a line that begins with `$ `; the lines
below are its output. A comment in the line above the fence says how the output is shown:

    <!-- output: first 8, last 3 -->    these lines only; a line `...` stands for the rest
    <!-- output: exit 2 -->             the command is meant to end with this exit code
    <!-- output: kept, needs MNIST -->  the command is not run

Commands run in the order of the pages in one folder, where all that belongs to the repository is
linked. So a command can use the run of an earlier one, and what they write is thrown away.
"""

import argparse
import os
import re
import subprocess
import sys
import tempfile
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent

FENCE = re.compile(
    r"^(?:<!-- output: (?P<shown>.*?) -->\n)?(?P<open>(?P<ticks>`{3,})console\n)"
    r"(?P<body>.*?)^(?P=ticks)$",
    re.MULTILINE | re.DOTALL,
)

CUT = "..."


@dataclass(frozen=True)
class Shown:
    """How the output of a command is shown.

    Attributes:
        kept: why the command is not run; empty if it is.
        first: lines from the beginning; all if neither this nor `last` is given.
        last: lines from the end.
        exit_code: that the command is meant to end with.
    """

    kept: str = ""
    first: int = 0
    last: int = 0
    exit_code: int = 0

    def cut(self, lines: list[str]) -> list[str]:
        """The lines that are shown."""
        if not self.first + self.last or len(lines) <= self.first + self.last:
            return lines
        end = lines[-self.last :] if self.last else []
        return [*lines[: self.first], CUT, *end]


def read(comment: str | None) -> Shown:
    """What the comment above a fence asks for.

    Raises:
        ValueError: it asks for something else than this module describes.
    """
    if comment is None:
        return Shown()
    if comment.startswith("kept"):
        return Shown(kept=comment.removeprefix("kept").lstrip(", ") or "no reason given")
    asked: dict[str, int] = {}
    for part in comment.split(","):
        match = re.fullmatch(r"(first|last|exit) (\d+)", part.strip())
        if match is None:
            raise ValueError(f"unknown comment on output: {comment}")
        asked[match[1]] = int(match[2])
    return Shown(
        first=asked.get("first", 0), last=asked.get("last", 0), exit_code=asked.get("exit", 0)
    )


def commands_of(body: str) -> list[str]:
    """The commands in a fence; a line that ends with a backslash goes on in the next one."""
    commands: list[str] = []
    goes_on = False
    for line in body.splitlines():
        if goes_on:
            commands[-1] += "\n" + line
        elif line.startswith("$ "):
            commands.append(line.removeprefix("$ "))
        else:
            continue
        goes_on = line.endswith("\\")
    return commands


class Workspace:
    """A folder in which commands run as from the root of the repository."""

    def __init__(self, folder: Path) -> None:
        self.root = folder / "fgspec"
        self.home = folder / "home"
        self.root.mkdir()
        self.home.mkdir()

    def link_repository(self) -> None:
        """Link all that belongs to the repository, as git knows it."""
        listed = subprocess.run(
            ["git", "ls-files", "-z"], cwd=ROOT, check=True, capture_output=True, text=True
        )
        for name in sorted({path.partition("/")[0] for path in listed.stdout.split("\0") if path}):
            (self.root / name).symlink_to(ROOT / name)

    def run(self, command: str) -> tuple[int, list[str]]:
        """The exit code of a command, and the lines that it printed to either stream."""
        programs = os.pathsep.join([str(Path(sys.executable).parent), os.environ["PATH"]])
        environment = {
            **os.environ,
            "PATH": programs,
            "HOME": str(self.home),
            "COLUMNS": "100",
            "NO_COLOR": "1",
            "PYTHONUNBUFFERED": "1",  # the order of the two streams
        }
        ended = subprocess.run(
            ["bash", "-c", command],
            cwd=self.root,
            env=environment,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )
        return ended.returncode, [self._clean(line) for line in ended.stdout.rstrip().splitlines()]

    def _clean(self, line: str) -> str:
        """A line without this machine's folders, and without what it overwrote in a terminal."""
        line = line.rpartition("\r")[2].rstrip()
        for folder, name in ((self.home, "/home/you"), (self.root, ""), (ROOT, "")):
            line = line.replace(f"{folder}/", f"{name}/" if name else "").replace(
                str(folder), name or "."
            )
        return line


def run_page(page: Path, workspace: Workspace) -> tuple[str, Counter[str]]:
    """The text of a page with the output of today, and how many commands ran, failed, were kept."""
    counts: Counter[str] = Counter()

    def again(fence: re.Match[str]) -> str:
        line = page.read_text()[: fence.start()].count("\n") + 1
        place = f"{page.relative_to(ROOT)}:{line}"
        shown = read(fence["shown"])
        commands = commands_of(fence["body"])
        if shown.kept:
            counts["kept"] += len(commands)
            print(f"kept    {place}: {commands[0]} ({shown.kept})", flush=True)
            return fence[0]
        text = fence[0][: fence.start("body") - fence.start()]
        for command in commands:
            code, lines = workspace.run(command)
            failed = code != shown.exit_code
            counts["failed" if failed else "run"] += 1
            print(f"{'FAILED' if failed else 'run':8}{place}: {command}", flush=True)
            if failed:
                print(f"  exit code {code}, not {shown.exit_code}", *lines[-5:], sep="\n  ")
                return fence[0]
            text += "\n".join([f"$ {command}", *shown.cut(lines)]) + "\n"
        return text + fence["ticks"]

    return FENCE.sub(again, page.read_text()), counts


def pages(asked: Iterable[Path]) -> list[Path]:
    """The pages that are asked for; README and all of the docs if none is."""
    every = [ROOT / "README.md", *sorted((ROOT / "docs").rglob("*.md"))]
    return [page.resolve() for page in asked] or every


def main() -> None:
    """Run the commands of the pages that the command line names."""
    parser = argparse.ArgumentParser(description="Run the commands that the docs show.")
    parser.add_argument("pages", nargs="*", type=Path, help="all if none is given")
    parser.add_argument("--check", action="store_true", help="write nothing")
    asked = parser.parse_args()
    counts: Counter[str] = Counter()
    with tempfile.TemporaryDirectory() as folder:
        workspace = Workspace(Path(folder).resolve())
        workspace.link_repository()
        for page in pages(asked.pages):
            text, of_page = run_page(page, workspace)
            counts += of_page
            if not asked.check and text != page.read_text():
                page.write_text(text)
    print(", ".join(f"{counts[name]} {name}" for name in ("run", "kept", "failed")))
    sys.exit(1 if counts["failed"] else 0)


if __name__ == "__main__":
    main()
