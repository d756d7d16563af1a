"""Reads a sweep file, and makes its arms: named, resolved specs, no two of which are equal."""

import hashlib
import itertools
import math
import random
import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any

from fgspec.loading.field_errors import validate_record
from fgspec.loading.merge import Change, keys_of
from fgspec.loading.resolved import identity
from fgspec.loading.spec_file import Loaded, beside, laid_over, load, path_problem, setting
from fgspec.problems.problems import Origin, Problem, SpecError, flow, render
from fgspec.spec.baselines import Baseline, ProgramCost
from fgspec.spec.experiment import LONGEST_NAME
from fgspec.spec.sweep import Draw, Optuna, Random, Settings, SweepFile
from fgspec.yaml.load import Document, YamlError, read

RESERVED = {
    "fgspec": "is taken from the base",
    "extends": "belongs in the base",
    "name": "is made from the names of the sweep and the arm",
    "seed": "belongs in `seeds`, which all arms share",
}
"""Fields that an arm cannot set, and why."""

UNTRAINED = ("name", "description", "expect")
"""Fields that do not affect training: arms that differ only in them train the same."""


@dataclass(frozen=True)
class Arm:
    """One of the resolved specs that a sweep compares.

    Attributes:
        label: its name within the sweep.
        loaded: the spec, with the first seed.
        drawn: the fields that were drawn for it at random, in the form of `--set`.
        baseline: the baseline that it is, or None.
        rule: the spec that a baseline is compared with.
        says: what a baseline was fitted to, in words.
    """

    label: str
    loaded: Loaded
    drawn: tuple[str, ...] = ()
    baseline: Baseline | None = None
    rule: Loaded | None = None
    says: str = ""

    @property
    def fits(self) -> str:
        """What a baseline must still be fitted to, in words; empty if nothing."""
        return "" if self.baseline is None or self.says else self.baseline.fits

    def over(self, fields: Mapping[str, Any]) -> Loaded:
        """The arm's spec with further fields set, by path.

        Raises:
            SpecError: the resulting spec is not valid.
        """
        origin = self.loaded.origins.get(("name",), Origin("--set"))
        changes = [Change(keys_of(path), value, origin) for path, value in fields.items()]
        return laid_over(self.loaded, (), changes)


@dataclass(frozen=True)
class Search:
    """A search, whose arms are chosen while earlier ones are trained.

    Attributes:
        drawn: how many arms there are, and what each field is chosen from.
        arm: makes an arm from its number and a value of every field.
    """

    drawn: Optuna
    arm: Callable[[int, Mapping[str, Any]], Arm]


@dataclass(frozen=True)
class Sweep:
    """Arms that are trained with the same seeds.

    Attributes:
        name: the name of the sweep, and of the folder of its runs.
        text: the text of the sweep file.
        arms: the arms, no two of which train the same. For a search this is a single example, with
            the first value of every field.
        seeds: the seeds of every arm.
        dropped: a line for every arm that is left out because another one trains the same.
        search: chooses the arms; None if the file states them.
    """

    name: str
    text: str
    arms: tuple[Arm, ...]
    seeds: tuple[int, ...]
    dropped: tuple[str, ...] = ()
    search: Search | None = None


@dataclass(frozen=True)
class _Choice:
    """A part of an arm: a part of its label, and the fields that it sets."""

    label: str
    changes: tuple[Change, ...]
    drawn: bool = False


def is_sweep(path: Path) -> bool:
    """Whether a file is a sweep file, which has `base`, and not a spec."""
    try:
        return "base" in read(path).value
    except YamlError:
        return False


def load_sweep(path: str | Path, overrides: Sequence[str] = ()) -> Sweep:
    """Read a sweep file and resolve every arm.

    Args:
        path: a YAML file.
        overrides: `path=value` strings as given to `--set`, which apply to every arm.

    Raises:
        SpecError: the file or an arm has mistakes; there is a line for each.
    """
    file = Path(path)
    try:
        document = read(file)
    except YamlError as error:
        raise SpecError(str(error).splitlines()) from None
    if "base" not in document.value and "training" in document.value:
        message = f"this is a spec; write a sweep file that has base: {file.name}"
        raise SpecError([f"{document.values[()]}: {message}"])
    record, problems = validate_record(SweepFile, document.value)
    if record is None or (problems := _problems(record, file)):
        origins = {
            path: Origin("file", document.keys.get(path, mark), mark)
            for path, mark in document.values.items()
        }
        raise render(problems, document.value, origins, str(file))
    if record.optuna is not None:
        return _searched(record, record.optuna, document, file, overrides)
    arms = _resolved(record, document, file, overrides)
    kept, dropped = _distinct([*arms, *_baselines(record, arms, document)])
    return Sweep(record.name, document.text, kept, record.seeds, dropped)


def fitted(sweep: Sweep, cost: Callable[[Loaded], ProgramCost]) -> Sweep:
    """Fit the baselines of a sweep to the cost of their rules.

    Args:
        sweep: the sweep from `load_sweep`.
        cost: returns the cost of a spec's program.

    Returns:
        The sweep with fitted baselines. Those that cannot be fitted are left out, and its `dropped`
        names them.

    Raises:
        SpecError: a spec cannot be compiled.
    """
    arms, lines = list[Arm](), list[str]()
    for arm in sweep.arms:
        if not arm.fits or arm.baseline is None or arm.rule is None:
            arms.append(arm)
            continue
        fit = arm.baseline.fitted(cost(arm.rule), partial(_cost, cost, arm))
        if fit.fields is None:
            lines.append(f"{arm.label} is left out: {fit.says}")
            continue
        description = f"{arm.baseline.title}: {fit.says}"
        loaded = arm.over({**fit.fields, "description": description})
        arms.append(replace(arm, loaded=loaded, says=fit.says))
    kept, dropped = _distinct(arms)
    return replace(sweep, arms=kept, dropped=(*sweep.dropped, *lines, *dropped))


def _cost(
    cost: Callable[[Loaded], ProgramCost], arm: Arm, fields: Mapping[str, Any]
) -> ProgramCost | None:
    try:
        return cost(arm.over(fields))
    except SpecError:
        return None


def beside_rule(rule: Loaded, baseline: Baseline, name: str, origin: Origin) -> Loaded:
    """Make the spec of a baseline from the spec of a learning rule.

    Args:
        rule: the rule's spec.
        baseline: the baseline to make.
        name: the name of the new spec.
        origin: the place in the sweep file that errors in the baseline's fields refer to.

    Raises:
        SpecError: the resulting spec is not valid.
    """
    fields = {
        "rule": baseline.rule,
        "name": name,
        "description": baseline.title,
        **baseline.fields(),
    }
    changes = [Change(keys_of(path), value, origin) for path, value in fields.items()]
    changes += [replace(setting(text), origin=origin) for text in baseline.set]
    return laid_over(rule, [keys_of(path) for path in baseline.forgets], changes)


def _baselines(record: SweepFile, arms: Sequence[Arm], document: Document) -> list[Arm]:
    """The baselines of every arm, or a single error with all mistakes.

    They are made from resolved specs, so `--set` is not applied to them a second time.
    """
    baselines, wrong, taken = list[Arm](), dict[str, list[str]](), dict[str, int]()
    for arm in arms:
        taken.setdefault(arm.label, 1)
    for arm, (index, baseline) in itertools.product(arms, enumerate(record.baselines)):
        label = f"{arm.label}-{baseline}" if len(arms) > 1 else str(baseline)
        label = shortened(untaken(label, taken))
        origin = _origin(document, ("baselines", index))
        name = shortened(f"{record.name}-{label}")
        try:
            loaded = beside_rule(arm.loaded, baseline, name, origin)
        except SpecError as error:
            for line in error.lines:
                wrong.setdefault(line, []).append(label)
            continue
        baselines.append(Arm(label, loaded, (), baseline, arm.loaded))
    if wrong:
        count = len(arms) * (len(record.baselines) + 1)
        raise SpecError([of_arms(line, labels, count) for line, labels in wrong.items()])
    return baselines


def _problems(record: SweepFile, file: Path) -> list[Problem]:
    """Mistakes that types cannot express: reserved fields, lengths, ranges of draws, bases."""
    drawings = {
        name: drawing.fields
        for name, drawing in (("random", record.random), ("optuna", record.optuna))
        if drawing is not None
    }
    named = [(("set", path), path) for path in record.set]
    named += [(("arms", arm, path), path) for arm, own in record.arms.items() for path in own]
    named += [(("grid", path), path) for path in record.grid]
    named += [(("zip", path), path) for path in record.zip]
    named += [((name, "fields", path), path) for name, own in drawings.items() for path in own]
    problems = [
        Problem(at, f"an arm cannot set {first}: it {RESERVED[first]}", False, at_key=True)
        for at, path in named
        if (first := keys_of(path)[0]) in RESERVED
    ]
    problems += [
        Problem(("base", *([at] if len(record.base) > 1 else [])), why)
        for at, base in enumerate(record.base)
        if (why := path_problem(base, file))
    ]
    problems += [
        Problem(("baselines", index, "set", at), why)
        for index, baseline in enumerate(record.baselines)
        for at, text in enumerate(baseline.set)
        if (why := _unsettable(text))
    ]
    lengths = {len(values) for values in record.zip.values()}
    if len(lengths) > 1:
        each = ", ".join(f"{path} has {len(v)}" for path, v in record.zip.items())
        problems.append(Problem(("zip",), f"must be lists of equal length ({each})", False))
    if len(set(record.seeds)) < len(record.seeds):
        problems.append(Problem(("seeds",), "must name each seed once"))
    if record.optuna is not None:
        problems += [
            Problem((name,), "optuna chooses all arms; use a separate sweep for these", False)
            for name in ("arms", "grid", "zip", "random", "baselines")
            if getattr(record, name)
        ]
        if len(record.base) > 1:
            problems.append(Problem(("base",), "optuna needs a single base", False))
    return problems + [
        Problem((name, "fields", path), text)
        for name, own in drawings.items()
        for path, draw in own.items()
        if (text := _unusable(draw))
    ]


def _unsettable(text: str) -> str:
    """Why a baseline cannot set `path=value`; empty if it can."""
    first = keys_of(text.partition("=")[0])[0]
    if first in RESERVED:
        return f"a baseline cannot set {first}: it {RESERVED[first]}"
    try:
        setting(text)
    except SpecError as error:
        return error.lines[0].removeprefix("--set: ")
    return ""


def _unusable(draw: Draw) -> str:
    if (draw.values is None) == (draw.low is None or draw.high is None):
        return "needs either values: [...], or low and high"
    if draw.values is not None or draw.low is None or draw.high is None:
        return ""
    if draw.low >= draw.high:
        return "low must be < high"
    return "low must be > 0 on a logarithmic scale" if draw.scale == "log" and draw.low <= 0 else ""


def _resolved(
    record: SweepFile, document: Document, file: Path, overrides: Sequence[str]
) -> list[Arm]:
    """All arms, or a single error with the mistakes of all of them."""
    chosen = [("", ())] if not record.arms else [*record.arms.items()]
    by_name = [_Choice(name, _changes(dict(own), document, ("arms", name))) for name, own in chosen]
    axes = [by_name, *_grid(record, document), _zipped(record, document)]
    axes.append(_drawn(record.random, document))
    common = _changes(record.set, document, ("set",))
    seed = Change(("seed",), record.seeds[0], _origin(document, ("seeds",)))
    several, arms, taken = len(record.base) > 1, list[Arm](), dict[str, int]()
    wrong: dict[str, list[str]] = {}
    for base, parts in itertools.product(record.base, list(itertools.product(*axes))):
        words = [_plain(Path(base).stem)] * several + [part.label for part in parts]
        label = untaken("-".join(word for word in words if word), taken)
        own = [change for part in parts for change in part.changes]
        name = shortened(f"{record.name}-{label}" if label else record.name)
        drawn = tuple(str(change) for part in parts if part.drawn for change in part.changes)
        label = shortened(label)
        named = Change(("name",), name, _origin(document, ("name",)))
        try:
            loaded = load(beside(file, base), overrides, [*common, *own, seed, named])
            arms.append(Arm(label or record.name, loaded, drawn))
        except SpecError as error:
            for line in error.lines:
                wrong.setdefault(line, []).append(label)
    if wrong:
        count = len(arms) + len({label for labels in wrong.values() for label in labels})
        raise SpecError([of_arms(line, labels, count) for line, labels in wrong.items()])
    return arms


def _searched(
    record: SweepFile, drawn: Optuna, document: Document, file: Path, overrides: Sequence[str]
) -> Sweep:
    """A sweep whose arms are chosen later, with an example that has each field's first value."""
    common = _changes(record.set, document, ("set",))
    seed = Change(("seed",), record.seeds[0], _origin(document, ("seeds",)))

    def arm(number: int, values: Mapping[str, Any]) -> Arm:
        label = f"trial-{number}"
        at = ("optuna", "fields")
        own = _changes(dict(values), document, at)
        name = shortened(f"{record.name}-{label}")
        named = Change(("name",), name, _origin(document, ("name",)))
        base = beside(file, record.base[0])
        loaded = load(base, overrides, [*common, *own, seed, named])
        return Arm(label, loaded, tuple(map(str, own)))

    first = {
        path: draw.low if draw.values is None else draw.values[0]
        for path, draw in drawn.fields.items()
    }
    example = arm(1, first)
    return Sweep(record.name, document.text, (example,), record.seeds, search=Search(drawn, arm))


def of_arms(line: str, labels: list[str], count: int) -> str:
    """A mistake, with the arms that have it if not all do."""
    if len(labels) == count:
        return line
    more = f" and {len(labels) - 3} more" if len(labels) > 3 else ""
    return f"{line} (arm {', '.join(labels[:3])}{more})"


def untaken(label: str, taken: dict[str, int]) -> str:
    """`label`, or `label-2` the second time; `taken` counts how often each label was used."""
    taken[label] = taken.get(label, 0) + 1
    return label if taken[label] == 1 else f"{label}-{taken[label]}"


def _changes(own: Settings, document: Document, at: tuple[str, ...]) -> tuple[Change, ...]:
    return tuple(
        Change(keys_of(path), value, _origin(document, (*at, path))) for path, value in own.items()
    )


def _origin(document: Document, path: tuple[str | int, ...]) -> Origin:
    """The place of a value in the sweep file, or of the nearest section that is written there."""
    while path not in document.values:
        path = path[:-1]
    mark = document.values[path]
    return Origin("file", document.keys.get(path, mark), mark)


def _grid(record: SweepFile, document: Document) -> Iterable[list[_Choice]]:
    for path, values in record.grid.items():
        yield [_one(path, value, document, ("grid", path, i)) for i, value in enumerate(values)]


def _zipped(record: SweepFile, document: Document) -> list[_Choice]:
    columns = [
        [_one(path, value, document, ("zip", path, i)) for i, value in enumerate(values)]
        for path, values in record.zip.items()
    ]
    return [_together(row) for row in zip(*columns, strict=True)] if columns else [_Choice("", ())]


def _together(row: Sequence[_Choice]) -> _Choice:
    changes = tuple(change for choice in row for change in choice.changes)
    return _Choice("-".join(choice.label for choice in row), changes)


def _one(path: str, value: Any, document: Document, at: tuple[str | int, ...]) -> _Choice:
    origin = _origin(document, at)
    return _Choice(_word(path, value), (Change(keys_of(path), value, origin),))


def _word(path: str, value: Any) -> str:
    """A value as part of a label: text as it is, anything else with the last key of its path."""
    if isinstance(value, str):
        text = value
    elif isinstance(value, Mapping) and set(value) == {"type"}:
        text = str(value["type"])
    else:
        *above, last = keys_of(path)
        named = [key for key in above if not key.isdecimal()][-1:] * last.isdecimal()
        text = "-".join([*named, last, flow(value)])
    return _plain(text)


def _plain(text: str) -> str:
    """Text with only the characters that the name of a spec may have."""
    return re.sub(r"[^A-Za-z0-9._-]+", "-", text).strip("-")


def shortened(name: str) -> str:
    """A name that is short enough for a spec; if it is cut, it ends in a part of its hash."""
    if len(name) <= LONGEST_NAME:
        return name
    piece = hashlib.sha256(name.encode()).hexdigest()[:8]
    return f"{name[: LONGEST_NAME - len(piece) - 1].rstrip('-')}-{piece}"


def _drawn(drawn: Random | None, document: Document) -> list[_Choice]:
    if drawn is None:
        return [_Choice("", ())]
    rng, rows = random.Random(drawn.seed), list[_Choice]()
    for index in range(drawn.count):
        own = [
            (path, _value(draw, rng), _origin(document, ("random", "fields", path)))
            for path, draw in drawn.fields.items()
        ]
        changes = (Change(keys_of(path), value, at) for path, value, at in own)
        rows.append(_Choice(f"random-{index + 1}", tuple(changes), drawn=True))
    return rows


def _value(draw: Draw, rng: random.Random) -> Any:
    """One draw; numbers that are not whole are rounded to four digits, to be readable."""
    if draw.values is not None:
        return rng.choice(draw.values)
    low, high = draw.low or 0, draw.high or 0  # `_problems` refuses draws without them
    if draw.scale == "log":
        number = math.exp(rng.uniform(math.log(low), math.log(high)))
    else:
        number = rng.uniform(low, high)
    if draw.whole:
        return rng.randint(int(low), int(high)) if draw.scale == "linear" else round(number)
    return readable(number, low, high)


def readable(number: float, low: float, high: float) -> float:
    """A number rounded to four digits, and kept between `low` and `high`."""
    return min(max(float(f"{number:.4g}"), low), high)


def trained(loaded: Loaded) -> str:
    """A hash of everything that affects what a spec trains, but not of its name."""
    values = loaded.values()
    return identity({name: value for name, value in values.items() if name not in UNTRAINED})


# The hash of a spec covers its name, description and expectation too. But training it a second time
# because they differ would show nothing new.
def _distinct(arms: Sequence[Arm]) -> tuple[tuple[Arm, ...], tuple[str, ...]]:
    kept: dict[str, Arm] = {}
    dropped = []
    for arm in arms:
        # A baseline that is still to be fitted will differ from an arm that it equals now.
        same = kept.setdefault(f"{trained(arm.loaded)} {arm.fits}", arm)
        if same is not arm:
            dropped.append(f"{arm.label} is left out: it trains the same as {same.label}")
    return tuple(kept.values()), tuple(dropped)
