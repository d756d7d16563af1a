"""Figures of a report: learning curves, quality of gradients, cost against the metric."""

import io
import itertools
import re
from collections.abc import Iterable, Mapping, Sequence
from html import escape
from typing import Any, NamedTuple, Protocol

import numpy as np

from fgspec.errors.extras import extra
from fgspec.results.abscissa import Abscissa, Costs
from fgspec.results.collect import ArmResult
from fgspec.results.metrics import scale, titled
from fgspec.show.document import Figure

_INK = "#1b1a19"
"""The colour of text and axes in files; on a page the colour of its text replaces it."""

_COLOURS = (
    "#3a78b8",
    "#c75b28",
    "#2c8a5a",
    "#b0509e",
    "#857718",
    "#6a6bd0",
    "#cf4760",
    "#1d8896",
    "#8b6b55",
)
"""Colours of medium lightness, which are visible on light and on dark pages."""

_MARKERS, _LINES = "os^Dv<P>X*", ("-", "--", ":", "-.")
"""Arms also differ in these, so that figures can be read in black and white, up to 180 arms."""

_RC = {
    "svg.fonttype": "none",
    "pdf.fonttype": 42,
    "font.family": ["DejaVu Sans"],
    "font.size": 9,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "grid.alpha": 0.2,
    "lines.markersize": 4.5,
    "lines.linewidth": 1.4,
} | dict.fromkeys(
    ("text.color", "axes.labelcolor", "axes.edgecolor", "xtick.color", "ytick.color", "grid.color"),
    _INK,
)

_MARKED = 8
"""The largest number of markers along a curve."""


def _matplotlib(module: str) -> Any:
    return extra(module, "matplotlib>=3.11", "plot", "report: figures")


class Curve(NamedTuple):
    """A metric of one arm.

    Attributes:
        places: the horizontal positions, [steps].
        values: the values in the unit of the axis, [seeds, steps].
    """

    places: np.ndarray
    values: np.ndarray


class Panel(Protocol):
    """One panel of a figure."""

    @property
    def title(self) -> str:
        """What it shows, for readers who cannot see it."""
        ...

    def draw(self, axis: Any) -> None:
        """Draw on matplotlib's `axis`."""
        ...


class CurvePanel(NamedTuple):
    """Curves of one metric, by the number of their arm."""

    metric: str
    over: Abscissa
    logarithmic: bool
    curves: Mapping[int, Curve]

    @property
    def title(self) -> str:
        """What it shows."""
        return f"{self.metric} over {self.over.title}"

    def draw(self, axis: Any) -> None:
        """Draw means over seeds, and bands."""
        for index, (places, values) in self.curves.items():
            every = -(-len(places) // _MARKED)
            axis.plot(places, values.mean(0), markevery=every, **style(index))
            if len(values) > 1:
                band = {"color": style(index)["color"], "alpha": 0.15, "linewidth": 0}
                axis.fill_between(places, values.min(0), values.max(0), **band)
        axis.set(xlabel=self.over.title, ylabel=titled(self.metric))
        _along(axis, self.over)
        if self.logarithmic:
            _logarithmic(axis)
        axis.grid()


def curves(
    name: str,
    caption: str,
    arms: Sequence[ArmResult],
    metrics: Sequence[str],
    over: Abscissa,
    costs: Costs,
    logarithmic: bool | None = None,
) -> Figure | None:
    """Draw means over seeds with a band from the lowest to the highest, one panel per metric.

    Args:
        name: the name of its files.
        caption: the caption; what lines and bands mean is added.
        arms: the arms to draw.
        metrics: the metrics to draw; those without two logged steps are left out.
        over: the horizontal axis.
        costs: the costs of the arms.
        logarithmic: whether the axis of values is logarithmic; None decides by each metric's name.

    Returns:
        The figure; None if there is nothing to draw.
    """
    panels = []
    for metric in metrics:
        by_arm = {
            index: curve
            for index, arm in enumerate(arms)
            if (curve := _curve(arm, metric, over, costs)) is not None
        }
        if by_arm:
            positive = all((curve.values > 0).all() for curve in by_arm.values())
            wanted = metric.endswith(("loss", "error")) if logarithmic is None else logarithmic
            panels.append(CurvePanel(metric, over, wanted and positive, by_arm))
    if not panels:
        return None
    shown = sorted({index for panel in panels for index in panel.curves})
    seeds = sorted({len(curve.values) for panel in panels for curve in panel.curves.values()})
    text = f"{caption} over {over.title}. Lines are means over {_seeds(seeds)}"
    text += "; bands show the lowest and highest seed." if seeds[-1] > 1 else "."
    hidden = [arm.label for index, arm in enumerate(arms) if arm.runs and index not in shown]
    if hidden:
        text += f" Not drawn, because there are no values over {over.title}: {', '.join(hidden)}."
    labels = {index: arms[index].label for index in shown}
    return _figure(name, text, panels, labels)


def _seeds(counts: Sequence[int]) -> str:
    if counts == [1]:
        return "one seed"
    return f"{' to '.join(map(str, dict.fromkeys([counts[0], counts[-1]])))} seeds"


def _curve(arm: ArmResult, metric: str, over: Abscissa, costs: Costs) -> Curve | None:
    """The curve over the steps that all runs have.

    None if there are fewer than two, or their positions are unknown.
    """
    logged = [
        {line["step"]: line[metric] for line in run.lines if metric in line} for run in arm.runs
    ]
    steps = sorted(set.intersection(*map(set, logged))) if logged else []
    if len(steps) < 2:
        return None
    each = (over.places(np.asarray(steps), run, costs.get(arm.label)) for run in arm.runs)
    places = [place for place in each if place is not None]
    if len(places) < len(arm.runs):
        return None
    values = np.asarray([[run[step] for step in steps] for run in logged], np.float64)
    return Curve(np.mean(places, axis=0), values * scale(metric))


def style(index: int) -> dict[str, Any]:
    """The style of the arm with this number."""
    return {
        "color": _COLOURS[index % len(_COLOURS)],
        "marker": _MARKERS[index % len(_MARKERS)],
        "linestyle": _LINES[index % len(_LINES)],
    }


def _along(axis: Any, over: Abscissa) -> None:
    if over.prefixes:
        axis.xaxis.set_major_formatter(_matplotlib("matplotlib.ticker").EngFormatter())


def _logarithmic(axis: Any) -> None:
    """Make the axis of values logarithmic, with a few ticks that are plain numbers."""
    ticker = _matplotlib("matplotlib.ticker")
    axis.set_yscale("log")
    low, high = axis.get_ylim()
    decades = np.log10(high / low)
    subs = (1, 1.5, 2, 3, 4, 5, 6, 8) if decades < 0.7 else (1, 2, 5) if decades < 3 else (1,)
    axis.yaxis.set_major_locator(ticker.LogLocator(subs=subs))
    axis.yaxis.set_major_formatter(ticker.FuncFormatter(lambda value, _: f"{value:g}"))
    axis.yaxis.set_minor_locator(ticker.NullLocator())


class Point(NamedTuple):
    """An arm's cost and metric as means over its seeds; one seed has no deviation."""

    cost: float
    mean: float
    deviation: float | None


def pareto_front(points: Mapping[str, Point], lower: bool) -> list[str]:
    """The arms that no other arm equals or beats at the same cost or less, the cheapest first."""
    sign = 1 if lower else -1
    ordered = sorted(points, key=lambda label: (points[label].cost, sign * points[label].mean))
    front, best = [], float("inf")
    for label in ordered:
        if sign * points[label].mean < best:
            front.append(label)
            best = sign * points[label].mean
    return front


def against_cost(
    points: Mapping[str, Point],
    indices: Mapping[str, int],
    metric: str,
    lower: bool,
    over: Abscissa,
) -> Figure | None:
    """Draw a metric over the cost of a run, with the Pareto front; None if there is only one arm.

    Args:
        points: the point of each arm, by label.
        indices: the number of each arm, which determines its style.
        metric: the metric on the vertical axis.
        lower: whether lower values of it are better.
        over: the horizontal axis, in which cost is measured.
    """
    if len(points) < 2:
        return None
    caption = (
        f"{metric} over {over.title} per run, means over seeds"
        + (" with standard deviations" * any(p.deviation is not None for p in points.values()))
        + ". The dashed line is the Pareto front: no other arm is better at the same cost or less."
    )
    drawn = CostPanel(points, indices, metric, lower, over)
    labels = {indices[label]: label for label in points}
    return _figure("cost", caption, [drawn], labels, lines=False)


class CostPanel(NamedTuple):
    """The panel of a metric over cost; see `against_cost` for its fields."""

    points: Mapping[str, Point]
    indices: Mapping[str, int]
    metric: str
    lower: bool
    over: Abscissa

    @property
    def title(self) -> str:
        """What it shows."""
        return f"{self.metric} over {self.over.title} per run"

    def draw(self, axis: Any) -> None:
        """Draw a point for each arm, and the front."""
        unit = scale(self.metric)
        for label, point in self.points.items():
            reach = None if point.deviation is None else point.deviation * unit
            look = style(self.indices[label]) | {"linestyle": "none", "markersize": 6}
            axis.errorbar(point.cost, point.mean * unit, yerr=reach, capsize=3, **look)
        axis.set(xlabel=f"{self.over.title} per run", ylabel=titled(self.metric))
        _along(axis, self.over)
        axis.margins(0.1)
        axis.grid()
        self._draw_front(axis)

    def _draw_front(self, axis: Any) -> None:
        """Draw the front from the worst value at the lowest cost to the best value at any cost."""
        (left, right), (bottom, top) = axis.get_xlim(), axis.get_ylim()
        front = [self.points[label] for label in pareto_front(self.points, self.lower)]
        costs = [point.cost for point in front]
        means = [point.mean * scale(self.metric) for point in front]
        places = [costs[0], *costs, right]
        heights = [top if self.lower else bottom, *means, means[-1]]
        look = {"color": _INK, "linestyle": "--", "linewidth": 0.8, "alpha": 0.6}
        axis.step(places, heights, where="post", zorder=0, **look)
        axis.set(xlim=(left, right), ylim=(bottom, top))


def _figure(
    name: str,
    caption: str,
    drawn: Sequence[Panel],
    labels: Mapping[int, str],
    lines: bool = True,
) -> Figure:
    """Separate panels for a page, and files with all panels together."""
    matplotlib = _matplotlib("matplotlib")
    with matplotlib.rc_context(_RC | {"svg.hashsalt": name}):
        keys = tuple((_key(index, lines), label) for index, label in labels.items())
        panels = tuple(_panel(one) for one in drawn)
        files = _files(drawn, labels, lines)
    return Figure(name, caption, panels, keys, files)


def _key(index: int, lines: bool) -> str:
    figure = _matplotlib("matplotlib.figure").Figure(figsize=(0.5, 0.17))
    axis = figure.add_axes((0, 0, 1, 1))
    axis.set_axis_off()
    axis.set(xlim=(0, 2), ylim=(-1, 1))
    look = style(index) | ({} if lines else {"linestyle": "none"})
    axis.plot([0, 1, 2], [0, 0, 0], markevery=[1], **look)
    return _inline(_saved(figure, "svg"), "")


def _panel(drawn: Panel) -> str:
    figure = _matplotlib("matplotlib.figure").Figure(figsize=(4, 2.9), layout="constrained")
    drawn.draw(figure.subplots())
    return _inline(_saved(figure, "svg"), drawn.title)


def _files(drawn: Sequence[Panel], labels: Mapping[int, str], lines: bool) -> dict[str, bytes]:
    columns = min(len(drawn), 2 if len(drawn) <= 4 else 3)
    rows = -(-len(drawn) // columns)
    # As wide as a column of text in a paper, or as its page.
    size = (3.5 * columns, 2.6 * rows + 0.25 * -(-len(labels) // (2 * columns)))
    figure = _matplotlib("matplotlib.figure").Figure(figsize=size, layout="constrained")
    axes = list(np.ravel(figure.subplots(rows, columns, squeeze=False)))
    for axis, one in itertools.zip_longest(axes, drawn):
        axis.set_axis_off() if one is None else one.draw(axis)
    handles = [
        axes[0].plot([], [], label=label, **style(index) | ({} if lines else {"linestyle": "none"}))
        for index, label in labels.items()
    ]
    figure.legend(
        handles=[handle for (handle,) in handles],
        loc="outside lower center",
        ncols=2 * columns,
        frameon=False,
        handlelength=3,
    )
    return {ending: _saved(figure, ending, facecolor="white") for ending in ("svg", "pdf")}


def _saved(figure: Any, ending: str, facecolor: str = "none") -> bytes:
    """The figure as a file; the same data give the same bytes."""
    for axis in figure.axes:
        axis.patch.set_alpha(0)
    buffer = io.BytesIO()
    undated = {"CreationDate": None} if ending == "pdf" else {"Date": None}
    figure.savefig(buffer, format=ending, facecolor=facecolor, metadata=undated)
    return buffer.getvalue()


def _inline(svg: bytes, title: str) -> str:
    """An SVG file as an element of a page, drawn in the colour of the page's text."""
    text = svg.decode()
    text = text[text.index("<svg") :]
    text = re.sub(r"\s*<metadata>.*?</metadata>", "", text, flags=re.DOTALL)
    text = re.sub(r'<g id="[^"]*">', "<g>", text)
    label = f'role="img" aria-label="{escape(title)}"' if title else 'aria-hidden="true"'
    text = re.sub(r"'DejaVu Sans'", "system-ui", text)
    return text.replace(_INK, "currentColor").replace("<svg ", f"<svg {label} ", 1).strip()


def kinds(arms: Iterable[ArmResult], start: str) -> list[str]:
    """The logged metrics whose names start with `start`, in the order of the log."""
    names = (name for arm in arms for run in arm.runs for line in run.lines for name in line)
    return [name for name in dict.fromkeys(names) if name.startswith(start)]
