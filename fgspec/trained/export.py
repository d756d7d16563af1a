"""Exports a trained model's arrays to a file, with all that is needed to apply them."""

from dataclasses import asdict
from pathlib import Path
from typing import Any

from compiler.named_arrays.paths import flatten
from fgspec.errors import UserError
from fgspec.problems.problems import nearest
from fgspec.trained.files import FORMATS
from fgspec.trained.model import Model, restore
from fgspec.trained.steps import NEWEST, Step
from fgspec.training.records import read_record

VERSION = 1
"""The version of the names and the metadata in exported files."""

STATISTICS = "statistics"


def export(run: str | Path, out: str | Path, *, to: str, step: Step = NEWEST) -> Model:
    """Write the parameters that a run trained, and its running statistics, to a file.

    Arrays have the names of `Model.parameters`, such as `blocks/block0/channel/w`. The names of
    running moments start with `statistics/`. `about` describes the metadata.

    Args:
        run: the folder of the run.
        out: the file, which is replaced if it exists; with `orbax` a folder, which must not exist.
        to: `safetensors`, `npz` or `orbax`.
        step: which checkpoint; see `restore`.

    Returns:
        The model that was written.

    Raises:
        UserError: the format is unknown or not installed, or the folder exists.
        ResumeError: as `restore`.
    """
    if to not in FORMATS:
        raise UserError(f"export: to: {nearest(to, FORMATS)} (got {to})")
    FORMATS[to].check()
    model = restore(run, step)
    FORMATS[to].write(Path(out), arrays(model), about(model))
    return model


def arrays(model: Model) -> dict[str, Any]:
    """All arrays of a model by name: parameters in the order of its plan, then running moments."""
    parameters = flatten(model.parameters)
    ordered = {name: parameters[name] for name in flatten(model.program.plan.parameters())}
    return ordered | flatten({STATISTICS: model.statistics} if model.statistics else {})


def about(model: Model) -> dict[str, Any]:
    """The metadata of an exported model, as values for JSON.

    * `format`, `version`, `run`, `step`.
    * `spec`: the resolved spec as YAML.
    * `hashes`: those of the spec and of the data.
    * `data`: `image_shape`, `classes`, and the `mean` and `std` per channel of pixels in [0, 1], by
      which images are standardized unless the spec says otherwise.
    * `classes`: the names of the classes.
    * `arrays`: for each array its `shape`, and its `axes`: the named axis of each dimension, or
      null.
    """
    specs = flatten(model.program.plan.parameters())
    axes = {name: list(spec.axes) for name, spec in specs.items()}
    activation = ["batch", "patch", "group", "channel"]
    return {
        "format": "fgspec",
        "version": VERSION,
        "run": str(model.run.resolve()),
        "step": model.step,
        "spec": model.folder.resolved.read_text(),
        "hashes": read_record(model.folder.provenance)["hashes"],
        "data": asdict(model.data),
        "classes": list(model.classes),
        "arrays": {
            name: {"shape": list(array.shape), "axes": axes.get(name, activation)}
            for name, array in arrays(model).items()
        },
    }
