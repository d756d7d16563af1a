"""`fgspec check`."""

import importlib
from pathlib import Path
from typing import Any

from fgspec.check.against_data import data_problems, not_installed, refusals
from fgspec.cli.arguments import then
from fgspec.comparing.contract import broken
from fgspec.data.describe import describe
from fgspec.data.validation import described
from fgspec.errors import DataError, UserError
from fgspec.loading.resolved import spec_hash
from fgspec.loading.spec_file import Loaded, load
from fgspec.problems.problems import Problem, SpecError
from fgspec.spec.experiment import Experiment
from fgspec.sweeps.expand import is_sweep, load_sweep


def checked(loaded: Loaded) -> Loaded:
    """`loaded`, unless its contract, the compiler or the data refuse it.

    Raises:
        SpecError: with one line for each refusal.
    """
    spec = loaded.experiment
    problems = [*broken(loaded), *refusals(spec), *not_installed(spec)]
    try:
        problems += data_problems(spec, described(describe(spec.data.source), spec.data.validation))
    except DataError as error:
        lines = str(error).splitlines()
        problems += [_of_data(line) for line in lines]
    loaded.refuse(problems)
    if loaded.ablation is not None and loaded.ablation.touches is not None:
        _with_jax().refuse_untold(loaded)
    if _only_planned(loaded.experiment):
        _with_jax().plan(loaded, here=False)
    return loaded


def _with_jax() -> Any:
    """The functions that need JAX, which takes a while to import and few checks need."""
    return importlib.import_module("fgspec.api")


def _only_planned(spec: Experiment) -> bool:
    """Whether it takes the layers of the network to tell if it can do what the spec asks."""
    drawn = spec.gradient.perturbation
    fits = drawn is not None and not drawn.projects and drawn.guess.set.fits
    return fits or spec.compile.blocks == "scanned"


def _of_data(line: str) -> Problem:
    """A line of a `DataError` at the field that it begins with."""
    field, _, message = line.partition(": ")
    if not field.startswith("data."):
        field, message = "data.source", line
    return Problem(tuple(field.split(".")), message, shows=False)


def run(specs: list[Path], overrides: list[str] | None) -> None:
    """What `fgspec check` does."""
    lines: list[str] = []
    for path in specs:
        try:
            print(f"{path}: ok ({_told(path, overrides or [])})")
        except UserError as error:
            lines += str(error).splitlines()
    if lines:
        raise SpecError(list(dict.fromkeys(lines)))
    if len(specs) == 1 and specs[0].is_file():
        then("sweep" if is_sweep(specs[0]) else "train", specs[0], *(overrides or ()))


def _told(path: Path, overrides: list[str]) -> str:
    """What a spec or a sweep that is right is called."""
    if not is_sweep(path):
        loaded = checked(load(path, overrides))
        return f"{loaded.experiment.name}, {spec_hash(loaded)[:8]}"
    sweep = load_sweep(path, overrides)
    for arm in sweep.arms:
        checked(arm.loaded)
    return f"{sweep.name}, {len(sweep.arms)} arm{'s' * (len(sweep.arms) > 1)}"
