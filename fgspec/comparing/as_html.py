"""A comparison of two specs as one HTML file that needs no other, nor JavaScript."""

from collections.abc import Iterator
from html import escape

from compiler.equivalence.consequences import Consequence
from compiler.quality.probe import Probe
from fgspec.comparing.as_text import COSTS, EXPLAINED, MEASURES, cells_of
from fgspec.comparing.comparison import Comparison, Probed
from fgspec.loading.resolved import Difference
from fgspec.problems.problems import MISSING, dotted, flow
from fgspec.show import html_page
from fgspec.show.document import Cell, Figure, Section, Table
from fgspec.spec.ablation import CONSEQUENCES

_PLOTTED = ("cosine", "bias", "variance", "signal_to_noise", "step")
"""The measures that are drawn, each in a plot of its own."""

_WIDTH, _BAR, _LETTER = 260, 11, 7.2


def page(found: Comparison, pictures: tuple[str, ...] = ()) -> str:
    """All layers that were asked for, in full.

    Args:
        found: the comparison.
        pictures: of both specs, SVG elements.
    """
    shown = sections(found)
    if pictures:
        figure = Figure("pictures", "A to the left, B to the right.", pictures)
        shown.insert(1, Section("Pictures", (figure,)))
    return html_page.page("Comparison of two specs", shown)


def sections(found: Comparison) -> list[Section]:
    """What stands in the page: A is the first spec, B the second one."""
    names = tuple(
        (side, Cell(name, code=True, side=side.lower()), digest[:8])
        for side, name, digest in zip("AB", found.names, found.hashes, strict=True)
    )
    specs = Section("Specs", (Table("specs", ("", "file", "sha256"), names),))
    probe = [] if found.probe is None else [_probe(found.probe)]
    return [specs, _fields(found), *_consequences(found), *probe]


def _heads(found: Comparison) -> tuple[str, str]:
    return f"A: {found.names[0]}", f"B: {found.names[1]}"


def _fields(found: Comparison) -> Section:
    said = [f"Equal, but written in one spec only: {', '.join(found.spelled_out)}."]
    said = said * bool(found.spelled_out)
    if not found.fields:
        return Section("Fields", ("No field differs.", *said))
    rows = tuple(
        (Cell(dotted(d.path), code=True), d.kind, _side(d, "a"), _side(d, "b"))
        for d in found.fields
    )
    table = Table("fields", ("field", "change", *_heads(found)), rows)
    return Section("Fields", (table, *said))


def _side(difference: Difference, side: str) -> Cell:
    value = difference.a if side == "a" else difference.b
    if value is MISSING:
        return Cell("absent", side=side)
    origin = difference.a_origin if side == "a" else difference.b_origin
    return Cell(flow(value), note=str(origin), side=side, code=True)


def _consequences(found: Comparison) -> list[Section]:
    if not found.consequences:
        return []
    rows = tuple(
        (CONSEQUENCES[one.group], kind, Cell(names, code=kind != "identical", note=note))
        for one in found.consequences
        for kind, names, note in _kinds(one)
    )
    caption = (
        "The computations that change from A to B. Identical ones have the same operations on the "
        "same inputs, by their traces."
    )
    table = Table("consequences", ("group", "change", "names"), rows, caption)
    return [Section("Consequences", (table,)), _costs(found)]


def _kinds(one: Consequence) -> Iterator[tuple[str, str, str]]:
    """What has changed in which way, the names, and a note."""
    if one.identical:
        yield "identical", f"all {len(one.same)}", ""
    for kind, names in (("changed", one.changed), ("removed", one.removed), ("added", one.added)):
        if names:
            alone = one.by_draws and kind == "changed"
            yield kind, ", ".join(names), "only random numbers differ" * alone


def _costs(found: Comparison) -> Section:
    rows = tuple(
        (COSTS[name][0], Cell(COSTS[name][1](a), side="a"), Cell(COSTS[name][1](b), side="b"))
        for name, (a, b) in (found.cost or {}).items()
        if name in COSTS
    )
    same = "A step of both costs the same."
    table = Table("cost", ("", *_heads(found)), rows) if rows else same
    return Section("Cost of a step", (table,))


def _probe(probe: Probed) -> Section:
    layers = list(dict.fromkeys([*probe.a, *probe.b]))
    rows = tuple(
        (layer, side.upper(), *(Cell(text, side=side) for text in cells_of(own[layer])))
        for layer in layers
        for side, own in (("a", probe.a), ("b", probe.b))
        if layer in own
    )
    heads = ("layer", "spec", *(head for head, _ in MEASURES.values()))
    where = f"Estimates against exact gradients, on {probe.where}; {probe.draws} draws."
    table = Table("probe", heads, rows, f"{where} {EXPLAINED}")
    return Section("Probe", (table, *(_plot(name, layers, probe) for name in _PLOTTED)))


def _plot(measure: str, layers: list[str], probe: Probed) -> Figure:
    """Two bars a layer."""
    sides = (probe.a, probe.b)
    values = [(layer, [_value(own.get(layer), measure) for own in sides]) for layer in layers]
    most = max((abs(v) for _, pair in values for v in pair), default=0.0) or 1.0
    left = 10 + _LETTER * max(map(len, layers), default=0)
    width, height = left + _WIDTH + 60, len(layers) * (2 * _BAR + 10)
    bars = "".join(
        _bars(index, layer, pair, most, left) for index, (layer, pair) in enumerate(values)
    )
    svg = f'<svg viewBox="0 0 {width:.0f} {height}" role="img" font-size="12">{bars}</svg>'
    caption = f"{MEASURES[measure][0]} by layer: A filled, B outlined"
    return Figure(measure, caption, (svg,))


def _value(probe: Probe | None, measure: str) -> float:
    return (None if probe is None else getattr(probe, measure)) or 0.0


def _bars(index: int, layer: str, pair: list[float], most: float, left: float) -> str:
    top = index * (2 * _BAR + 10)
    return f'<text x="0" y="{top + _BAR + 4}">{escape(layer)}</text>' + "".join(
        f'<rect class="{side}" x="{left:.1f}" y="{y + 1}" '
        f'width="{abs(value) / most * _WIDTH:.1f}" height="{_BAR - 3}"/>'
        f'<text x="{left + abs(value) / most * _WIDTH + 4:.1f}" y="{y + _BAR - 2}">{value:.3g}'
        "</text>"
        for side, value, y in zip("ab", pair, (top, top + _BAR), strict=True)
    )
