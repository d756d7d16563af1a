"""A comparison of two specs as one HTML file that needs no other, nor JavaScript."""

from collections.abc import Iterable, Iterator
from html import escape

from compiler.quality.probe import Probe
from fgspec.comparing.as_text import COSTS, MEASURES, cells_of
from fgspec.comparing.comparison import Comparison, Probed
from fgspec.loading.resolved import Difference
from fgspec.problems.problems import MISSING, dotted, flow
from fgspec.spec.ablation import CONSEQUENCES

_STYLE = """
body { font: 15px/1.5 system-ui, sans-serif; margin: 2em auto; max-width: 70em; padding: 0 1em;
  color: #222; }
h1 { font-size: 1.3em } h2 { font-size: 1.1em; margin-top: 2em }
table { border-collapse: collapse } td, th { padding: .2em .8em .2em 0; text-align: left;
  vertical-align: top; border-bottom: 1px solid #ddd; font-weight: normal }
th { color: #666 } td.n { text-align: right; font-variant-numeric: tabular-nums }
code { font: .92em ui-monospace, monospace; overflow-wrap: anywhere }
.a { color: #b3261e } .b { color: #11713a } .same { color: #666 } small { color: #666 }
figure { display: inline-block; margin: 1em 2em 0 0 } svg text { font: 12px system-ui, sans-serif }
"""

_PLOTTED = ("cosine", "bias", "variance", "step")
"""The measures that are drawn, each in a plot of its own."""

_WIDTH, _BAR, _LABEL = 260, 11, 130


def page(found: Comparison) -> str:
    """All layers that were asked for, in full."""
    body = [f"<h1>{_names(found)}</h1>", *_fields(found), *_consequences(found)]
    if found.probe is not None:
        body += _probe(found.probe)
    title = escape(" and ".join(found.names))
    return (
        f'<!doctype html>\n<html lang="en"><head><meta charset="utf-8"/><title>{title}</title>'
        f"<style>{_STYLE}</style></head>\n<body>\n" + "\n".join(body) + "\n</body></html>\n"
    )


def _names(found: Comparison) -> str:
    sides = zip("ab", found.names, found.hashes, strict=True)
    return "<br/>".join(
        f'<span class="{side}">{"-" if side == "a" else "+"} {escape(name)}</span> '
        f"<small>{digest[:8]}</small>"
        for side, name, digest in sides
    )


def _table(head: Iterable[str], rows: Iterable[str]) -> list[str]:
    cells = "".join(f"<th>{escape(cell)}</th>" for cell in head)
    return [f"<table><tr>{cells}</tr>", *rows, "</table>"]


def _fields(found: Comparison) -> list[str]:
    said = ""
    if found.spelled_out:
        names = ", ".join(found.spelled_out)
        said = f'<p class="same">equal, though only one says so: {escape(names)}</p>'
    if not found.fields:
        return ["<h2>Fields</h2>", "<p>the same</p>", said]
    rows = (
        f"<tr><td><code>{escape(dotted(d.path))}</code></td><td>{d.kind}</td>"
        f"<td>{_side(d, 'a')}</td><td>{_side(d, 'b')}</td></tr>"
        for d in found.fields
    )
    return ["<h2>Fields</h2>", *_table(("field", "", "-", "+"), rows), said]


def _side(difference: Difference, side: str) -> str:
    value = difference.a if side == "a" else difference.b
    if value is MISSING:
        return "absent"
    origin = difference.a_origin if side == "a" else difference.b_origin
    place = f"<br/><small>{escape(str(origin))}</small>"
    return f'<code class="{side}">{escape(flow(value))}</code>{place}'


def _consequences(found: Comparison) -> list[str]:
    if not found.consequences:
        return []
    rows = []
    for one in found.consequences:
        parts = (("changed", one.changed), ("removed", one.removed), ("added", one.added))
        told = "<br/>".join(
            f"{kind}: <code>{escape(', '.join(names))}</code>" for kind, names in parts if names
        )
        alone = "<br/><small>by what is drawn alone</small>" if one.by_draws else ""
        text = told + alone if told else f'<span class="same">identical ({len(one.same)})</span>'
        rows.append(f"<tr><td>{escape(CONSEQUENCES[one.group])}</td><td>{text}</td></tr>")
    return ["<h2>Consequences</h2>", *_table(("", ""), rows), *_costs(found)]


def _costs(found: Comparison) -> list[str]:
    rows = [
        f'<tr><td>{COSTS[name][0]}</td><td class="n">{COSTS[name][1](a)}</td>'
        f'<td class="n">{COSTS[name][1](b)}</td></tr>'
        for name, (a, b) in (found.cost or {}).items()
        if name in COSTS
    ]
    if not rows:
        return ['<p class="same">An update costs the same.</p>']
    return ["<h2>Cost of an update</h2>", *_table(("", "-", "+"), rows)]


def _probe(probe: Probed) -> list[str]:
    layers = list(dict.fromkeys([*probe.a, *probe.b]))
    rows = [
        f'<tr class="{side}"><td>{escape(layer)}</td><td>{sign}</td>'
        + "".join(f'<td class="n">{cell}</td>' for cell in cells_of(own[layer]))
        + "</tr>"
        for layer in layers
        for side, sign, own in (("a", "-", probe.a), ("b", "+", probe.b))
        if layer in own
    ]
    heads = ("layer", "", *(head for head, _ in MEASURES.values()))
    where = f"Against the exact gradient of each target, on {probe.where}, {probe.draws} draws."
    plots = (_plot(name, layers, probe) for name in _PLOTTED)
    return ["<h2>Probe</h2>", f"<p>{escape(where)}</p>", *_table(heads, rows), *plots]


def _plot(measure: str, layers: list[str], probe: Probed) -> str:
    """Two bars a layer, as SVG."""
    sides = (probe.a, probe.b)
    values = [(layer, [_value(own.get(layer), measure) for own in sides]) for layer in layers]
    most = max((abs(v) for _, pair in values for v in pair), default=0.0) or 1.0
    height = len(layers) * (2 * _BAR + 10)
    bars = "".join(_bars(index, layer, pair, most) for index, (layer, pair) in enumerate(values))
    width = _LABEL + _WIDTH + 60
    return (
        f'<figure><figcaption>{MEASURES[measure][0]}</figcaption><svg width="{width}" '
        f'height="{height}" role="img">{bars}</svg></figure>'
    )


def _value(probe: Probe | None, measure: str) -> float:
    return (None if probe is None else getattr(probe, measure)) or 0.0


def _bars(index: int, layer: str, pair: list[float], most: float) -> str:
    top = index * (2 * _BAR + 10)
    return f'<text x="0" y="{top + _BAR + 4}">{escape(layer)}</text>' + "".join(
        _bar(top, pair, most)
    )


def _bar(top: int, pair: list[float], most: float) -> Iterator[str]:
    for place, (value, colour) in enumerate(zip(pair, ("#b3261e", "#11713a"), strict=True)):
        length, y = abs(value) / most * _WIDTH, top + place * _BAR
        yield (
            f'<rect x="{_LABEL}" y="{y}" width="{length:.1f}" height="{_BAR - 2}" fill="{colour}"/>'
            f'<text x="{_LABEL + length + 4:.1f}" y="{y + _BAR - 2}">{value:.3g}</text>'
        )
