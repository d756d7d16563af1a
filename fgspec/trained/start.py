"""Reads the parameters that a run starts from, out of another run or an exported file."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from compiler.named_arrays.paths import flatten
from compiler.plan.parts_named import chosen, path_of, within
from compiler.plan.plan import Plan
from fgspec.data.places import candidates
from fgspec.errors import UserError
from fgspec.spec.sources import Search
from fgspec.spec.start import StartFrom
from fgspec.trained.export import STATISTICS
from fgspec.trained.files import FORMATS
from fgspec.trained.model import restore

Arrays = Mapping[str, NDArray[Any]]


@dataclass(frozen=True)
class Beginning:
    """The parameters of a plan's `start_from`, which are read when they are first needed.

    Attributes:
        plan: the plan of the new run.
        search: the folders in which relative paths are looked for.
    """

    plan: Plan
    search: Search = None

    def __call__(self) -> Arrays:
        """Read the parameters, float32, by path such as `blocks/block0/w`.

        Parameters that `start_from` does not name are left out.

        Raises:
            UserError: the source is missing, or names or shapes do not fit.
            ResumeError: the run has no such checkpoint.
        """
        return self._read

    @cached_property
    def _read(self) -> Arrays:
        start = self.plan.experiment.start_from
        return {} if start is None else _fitting(self.plan, start, _source(start, self.search))


def _source(start: StartFrom, search: Search) -> Arrays:
    """All parameters in the source."""
    if start.run is not None:
        return flatten(restore(_located("run", start.run, search), start.step).parameters)
    path = _located("file", start.file or "", search)
    form = next((form for form in FORMATS.values() if form.ending == path.suffix), None)
    if form is None or path.is_dir() != (form.ending == ""):
        endings = ", ".join(form.ending for form in FORMATS.values() if form.ending)
        raise UserError(f"start_from.file: {path}: must end in {endings}, or be an Orbax folder")
    form.check()
    try:
        arrays, _ = form.read(path)
    except Exception as error:  # reading a damaged file can raise any exception
        reason = str(error).strip().split("\n", 1)[0] or type(error).__name__
        raise UserError(
            f"start_from.file: {path}: cannot be read: {reason}; write it with fgspec export"
        ) from error
    return {name: a for name, a in arrays.items() if not within(name, STATISTICS)}


def _located(field: str, path: str, search: Search) -> Path:
    places = candidates(path, search)
    existing = next((place for place in places if place.exists()), None)
    if existing is None:
        raise UserError(
            f"start_from.{field}: {path} was not found; looked for "
            f"{', '.join(map(str, places))}; correct the path"
        )
    return existing


def _fitting(plan: Plan, start: StartFrom, arrays: Arrays) -> Arrays:
    """The arrays that the plan needs, by the plan's names.

    Raises:
        UserError: arrays do not fit; the message names them.
    """
    specs, wanted = flatten(plan.parameters()), plan.begins_elsewhere
    blocks = [block.name for block in plan.network.blocks]
    renamed = _renamed(arrays, start.rename, blocks)
    if missing := [path for path in specs if path in wanted and path not in renamed]:
        raise UserError(
            f"start_from: the source has no {_listed(missing)}; it has {_listed(list(renamed))}; "
            "name the parts to read in start_from.only, or give their names in the source in "
            "start_from.rename"
        )
    if not start.only and (unused := [path for path in renamed if path not in specs]):
        raise UserError(
            f"start_from: the source has {_listed(unused)}, which this network does not have; name "
            "the parts to read in start_from.only"
        )
    read = [path for path in specs if path in wanted]
    for path in read:
        there, here = renamed[path].shape, specs[path].shape
        if there != here or renamed[path].dtype.kind != "f":
            raise UserError(
                f"start_from: {path.replace('/', '.')} is {renamed[path].dtype} {list(there)} in "
                f"the source, expected float32 {list(here)}; leave it out of start_from.only"
            )
    return {path: np.asarray(renamed[path], np.float32) for path in read}


def _renamed(arrays: Arrays, rename: Mapping[str, str], own: Sequence[str]) -> dict[str, Any]:
    """The arrays by the plan's names; renamed arrays replace those that have the name already."""
    blocks = [name.split("/")[1] for name in arrays if within(name, "blocks")]
    theirs = list(dict.fromkeys(blocks))
    moved: dict[str, Any] = {}
    for there, here in rename.items():
        old, new = path_of(there, theirs), path_of(here, own)
        for name in chosen("start_from.rename", [there], arrays.keys(), theirs):
            moved[new + name.removeprefix(old)] = arrays[name]
    return {**arrays, **moved}


def _listed(paths: Sequence[str]) -> str:
    """The first three names, with dots, and how many more there are."""
    named = [path.replace("/", ".") for path in paths]
    more = f" and {len(named) - 3} more" if len(named) > 3 else ""
    return ", ".join(named[:3]) + more
