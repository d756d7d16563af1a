"""Figures of a report as PNG: learning curves, quality of gradients, cost against accuracy."""

import io
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from fgspec.bench.plot import plotting
from fgspec.results.collect import ArmResult

CURVES = ("train/loss", "train/objective", "valid/loss", "valid/error", "test/loss", "test/error")
"""Metrics with a panel each, if logged."""

COSINE = "fg/cosine/"

_LINES, _MARKERS = ("-", "--", ":", "-."), ("o", "s", "^", "v")
"""One for each round through the ten colours."""


def panels(arms: Sequence[ArmResult], metrics: Sequence[str]) -> bytes | None:
    """Curves over updates, a panel a metric: means over seeds, and from the least to the largest.

    None if no run has any of the metrics at two steps.
    """
    curves = {name: {arm.label: _curve(arm, name) for arm in arms} for name in metrics}
    shown = {
        name: own
        for name, own in curves.items()
        if any(len(steps) > 1 for steps, _ in own.values())
    }
    if not shown:
        return None
    figure, axes = _grid(len(shown))
    for axis, (name, own) in zip(axes, shown.items(), strict=False):
        for index, (label, (steps, values)) in enumerate(own.items()):
            style = {"color": f"C{index}", "linestyle": _LINES[index // 10 % len(_LINES)]}
            axis.plot(steps, values.mean(0) if len(steps) else [], label=label, **style)
            if len(values) > 1:
                band = {"color": f"C{index}", "alpha": 0.15, "linewidth": 0}
                axis.fill_between(steps, values.min(0), values.max(0), **band)
        axis.set(xlabel="updates", title=name)
        if name.endswith(("loss", "error")):
            axis.set_yscale("log")
        axis.grid(alpha=0.3)
    return _png(figure, axes[0])


def against_cost(
    points: Mapping[str, tuple[float, float, float | None]], metric: str
) -> bytes | None:
    """A metric over FLOPs of a run: a point an arm, with its standard deviation."""
    if len(points) < 2:
        return None
    figure = plotting("report: figures").Figure(figsize=(6, 4), layout="constrained", dpi=110)
    axis = figure.subplots()
    for index, (label, (flops, mean, deviation)) in enumerate(points.items()):
        marker = {"color": f"C{index}", "fmt": _MARKERS[index // 10 % len(_MARKERS)]}
        axis.errorbar(flops, mean, yerr=deviation, capsize=3, label=label, **marker)
    axis.set(xlabel="FLOPs of a run", ylabel=metric)
    axis.grid(alpha=0.3)
    return _png(figure, axis)


def _curve(arm: ArmResult, metric: str) -> tuple[list[int], np.ndarray]:
    """Steps that every run has, and its values there, [seeds, steps]."""
    found = [
        {line["step"]: line[metric] for line in run.lines if metric in line} for run in arm.runs
    ]
    steps = sorted(set.intersection(*map(set, found))) if found else []
    return steps, np.asarray([[run[step] for step in steps] for run in found], np.float64)


def cosine_metrics(arms: Sequence[ArmResult]) -> list[str]:
    """The metrics `fg/cosine/<part>` that any run has logged."""
    names = (name for arm in arms for run in arm.runs for line in run.lines for name in line)
    return [name for name in dict.fromkeys(names) if name.startswith(COSINE)]


def _grid(count: int) -> tuple[Any, list[Any]]:
    columns = min(count, 2)
    rows = -(-count // columns)
    size = (4.6 * columns, 3.2 * rows)
    figure = plotting("report: figures").Figure(figsize=size, layout="constrained", dpi=110)
    axes = list(np.ravel(figure.subplots(rows, columns, squeeze=False)))
    for empty in axes[count:]:
        empty.set_axis_off()
    return figure, axes


def _png(figure: Any, named: Any) -> bytes:
    """The picture, with a legend below of what `named` shows."""
    handles = named.get_legend_handles_labels()
    figure.legend(*handles, loc="outside lower center", ncols=4, fontsize=8, frameon=False)
    buffer = io.BytesIO()
    figure.savefig(buffer, format="png")
    return buffer.getvalue()
