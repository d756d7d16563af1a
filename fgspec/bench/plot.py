"""Draws the results of `fgspec bench`; needs matplotlib, from the extra `plot`."""

from collections.abc import Mapping
from pathlib import Path
from types import ModuleType
from typing import Any

from fgspec.errors.extras import extra


def plotting(what: str) -> ModuleType:
    """The part of matplotlib that draws without a window.

    Args:
        what: the option that needs it, for the error.

    Raises:
        UserError: matplotlib is not installed.
    """
    return extra("matplotlib.figure", "matplotlib>=3.11", "plot", what)


def draw(results: Mapping[str, Any], path: Path) -> None:
    """Write a PNG with two bars per spec: the time of an update with quartiles, and its memory.

    Args:
        results: the results, as `fgspec.bench.tables.lines` takes them.
        path: the file to write.

    Raises:
        UserError: matplotlib is not installed.
    """
    specs = results["specs"]
    names = [spec["name"] for spec in specs]
    figure = plotting("bench: --plot").Figure(
        figsize=(9, 1.2 + 0.4 * len(names)), layout="constrained", dpi=120
    )
    time, memory = figure.subplots(1, 2, sharey=True)
    values = [[spec["step_time_s"][part] * 1e3 for spec in specs] for part in _PARTS]
    low, middle, high = values
    spans = [[m - a for m, a in zip(middle, low, strict=True)]]
    spans += [[b - m for m, b in zip(middle, high, strict=True)]]
    bars = time.barh(names, middle, xerr=spans, capsize=3)
    ratios = [f"{spec['ratio']['median']:.2f}x" for spec in specs]
    time.bar_label(bars, labels=ratios, padding=6)
    time.margins(x=0.2)
    time.invert_yaxis()
    time.set_xlabel(f"ms per step (ratio to {results['against']})")
    memory.barh(names, [spec["memory"]["temporary_bytes"] / 2**20 for spec in specs], color="C1")
    memory.set_xlabel("temporary arrays (MiB)")
    figure.savefig(path, format="png")


_PARTS = ("lower_quartile", "median", "upper_quartile")
