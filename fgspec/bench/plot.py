"""Measured updates as a picture; needs matplotlib, which the extra `plot` brings."""

from collections.abc import Mapping
from pathlib import Path
from types import ModuleType
from typing import Any

from fgspec.errors.extras import extra


def plotting(what: str) -> ModuleType:
    """The part of matplotlib that draws without a window.

    Args:
        what: needs it, as the error says.

    Raises:
        UserError: matplotlib is not installed.
    """
    return extra("matplotlib.figure", "matplotlib>=3.11", "plot", what)


def draw(results: Mapping[str, Any], path: Path) -> None:
    """Write a PNG of two bars a spec: milliseconds of an update with quartiles, and temporaries.

    Args:
        results: as `fgspec.bench.lines` takes them.
        path: of the picture.

    Raises:
        UserError: matplotlib is not installed.
    """
    specs = results["specs"]
    names = [one["name"] for one in specs]
    figure = plotting("bench: --plot").Figure(
        figsize=(9, 1.2 + 0.4 * len(names)), layout="constrained", dpi=120
    )
    time, memory = figure.subplots(1, 2, sharey=True)
    values = [[one["step_time_s"][part] * 1e3 for one in specs] for part in _PARTS]
    low, middle, high = values
    spans = [[m - a for m, a in zip(middle, low, strict=True)]]
    spans += [[b - m for m, b in zip(middle, high, strict=True)]]
    bars = time.barh(names, middle, xerr=spans, capsize=3)
    ratios = [f"{one['ratio']['median']:.2f}x" for one in specs]
    time.bar_label(bars, labels=ratios, padding=6)
    time.margins(x=0.2)
    time.invert_yaxis()
    time.set_xlabel(f"ms per step (ratio to {results['against']})")
    memory.barh(names, [one["memory"]["temporary_bytes"] / 2**20 for one in specs], color="C1")
    memory.set_xlabel("temporary arrays (MiB)")
    figure.savefig(path, format="png")


_PARTS = ("lower_quartile", "median", "upper_quartile")
