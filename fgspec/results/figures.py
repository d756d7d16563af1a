"""Figures of a report as PNG: learning curves, quality of gradients, cost against accuracy."""

import io
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from fgspec.bench_plot import plotting
from fgspec.results.collect import ArmResult

CURVES = ("train/loss", "train/objective", "eval/loss", "eval/error")
"""Metrics with a panel each, if logged."""

COSINE = "fg/cosine/"


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
        for label, (steps, values) in own.items():
            (line,) = axis.plot(steps, values.mean(0) if len(steps) else [], label=label)
            if len(values) > 1:
                band = {"color": line.get_color(), "alpha": 0.15, "linewidth": 0}
                axis.fill_between(steps, values.min(0), values.max(0), **band)
        axis.set(xlabel="updates", title=name)
        if name.endswith(("loss", "error")):
            axis.set_yscale("log")
        axis.grid(alpha=0.3)
    axes[0].legend(fontsize=8)
    return _png(figure)


def against_cost(
    points: Mapping[str, tuple[float, float, float | None]], metric: str
) -> bytes | None:
    """A metric over FLOPs of a run: a point an arm, with its standard deviation."""
    if len(points) < 2:
        return None
    figure = plotting("report: figures").Figure(figsize=(6, 4), layout="constrained", dpi=110)
    axis = figure.subplots()
    for label, (flops, mean, deviation) in points.items():
        axis.errorbar(flops, mean, yerr=deviation, fmt="o", capsize=3)
        axis.annotate(label, (flops, mean), (6, 4), textcoords="offset points", fontsize=8)
    axis.set(xlabel="FLOPs of a run", ylabel=metric)
    axis.margins(0.15)
    axis.grid(alpha=0.3)
    return _png(figure)


def _curve(arm: ArmResult, metric: str) -> tuple[list[int], np.ndarray]:
    """Steps that every run has, and its values there, [seeds, steps]."""
    found = [
        {line["step"]: line[metric] for line in run.lines if metric in line} for run in arm.runs
    ]
    steps = sorted(set.intersection(*map(set, found))) if found else []
    return steps, np.asarray([[run[step] for step in steps] for run in found], np.float64)


def cosine_metrics(arms: Sequence[ArmResult]) -> list[str]:
    """The metrics `fg/cosine/<block>` that any run has logged."""
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


def _png(figure: Any) -> bytes:
    buffer = io.BytesIO()
    figure.savefig(buffer, format="png")
    return buffer.getvalue()
