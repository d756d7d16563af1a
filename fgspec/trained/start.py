"""Parameters that a run begins with, read from another run or from an exported file."""

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
    """What a plan's `start_from` names, read when it is first asked for.

    Attributes:
        plan: of the run that begins.
        search: folders in which relative paths are looked for.
    """

    plan: Plan
    search: Search = None

    def __call__(self) -> Arrays:
        """Parameters by path such as `blocks/block0/w`, float32; those not read are not in it.

        Raises:
            UserError: the source is missing, or names and shapes do not fit.
            ResumeError: the run has no such checkpoint.
        """
        return self._read

    @cached_property
    def _read(self) -> Arrays:
        start = self.plan.experiment.start_from
        return {} if start is None else _fitting(self.plan, start, _source(start, self.search))


def _source(start: StartFrom, search: Search) -> Arrays:
    """All parameters that are there."""
    if start.run is not None:
        return flatten(restore(_located("run", start.run, search), start.step).parameters)
    path = _located("file", start.file or "", search)
    form = next((form for form in FORMATS.values() if form.ending == path.suffix), None)
    if form is None or path.is_dir() != (form.ending == ""):
        endings = ", ".join(form.ending for form in FORMATS.values() if form.ending)
        raise UserError(f"start_from.file: {path}: must end in {endings}, or be an orbax folder")
    form.check()
    try:
        arrays, _ = form.read(path)
    except Exception as error:  # a damaged file can make its readers raise anything
        reason = str(error).strip().split("\n", 1)[0] or type(error).__name__
        raise UserError(
            f"start_from.file: {path}: cannot be read: {reason}; write it with fgspec export"
        ) from error
    return {name: a for name, a in arrays.items() if not within(name, STATISTICS)}


def _located(field: str, path: str, search: Search) -> Path:
    places = candidates(path, search)
    found = next((place for place in places if place.exists()), None)
    if found is None:
        raise UserError(
            f"start_from.{field}: {path} was not found; looked for "
            f"{', '.join(map(str, places))}; correct the path"
        )
    return found


def _fitting(plan: Plan, start: StartFrom, arrays: Arrays) -> Arrays:
    """The arrays that are read, by the names that they have here.

    Raises:
        UserError: naming those that do not fit.
    """
    specs, wanted = flatten(plan.parameters()), plan.begins_elsewhere
    own = [block.name for block in plan.network.blocks]
    found = _renamed(arrays, start.rename, own)
    if missing := [path for path in specs if path in wanted and path not in found]:
        raise UserError(
            f"start_from: there is no {_listed(missing)}; there are {_listed(list(found))}; name "
            "the parts to read in start_from.only, or what they are called there in "
            "start_from.rename"
        )
    if not start.only and (unused := [path for path in found if path not in specs]):
        raise UserError(
            f"start_from: {_listed(unused)} of the source is no parameter here; name the parts to "
            "read in start_from.only"
        )
    read = [path for path in specs if path in wanted]
    for path in read:
        there, here = found[path].shape, specs[path].shape
        if there != here or found[path].dtype.kind != "f":
            raise UserError(
                f"start_from: {path.replace('/', '.')} is {found[path].dtype} {list(there)} there, "
                f"expected float32 {list(here)}; leave it out of start_from.only"
            )
    return {path: np.asarray(found[path], np.float32) for path in read}


def _renamed(arrays: Arrays, rename: Mapping[str, str], own: Sequence[str]) -> dict[str, Any]:
    """The arrays by the names they have here; a new name goes before one that is there."""
    blocks = [name.split("/")[1] for name in arrays if within(name, "blocks")]
    theirs = list(dict.fromkeys(blocks))
    moved: dict[str, Any] = {}
    for there, here in rename.items():
        old, new = path_of(there, theirs), path_of(here, own)
        for name in chosen("start_from.rename", [there], arrays.keys(), theirs):
            moved[new + name.removeprefix(old)] = arrays[name]
    return {**arrays, **moved}


def _listed(paths: Sequence[str]) -> str:
    """A few of the names, dotted."""
    named = [path.replace("/", ".") for path in paths]
    more = f" and {len(named) - 3} more" if len(named) > 3 else ""
    return ", ".join(named[:3]) + more
