"""`fgspec data check`."""

import json
import math
from collections.abc import Iterator
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

from rich.console import Console

from fgspec.check.against_data import data_problems
from fgspec.cli.arguments import ArgumentError, refuse_unwritable, then
from fgspec.data.contact_sheet import Sheet, sheet_of
from fgspec.data.describe import describe
from fgspec.data.inspection import Inspection, Part, inspected
from fgspec.data.sources import read
from fgspec.data.validation import described, divided
from fgspec.errors import DataError
from fgspec.loading.spec_file import Loaded, load
from fgspec.show.lines import say
from fgspec.show.progress import waiting
from fgspec.show.text import columns
from fgspec.training.logbook import write_bytes

_MOST = 20
"""The largest number of classes, and of damaged images, that are listed."""


def run(spec: Path, overrides: list[str] | None, sheet: Path, as_json: bool) -> None:
    """What `fgspec data check` does."""
    if sheet.suffix != ".png":
        raise ArgumentError(f"data check: --sheet {sheet}: must end in .png")
    refuse_unwritable("data check: --sheet", sheet)
    loaded = load(spec, overrides or ())
    data, console = loaded.experiment.data, Console(stderr=True)
    with waiting("reading everything", console):
        info = described(describe(data.source, loaded.search), data.validation)
        loaded.refuse(data_problems(loaded.experiment, info))
        dataset = divided(read(data.source, loaded.search), data.validation)
        size, seed = data.batch_size, loaded.experiment.order_seed
        loaded.refuse(data_problems(loaded.experiment, _counted(info, dataset)))
        found = inspected(dataset, info, size, seed)
        drawn = sheet_of(dataset, loaded.experiment)
    write_bytes(sheet, drawn.png())
    if as_json:
        print(json.dumps(_plain(found, sheet)))
    else:
        for line in (*lines(found, loaded), *_of_sheet(found, drawn, sheet)):
            say(Console(), line)
    if found.damaged:
        raise DataError(_damage(found, str(data.source)))
    if not as_json:
        then("train", spec, *(overrides or ()))


def _counted(info: Any, dataset: Any) -> Any:
    """The description with the numbers of examples that were read."""
    return replace(
        info,
        train_examples=len(dataset.train_labels),
        test_examples=len(dataset.test_labels),
        valid_examples=len(dataset.valid_labels),
    )


def lines(found: Inspection, loaded: Loaded) -> Iterator[str]:
    """The findings as lines of text."""
    info, data = found.info, loaded.experiment.data
    height, width, channels = info.image_shape
    label = {
        "class": f"{info.classes} classes",
        "vector": f"a vector of {info.numbers} numbers per image",
        "binary": f"{info.numbers} labels of 0 or 1 per image",
    }[info.label]
    yield (
        f"{info.name}: images of {height}x{width} pixels with {channels} "
        f"channel{'s' * (channels > 1)}, {info.pixels}; {label}"
    )
    rows: list[tuple[str, ...]] = []
    rows.append(("set", "examples", "described", "damaged", "constant", "pixels", "images/s"))
    described_as = {
        "train": info.train_examples,
        "valid": info.valid_examples,
        "test": info.test_examples,
    }
    for part in found.parts:
        pixels = f"{part.lowest:.3g} to {part.highest:.3g}"
        counts = (part.examples, described_as[part.name], len(part.damaged), part.constant)
        rows.append((part.name, *(f"{n:,}" for n in counts), pixels, f"{part.examples_per_s:,.0f}"))
    yield from columns(rows)
    yield from columns(_moments(found, data.standardize))
    yield from columns(list(_labels(found)))
    if found.batches_per_s is not None:
        yield (
            f"training batches of {found.batch_size}: {found.batches_per_s:,.1f} per second, "
            f"{found.batches_per_s * found.batch_size:,.0f} examples/s"
        )


def _moments(found: Inspection, standardized: bool) -> list[tuple[str, ...]]:
    """Means and deviations per channel, beside those by which images are standardized."""
    channels = [f"channel {channel}" for channel in range(len(found.info.mean))]
    rows = [("of pixels from 0 to 1", *channels)]
    used = "used to standardize" if standardized else "described, not used"
    for what, stated in (("mean", found.info.mean), ("std", found.info.std)):
        for part in found.parts:
            own = getattr(part, what)
            rows.append((f"{part.name} {what}", *(f"{value:.4f}" for value in own)))
        rows.append((f"{what}, {used}", *(f"{value:.4f}" for value in stated)))
    return rows


def _labels(found: Inspection) -> Iterator[tuple[str, ...]]:
    """The examples of every class, or only of the rarest classes; or the numbers of labels."""
    parts, names = found.parts, found.names
    if found.info.label != "class":
        yield ("number of the label", *(f"{part.name} mean, std, range" for part in parts))
        for index, name in list(enumerate(names))[:_MOST]:
            own = [part.numbers[index] for part in parts]
            yield (
                name,
                *(f"{n.mean:.4g}, {n.std:.4g}, {n.lowest:.4g} to {n.highest:.4g}" for n in own),
            )
        return
    order = range(len(names))
    if len(names) > _MOST:
        order = sorted(order, key=lambda label: parts[0].classes[label])[:_MOST]
    shown = f"class (the rarest {_MOST} of {len(names)})" if len(names) > _MOST else "class"
    yield (shown, *(part.name for part in parts), "share of labels")
    total = max(sum(parts[0].classes), 1)
    for label in order:
        share = f"{parts[0].classes[label] / total:.2%}"
        yield (names[label], *(f"{part.classes[label]:,}" for part in parts), share)
    if any(part.unlabelled for part in parts):
        yield ("no label", *(f"{part.unlabelled:,}" for part in parts), "")


def _of_sheet(found: Inspection, drawn: Sheet, sheet: Path) -> Iterator[str]:
    rows = [found.names[row] for row in drawn.rows if row >= 0]
    of = f"rows are the classes {', '.join(rows)}" if rows else "rows are not classes"
    views = (
        f"; the {drawn.views} on the right are augmented versions of a row's first image"
        if drawn.views
        else ""
    )
    yield f"{sheet}: training images, {drawn.images} in a row; {of}{views}"


def _damage(found: Inspection, source: str) -> str:
    every = [(part, place) for part in found.parts for place in part.damaged]
    reasons = "; ".join(_reason(part, place) for part, place in every[:_MOST])
    more = f"; and {len(every) - _MOST} more" if len(every) > _MOST else ""
    return f"data.source: {found.damaged} images of {source} cannot be read: {reasons}{more}"


def _reason(part: Part, place: int) -> str:
    return f"{part.name} image {place}: {part.damaged[place].removeprefix('data.source: ')}"


def _plain(found: Inspection, sheet: Path) -> dict[str, Any]:
    """The findings as plain values."""
    parts = {}
    for part in found.parts:
        own = {name: value for name, value in asdict(part).items() if name != "name"}
        own["damaged"] = {str(place): why for place, why in part.damaged.items()}
        own["examples_per_s"] = part.examples_per_s
        finite = {n: v for n, v in own.items() if not isinstance(v, float) or math.isfinite(v)}
        parts[part.name] = finite
    return {
        "data": asdict(found.info),
        "names": list(found.names),
        "parts": parts,
        "batch_size": found.batch_size,
        "batches_per_s": found.batches_per_s,
        "sheet": str(sheet),
    }
