"""Figure 8 of Ren et al. 2022 as PNG: variances in theory as lines, simulated ones as dots."""

import io
from collections.abc import Mapping, Sequence

from fgspec.bench_plot import plotting

Curves = Mapping[str, Sequence[tuple[int, float, float]]]
"""By estimator: what varies, theory, simulation."""


def draw(panels: Mapping[str, Curves]) -> bytes:
    """A panel for each thing that varies, by its name."""
    figure = plotting("reproduce: a figure").Figure(
        figsize=(4.4 * len(panels), 4.6), layout="constrained", dpi=110
    )
    axes = figure.subplots(1, len(panels), squeeze=False)[0]
    for axis, (what, curves) in zip(axes, panels.items(), strict=True):
        for name, points in curves.items():
            xs, theory, simulated = zip(*points, strict=True)
            style = "--" if name.endswith("rademacher") else "-"
            (line,) = axis.plot(xs, theory, style, linewidth=1, label=name)
            axis.plot(xs, simulated, "o", markersize=3, color=line.get_color())
        axis.set(xscale="log", yscale="log", xlabel=what)
        axis.grid(alpha=0.3)
    axes[0].set_ylabel("average variance of a weight's estimate")
    figure.legend(
        *axes[0].get_legend_handles_labels(), loc="outside lower center", ncols=4, fontsize=8
    )
    buffer = io.BytesIO()
    figure.savefig(buffer, format="png")
    return buffer.getvalue()
