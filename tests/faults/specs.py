"""Specs with mistakes: every one is accepted as it reads, or refused with its place.

The shipped specs are changed as people and editors do: letters, lines and indentation are lost,
doubled or exchanged, and fields get odd values, in the file or by `--set`.
"""

import random
import re
import shutil
from pathlib import Path

from fgspec.cli.check_ import checked
from fgspec.errors import UserError
from fgspec.loading.resolved import resolved_text
from fgspec.loading.spec_file import load, loads
from fgspec.problems.problems import flow
from fgspec.sweeps.expand import is_sweep, load_sweep
from tests.faults.outcome import Outcome

TITLE = "mutated specs"
SMALL = 40
COUNT = 10_000

SHIPPED = Path(__file__).parents[2] / "specs"
PLACED = re.compile(r"(.+\.yaml:\d+:\d+: |--set: )\S")

LETTERS = ":{}[],&*#?|>-'\"%@`!\t \n~.0e\\éÀ日\x00\x7f\u2028\ufeff"
VALUES = [
    *(None, True, False, 0, -1, 1, 2, 3, 7, 10**9, 10**38, 2**31, 2**63, 1.5, -0.0, 1e300, 1e-320),
    *(float("inf"), float("nan"), "", "none", "auto", "a.b", "é", "²", "0,05", "1e-3", "no", "~x"),
    *("/", "..", "[", "a\nb", "x" * 5000, [], {}, [[]], [0], [1, 2, 3], {"type": "none"}),
    *({"type": "sgd"}, {"epochs": 1}, {"steps": -1}, {"epochs": 1, "steps": 1}, ["bp"], [None]),
]
TEXTS = [
    "0,05",
    "{",
    "[",
    "*a",
    "&a x",
    "!!int x",
    "'",
    '"',
    "|",
    ">",
    "yes",
    "0o9",
    "1_000",
    "=",
    "<<: x",
]


def run(count, folder, seed):
    """Change specs and read them; see `Outcome`."""
    found, rng = Outcome(), random.Random(seed)
    specs = shutil.copytree(SHIPPED, folder / "specs")
    files = sorted(specs.rglob("*.yaml"))
    for _ in range(COUNT if count is None else count):
        file = rng.choice(files)
        place = file.with_name("_changed.yaml")
        text, sets = file.read_text(), []
        if rng.random() < 0.7:
            text = _changed(text, rng)
        else:
            sets = [_setting(text, rng) for _ in range(rng.randint(1, 2))]
        place.write_text(text, encoding="utf-8", errors="surrogatepass", newline="")
        _read(place, sets, found, f"{file.relative_to(specs)} {sets or repr(text)}")
        place.unlink()
    return found


def _read(place, sets, found, what):
    found.tried += 1
    try:
        if is_sweep(place):
            loaded = [arm.loaded for arm in load_sweep(place, sets).arms[:2]]
        else:
            loaded = [load(place, sets)]
        for one in loaded:
            checked(one)
    except UserError as error:
        unplaced = [line for line in str(error).split("\n") if not PLACED.match(line)]
        if unplaced:
            found.silent.append(f"refused without a place: {unplaced[0]!r}: {what[:300]}")
            return
    except Exception as error:
        found.tracebacks.append(f"{type(error).__name__}: {error}: {what[:300]}")
        return
    else:
        # What is recorded of a run must be what was read.
        if any(loads(resolved_text(one)).values() != one.values() for one in loaded):
            found.silent.append(f"recorded otherwise than it was read: {what[:300]}")
            return
    found.survived += 1


def _changed(text, rng):
    """One to three changes of a text."""
    for _ in range(rng.randint(1, 3)):
        text = rng.choice(CHANGES)(text, rng)
    return text


def _at(text, rng):
    return rng.randrange(len(text) + 1)


def _letter(text, rng):
    at = _at(text, rng)
    return text[:at] + rng.choice(LETTERS) + text[at + rng.randint(0, 1) :]


def _cut(text, rng):
    return text[: _at(text, rng)]


def _line(text, rng):
    """A line is lost, doubled, moved, indented or outdented."""
    lines = text.split("\n")
    at, other = rng.randrange(len(lines)), rng.randrange(len(lines))
    line = lines.pop(at)
    moved = rng.choice([[], [line, line], [f"  {line}"], [line[1:]], [f"\t{line}"], [f"- {line}"]])
    lines[at:at] = moved
    if not moved and rng.random() < 0.5:
        lines.insert(other, line)
    return "\n".join(lines)


def _value(text, rng):
    """What follows a colon becomes something else."""
    places = [match.span(1) for match in re.finditer(r": ([^\n{},\[\]]+)", text)]
    if not places:
        return text
    start, end = rng.choice(places)
    new = flow(rng.choice(VALUES)) if rng.random() < 0.7 else rng.choice(TEXTS)
    return text[:start] + new + text[end:]


def _key(text, rng):
    """A key loses, doubles or exchanges a letter, or becomes another."""
    keys = [match.span() for match in re.finditer(r"[a-z_]+(?=:)", text)]
    if not keys:
        return text
    start, end = rng.choice(keys)
    key, at = text[start:end], rng.randrange(end - start)
    other = text[slice(*rng.choice(keys))]
    return text[:start] + rng.choice([key[:at] + key[at + 1 :], key + key[at], other]) + text[end:]


CHANGES = (_letter, _letter, _cut, _line, _line, _value, _value, _value, _key, _key)


def _setting(text, rng):
    """A `--set` of a field that the text names, or of something else."""
    words = re.findall(r"[a-z_]+(?=:)", text) or ["x"]
    path = rng.choice([".", "[0].", ".0.", ".type."]).join(rng.choices(words, k=rng.randint(1, 3)))
    path = rng.choice([path, path, path, f"{path}.0", f"{path}[1]", "", ".", "\udce9.x", "a..b"])
    value = flow(rng.choice(VALUES)) if rng.random() < 0.8 else rng.choice(TEXTS)
    return rng.choice([f"{path}={value}", f"{path}={value}", f"{path}={value}", path])
