"""A comparison of two specs as text for people."""

from collections.abc import Callable, Iterator
from textwrap import wrap

from rich.console import Console
from rich.text import Text

from compiler.equivalence.consequences import Consequence, summarized
from compiler.quality.probe import Probe
from fgspec.comparing.comparison import Comparison, Probed
from fgspec.loading.resolved import Difference
from fgspec.problems.problems import MISSING, Origin, dotted, flow
from fgspec.show.lines import say
from fgspec.show.text import few, mebibytes, quantity
from fgspec.spec.ablation import CONSEQUENCES

MOST = 6
"""Names that are printed of one group; JSON and HTML have all."""

LEAST = 1e-3
"""Share by which costs must differ to be printed; JSON and HTML have all."""

COSTS: dict[str, tuple[str, Callable[[float], str]]] = {
    "parameters": ("parameters", lambda value: f"{value:,}"),
    "flops": ("FLOPs", quantity),
    "bytes": ("bytes moved", lambda value: quantity(value, "B")),
    "memory": ("temporary arrays", mebibytes),
    "sent": ("sent by each device", mebibytes),
    "losses": ("loss copies", lambda value: f"{value:,}"),
    "perturbed": ("perturbed elements", lambda value: f"{value:,}"),
    "state_bytes": ("state", mebibytes),
    "batch_bytes": ("batch", mebibytes),
}
"""The cost of a training step: the name that people read, and how the value is written."""

MEASURES: dict[str, tuple[str, str]] = {
    "cosine": ("cosine", ".3f"),
    "bias": ("bias", ".3g"),
    "bias_z": ("bias z", ".1f"),
    "variance": ("variance", ".3g"),
    "signal_to_noise": ("SNR", ".3g"),
    "gradient": ("|t|", ".3g"),
    "step": ("|step|", ".3g"),
}
"""The fields of `Probe`: the head of the column and the format of its numbers."""

EXPLAINED = (
    "g: estimate, t: exact gradient of the spec's target. cosine: mean over draws; bias: "
    "|E g - t| / |t|; bias z: squared bias in standard errors, above 3 there is a bias; variance: "
    "E|g - E g|² / |t|²; SNR: 1 / variance; |step|: length of the optimizer's step."
)
"""What the columns of a probe mean."""


def show(found: Comparison, console: Console) -> None:
    """Print all layers that were asked for."""
    for difference in found.fields:
        say(console, field(difference))
    if not found.fields:
        say(console, "no field differs")
    if found.spelled_out:
        names = few(found.spelled_out, MOST)
        text = Text(f"equal, but written in one spec only: {names}", "dim")
        say(console, text)
    if found.consequences:
        say(console)
        for one in found.consequences:
            say(console, consequence(one))
        for line in costs(found):
            say(console, line)
    if found.probe is not None:
        say(console)
        _probe(found.probe, console)


def field(difference: Difference) -> Text:
    """The path of a field, and what it is on both sides, with origins."""
    sides = (
        ("-", "red", difference.a, difference.a_origin),
        ("+", "green", difference.b, difference.b_origin),
    )
    return Text("\n").join([Text(dotted(difference.path), "bold"), *(_side(*s) for s in sides)])


def _side(sign: str, colour: str, value: object, origin: Origin) -> Text:
    if value is MISSING:
        return Text(f"  {sign} absent", colour)
    return Text.assemble((f"  {sign} {flow(value)}", colour), (f"  ({origin})", "dim"))


def consequence(one: Consequence) -> Text:
    """A group of computations, and whether they are identical or which are not."""
    width = max(map(len, CONSEQUENCES.values()))
    head = f"{CONSEQUENCES[one.group]:<{width}}  "
    if one.identical:
        return Text.assemble(head, (f"identical (all {len(one.same)})", "green"))
    return Text.assemble(head, ("; ".join(_changes(one)), "yellow"))


def _changes(one: Consequence) -> Iterator[str]:
    others = one.same + one.removed + one.added
    if one.changed:
        alone = " (only random numbers differ)" if one.by_draws else ""
        yield f"changed: {few(summarized(one.changed, others), MOST)}{alone}"
    # A block whose layers are removed and added is neither itself.
    unmoved = one.same + one.changed
    if one.removed:
        yield f"removed: {few(summarized(one.removed, unmoved + one.added), MOST)}"
    if one.added:
        yield f"added: {few(summarized(one.added, unmoved + one.removed), MOST)}"


def costs(found: Comparison) -> list[Text]:
    """What an update costs on both sides, where that differs."""
    width = max(map(len, CONSEQUENCES.values()))
    shown_costs = [
        (COSTS[name], pair) for name, pair in (found.cost or {}).items() if name in COSTS
    ]
    rows = [(cost, (a, b)) for cost, (a, b) in shown_costs if abs(a - b) >= LEAST * max(a, b)]
    if not rows:
        same = "equal within 0.1 %" if shown_costs else "identical"
        return [Text.assemble(f"{'cost of a step':<{width}}  ", (same, "green"))]
    texts = [f"{title} {tell(a)} -> {tell(b)}{_ratio(a, b)}" for (title, tell), (a, b) in rows]
    return [Text.assemble(f"{'cost of a step':<{width}}  ", ("; ".join(texts), "yellow"))]


def _ratio(a: float, b: float) -> str:
    return f" (x{b / a:.3g})" if a else ""


def _probe(probe: Probed, console: Console) -> None:
    drawn = f"; {probe.draws} draws" if probe.draws else ""
    say(console, f"estimates against exact gradients, on {probe.where}{drawn}")
    rows = [("", ("layer", "", *(head for head, _ in MEASURES.values())))]
    for layer in dict.fromkeys([*probe.a, *probe.b]):
        for sign, colour, side in (("-", "red", probe.a), ("+", "green", probe.b)):
            if layer in side:
                rows.append((colour, (layer, sign, *cells_of(side[layer]))))
    widths = [max(len(cells[i]) for _, cells in rows) for i in range(len(rows[0][1]))]
    for colour, (layer, *cells) in rows:
        numbers = (cell.rjust(width) for cell, width in zip(cells, widths[1:], strict=True))
        line = "  ".join([layer.ljust(widths[0]), *numbers])
        say(console, Text(line, colour))
    for line in wrap(EXPLAINED, 80):
        say(console, Text(line, "dim"))


def cells_of(probe: Probe) -> list[str]:
    """The measures of a layer as text; empty where there is nothing to measure."""
    values = ((getattr(probe, name), form) for name, (_, form) in MEASURES.items())
    return ["" if value is None else format(value, form) for value, form in values]
