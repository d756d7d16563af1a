"""The cases of the fault suite, found by what is in this folder, and their table."""

import argparse
import importlib
import os
import tempfile
from pathlib import Path

from tests.faults.outcome import Outcome

SHOWN = 20
"""Lines of one case that are printed below the table."""


def cases():
    """Every module here that is a case, by its file's name, in alphabetical order.

    A case is a module with `TITLE: str`, which says what is tried, and
    `run(count: int | None, folder: Path, seed: int)`, which returns an `Outcome`; `count` of None
    is as many faults as the case is meant to try. Where it has `SMALL: int`, pytest tries so many.
    """
    stems = sorted(path.stem for path in Path(__file__).parent.glob("[!_]*.py"))
    names = [stem for stem in stems if not stem.startswith("test_")]
    modules = {name: importlib.import_module(f"tests.faults.{name}") for name in names}
    return {name: module for name, module in modules.items() if hasattr(module, "TITLE")}


def outcome(case, count, folder, seed):
    """What a case found; what it did not catch is a traceback."""
    folder.mkdir(parents=True)
    before = Path.cwd()
    try:
        return case.run(count, folder, seed)
    except Exception as error:  # the case itself failed, which must not hide what others find
        return Outcome(tried=1, tracebacks=[f"{type(error).__name__}: {error}"])
    finally:
        os.chdir(before)


def table(found):
    """Rows of text: a case each, and the lines that must not be there."""
    head = ("faults", "tried", "survived", "silent", "traceback", "lost")
    rows = [head]
    for name, of in found.items():
        counts = (of.tried, of.survived, len(of.silent), len(of.tracebacks), len(of.lost))
        rows.append((f"{name}: {cases()[name].TITLE}", *map(str, counts)))
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    lines = [
        "  ".join([row[0].ljust(widths[0]), *map(str.rjust, row[1:], widths[1:])]) for row in rows
    ]
    for name, of in found.items():
        lines += [f"{name}: {line}" for line in of.bad[:SHOWN]]
        lines += [f"{name}: and {len(of.bad) - SHOWN} more"] * (len(of.bad) > SHOWN)
    return lines


def main():
    """Run the cases that the command line names; the exit code."""
    known = cases()
    parser = argparse.ArgumentParser(prog="python -m tests.faults", description=__doc__)
    parser.add_argument("--cases", nargs="+", default=["all"], metavar="CASE", help="or all")
    parser.add_argument("--count", type=int, help="faults of each case; else its own number")
    parser.add_argument("--seed", type=int, default=0, help="of all that is drawn")
    asked = parser.parse_args()
    unknown = [name for name in asked.cases if name not in known and name != "all"]
    if unknown:
        parser.error(f"no case {', '.join(unknown)}; known: all, {', '.join(known)}")
    chosen = known if "all" in asked.cases else {name: known[name] for name in asked.cases}
    with tempfile.TemporaryDirectory() as folder:
        found = {}
        for name, case in chosen.items():
            print(f"{name} ...", flush=True)
            found[name] = outcome(case, asked.count, Path(folder) / name, asked.seed)
    print("\n".join(table(found)))
    return int(any(of.bad for of in found.values()))
