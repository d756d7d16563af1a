"""Figure 8 of Ren et al. 2022: the eight laws of variance, in theory and simulated.

It has a network of its own, with tanh and squared error, as the laws know of a network only two
numbers. Prints how far simulation is from theory, and draws theory as lines, simulations as dots.

Run: python benchmarks/law_figure.py --out figure8.png
"""

import argparse
import io
from collections.abc import Mapping, Sequence
from pathlib import Path

from variance_laws import KINDS, Layer, simulate

from fgspec.bench.plot import plotting
from fgspec.show.text import columns as aligned

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


BATCHES = tuple(4**k for k in range(7))
FANS = tuple(4**k for k in range(5))
PANELS: Mapping[str, Mapping[int, Layer]] = {
    "batch size": {n: Layer(n, 4, 4) for n in BATCHES},
    "fan in": {p: Layer(4, p, 4) for p in FANS},
    "fan out": {q: Layer(4, 4, q) for q in FANS},
}
"""What section 10 of Ren et al. 2022 varies: the batch, then fan in and fan out at a batch of 4."""


def figure8(out: Path) -> None:
    """The eight laws of variance, in theory and simulated: a table of deviations, and a figure."""
    plotting("reproduce: a figure")
    found = {
        what: {value: simulate(layer) for value, layer in layers.items()}
        for what, layers in PANELS.items()
    }
    rows = [("simulated / theory", *(f"by {what}" for what in PANELS))]
    for kind in KINDS:
        own = [
            [point[kind].simulated / point[kind].theory for point in points.values()]
            for points in found.values()
        ]
        rows.append((str(kind), *(f"{min(o):.3f} to {max(o):.3f}" for o in own)))
    print("\n".join(aligned(rows)))
    panels = {
        what: {
            str(kind): [
                (value, point[kind].theory, point[kind].simulated)
                for value, point in points.items()
            ]
            for kind in KINDS
        }
        for what, points in found.items()
    }
    out.write_bytes(draw(panels))
    print(f"figure {out}")


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--out", type=Path, default=Path("figure8.png"), help="the picture")
    figure8(parser.parse_args().out)
