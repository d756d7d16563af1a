"""A plan as a picture: blocks, layers, losses with their copies, noise, and where gradients stop.

One column, 400 units wide, so that letters are as large on a telephone as in running text.
"""

import html
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from itertools import groupby
from textwrap import wrap

from compiler.network.block import Block
from compiler.network.shapes import Layer
from compiler.plan.plan import Plan
from compiler.plan.segment import Site
from fgspec.explaining import words
from fgspec.spec.shapes import Extent

WIDTH = 400
CARD = 258
"""Width of a block; losses stand to the right of it."""
ROW, LINE, GAP = 22, 15, 30
"""Height of a layer's line, of the line below it, and between two blocks."""
LETTERS = 33
"""Of a layer's line, at most."""
NARROW, STEP = 15, 16
"""Letters of a line beside a loss, at most, and its height."""

_STYLE = """
.fx { --ink: #1f2328; --faint: #59636e; --paper: #ffffff; --card: #f3f5f8; --line: #b9c1ca;
  --noise: #9a4a00; --loss: #1a5fb4; --stop: #b3261e; --flow: #1a7f37; }
@media (prefers-color-scheme: dark) { .fx { --ink: #e6edf3; --faint: #a3adb8; --paper: #0f1318;
  --card: #1b222b; --line: #48525e; --noise: #ffb77a; --loss: #8ec1ff; --stop: #ff9d94;
  --flow: #7ee08f; } }
.fx .paper { fill: var(--paper); } .fx .card { fill: var(--card); stroke: var(--line); }
.fx .loss { fill: none; stroke: var(--loss); } .fx .copy { fill: var(--loss); }
.fx .wire { stroke: var(--faint); fill: none; } .fx .stop { stroke: var(--stop); stroke-width: 3; }
.fx .flow { stroke: var(--flow); fill: none; stroke-width: 1.5; }
.fx .head { fill: var(--flow); } .fx .tip { fill: var(--faint); } .fx .dot { fill: var(--noise); }
.fx text { font: 13px system-ui, sans-serif; fill: var(--ink); stroke: none; }
.fx text.small { font-size: 12px; fill: var(--faint); } .fx text.noise { font-size: 12px;
  fill: var(--noise); } .fx text.lossy { fill: var(--loss); font-size: 12px; }
.fx text.stopped { fill: var(--stop); font-size: 12px; }
.fx text.title { font-weight: 600; } .fx text.flowing { fill: var(--flow); font-size: 12px; }
"""


@dataclass
class _Canvas:
    """SVG elements from top to bottom."""

    y: float = 10
    parts: list[str] = field(default_factory=list)

    def text(self, x: float, y: float, text: str, kind: str, end: bool = False) -> None:
        anchor = ' text-anchor="end"' if end else ""
        self.parts.append(
            f'<text x="{x:g}" y="{y:g}" class="{kind}"{anchor}>{html.escape(text)}</text>'
        )

    def line(self, x: float, y: float, to_x: float, to_y: float, kind: str) -> None:
        self.parts.append(
            f'<line x1="{x:g}" y1="{y:g}" x2="{to_x:g}" y2="{to_y:g}" class="{kind}"/>'
        )

    def box(self, x: float, y: float, wide: float, high: float, kind: str) -> None:
        self.parts.append(
            f'<rect x="{x:g}" y="{y:g}" width="{wide:g}" height="{high:g}" rx="6" class="{kind}"/>'
        )

    def tip(self, x: float, y: float, up: bool, kind: str) -> None:
        base = y + 7 if up else y - 7
        self.parts.append(
            f'<path d="M{x:g} {y:g} L{x - 4:g} {base:g} L{x + 4:g} {base:g} Z" class="{kind}"/>'
        )


def picture(plan: Plan) -> str:
    """An SVG element that needs nothing else; it follows the reader's light or dark scheme."""
    canvas = _Canvas()
    how = plan.perturbation
    _title(canvas, plan)
    runs = list(_runs(plan))
    for index, blocks in enumerate(runs):
        if index:
            _between(canvas, plan, runs[index - 1][-1], blocks[0])
        _card(canvas, plan, blocks)
    _readout(canvas, plan)
    _answer(canvas, plan)
    _legend(canvas, plan)
    high = canvas.y + 8
    body = "\n".join(canvas.parts)
    what = f"{plan.experiment.name}: blocks, losses and what each layer learns from"
    what += ", with noise" if how is not None else ""
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" class="fx" viewBox="0 0 {WIDTH} {high:g}" '
        f'width="{WIDTH}" height="{high:g}" role="img" '
        f'preserveAspectRatio="xMinYMin" style="max-width:100%;height:auto" '
        f'aria-label="{html.escape(what)}">\n'
        f"<style>{_STYLE}</style>\n"
        f'<rect class="paper" width="{WIDTH}" height="{high:g}" rx="6"/>\n{body}\n</svg>\n'
    )


def _title(canvas: _Canvas, plan: Plan) -> None:
    name = plan.experiment.name
    canvas.text(12, canvas.y + 14, _cut(name, 52), "title")
    rows = f"; {plan.rows_each} rows of every example" if plan.rows_each > 1 else ""
    what = f"input, {_shape(plan.network.blocks[0].start)}{rows}"
    canvas.text(12, canvas.y + 31, _cut(what, 52), "small")
    canvas.y += 38
    _arrow(canvas, 18)


def _arrow(canvas: _Canvas, high: float) -> None:
    """Forward, down to what comes next."""
    x = 40
    canvas.line(x, canvas.y, x, canvas.y + high - 6, "wire")
    canvas.tip(x, canvas.y + high, False, "tip")
    canvas.y += high


def _runs(plan: Plan) -> Iterator[tuple[Block, ...]]:
    """Blocks in order, three or more in a row that look alike as one card."""

    def looks(block: Block) -> object:
        unit, last = _unit(plan, block), len(plan.units) - 1
        own = words.learns_from(plan, unit)
        relation = "own" if own == [unit] else own
        return (tuple(_rows(plan, block)), bool(_site(plan, block)), relation, unit == last)

    for _, same in groupby(plan.network.blocks, looks):
        blocks = tuple(same)
        if len(blocks) > 2:
            yield blocks
        else:
            yield from ((block,) for block in blocks)


def _rows(plan: Plan, block: Block) -> Iterator[tuple[str, str]]:
    """Of every layer its line, and what it learns from."""
    for layer in block.layers:
        window = f" {size}x{size}" if (size := layer.kind.options().get("size", 1)) > 1 else ""
        kind = "" if layer.name.startswith(str(layer.kind)) else f"{layer.kind}"
        about = " ".join(filter(None, (kind, window.strip())))
        added = f" + {', '.join(layer.adds)}" if layer.adds else ""
        colon = ": " if kind else " " if about else ""
        text = f"{layer.name}{colon}{about}{added}"
        shape = _shape(layer.end)
        yield f"{_cut(text, LETTERS - len(shape) - 1)}\t{shape}", _learns(plan, block, layer)


def _shape(extent: Extent) -> str:
    """Positions, groups and channels, without what is 1."""
    return "×".join(str(size) for size in extent.features if size > 1) or "1"


def _learns(plan: Plan, block: Block, layer: Layer) -> str:
    """What a layer learns from, in a few words."""
    how, last = plan.perturbation, layer is block.layers[-1]
    at_end = how is not None and not how.space.of_weights and not how.space.layerwise
    if not layer.params() and not (at_end and last):
        return ""
    if how is None:
        return plan.experiment.gradient.estimator.arrives
    if block.name in plan.exact_blocks:
        return "exact gradient"
    path = f"{block.name}/{layer.name}"
    if how.projects:
        return f"along guess: {how.guess}" if not at_end or last else ""
    routes = {}
    for segment in plan.segments:
        copies = segment.sites[-1].axes
        for name, element in plan.perturbed(segment).items():
            if name == path or name.startswith(f"{path}/") or (last and name == block.name):
                own = tuple(axis for axis in copies if axis in element.route)
                routes[tuple(words.AXES[axis] for axis in own)] = None
    if len(routes) > 1:
        return "noise u: own copies, by loss" if last else "noise u: own copies, by array"
    return "".join(f"noise u: own {', '.join(r)}" if r else "noise u: all examples" for r in routes)


def _card(canvas: _Canvas, plan: Plan, blocks: Sequence[Block]) -> None:
    """A block, or several alike, and the loss at its end."""
    first, last = blocks[0], blocks[-1]
    rows = list(_rows(plan, first))
    high = 24 + sum(ROW + (LINE if learns else 0) for _, learns in rows) + 8
    top = canvas.y
    if len(blocks) > 1:
        canvas.box(16, top + 6, CARD, high, "card")
    canvas.box(10, top, CARD, high, "card")
    learns, name = _from(plan, first, last), first.name
    if len(blocks) > 1:
        name = f"{first.name} … {last.name}, {len(blocks)} alike"
        learns = learns.removeprefix("from ").removeprefix("the ")
    else:
        learns = f"learns {learns}"
    canvas.text(20, top + 17, _cut(name, LETTERS + 2 - len(learns)), "title")
    canvas.text(CARD + 2, top + 17, learns, "lossy", end=True)
    y = top + 24
    for line, learns in rows:
        text, _, shape = line.partition("\t")
        canvas.text(20, y + 15, text, "plain")
        canvas.text(CARD + 2, y + 15, shape, "small", end=True)
        y += ROW
        if learns:
            noisy = learns.startswith(("noise", "along"))
            if noisy:
                canvas.parts.append(f'<circle cx="35" cy="{y + 7:g}" r="4" class="dot"/>')
            canvas.text(45, y + 11, learns, "noise" if noisy else "flowing")
            y += LINE
    if (site := _site(plan, last)) is not None:
        _loss(canvas, plan, site, top + high, len(blocks))
    canvas.y = top + high + (6 if len(blocks) > 1 else 0)


def _from(plan: Plan, first: Block, last: Block) -> str:
    """The losses that a block learns from."""
    units = [_unit(plan, block) for block in (first, last)]
    own = words.learns_from(plan, units[0])
    if units[0] != units[1] and own == [units[0]]:
        return "from own loss"
    return f"from {_losses(plan, own)}"


def _unit(plan: Plan, block: Block) -> int:
    """The number of the chain that a block is in."""
    return next(i for i, (chain, _) in enumerate(plan.units) if block in chain)


def _losses(plan: Plan, numbers: Sequence[int]) -> str:
    """Losses by their numbers, such as `ℓ0…ℓ3`."""
    if len(numbers) == 1:
        only = numbers[0]
        return "the final loss" if plan.units[only][1].name == "final" else f"ℓ{only}"
    return f"ℓ{numbers[0]}{', ' if len(numbers) == 2 else '…'}ℓ{numbers[-1]}"


def _site(plan: Plan, block: Block) -> Site | None:
    """The local loss after a block; the final one stands below."""
    own = (site for site in words.heard(plan) if site.block == block.name)
    return next((site for site in own if site.name != "final"), None)


def _loss(canvas: _Canvas, plan: Plan, site: Site, bottom: float, alike: int) -> None:
    """A loss beside the end of its block, with its copies."""
    unit = [s for _, s in plan.units].index(site)
    copies = words.sizes(plan, site)[1:]
    lines = wrap(plan.objective_at(site).called(), NARROW)
    if copies:
        names = ", ".join(words.AXES[axis] for axis in site.axes[1:])
        lines += [f"{'×'.join(map(str, copies))} copies", _cut(names, 13)]
    else:
        lines.append("per row" if plan.rows_each > 1 else "per example")
    x, high = CARD + 24, 10 + STEP * (1 + len(lines))
    wide = WIDTH - x - 8
    top = bottom - high
    canvas.line(CARD + 10, top + 20, x - 7, top + 20, "wire")
    canvas.parts.append(f'<path d="M{x:g} {top + 20:g} l-7 -4 v8 Z" class="tip"/>')
    shadows = 2 if copies else 0
    for shift in range(shadows, 0, -1):
        canvas.box(x + 3 * shift, top - 3 * shift, wide - 6, high, "loss")
    canvas.parts.append(
        f'<rect x="{x:g}" y="{top:g}" width="{wide - 6:g}" height="{high:g}" rx="6" class="paper"/>'
    )
    canvas.box(x, top, wide - 6, high, "loss")
    canvas.text(x + 8, top + 17, "ℓ of each" if alike > 1 else f"loss ℓ{unit}", "lossy")
    for number, line in enumerate(lines, 1):
        canvas.text(x + 8, top + 17 + STEP * number, line, "small")


def _between(canvas: _Canvas, plan: Plan, before: Block, after: Block) -> None:
    """The way from a block to the next, and the way back if there is one."""
    unit, following = _unit(plan, before), _unit(plan, after)
    reached = [j for j in words.learns_from(plan, unit) if j >= following]
    _way(canvas, plan, [] if plan.estimator.isolates_layers else reached)


def _way(canvas: _Canvas, plan: Plan, reached: Sequence[int]) -> None:
    """Down to the next part, and back from the losses whose gradient reaches the one above."""
    y = canvas.y
    _arrow(canvas, GAP)
    if not reached:
        canvas.line(56, y + GAP / 2, 92, y + GAP / 2, "stop")
        canvas.text(100, y + GAP / 2 + 4, "gradient stops", "stopped")
        return
    shown = _losses(plan, reached)
    if plan.perturbation is None:
        canvas.line(74, y + 8, 74, y + GAP - 2, "flow")
        canvas.tip(74, y + 2, True, "head")
        canvas.text(86, y + GAP / 2 + 4, f"the error of {shown} comes back", "flowing")
    else:
        canvas.text(56, y + GAP / 2 + 4, f"a change goes on to {shown}", "flowing")


def _readout(canvas: _Canvas, plan: Plan) -> None:
    """The classifier, or the final loss."""
    number = len(plan.units) - 1
    final = plan.units[number][1].name == "final"
    _way(canvas, plan, [number] if final and not plan.estimator.isolates_layers else [])
    objective = plan.objective if final else plan.answer
    lines = [*wrap(objective.called(), NARROW)]
    high = 12 + STEP * (1 + max(len(lines), 1))
    top = canvas.y
    canvas.box(10, top, CARD, high, "card")
    canvas.text(20, top + 18, words.readout(plan) if final else objective.readout(), "title")
    if read := plan.network.read:
        name = read[0] if len(read) == 1 else f"{read[0]} … {read[-1]}"
        canvas.text(CARD + 2, top + 18, f"reads {name}", "small", end=True)
    canvas.text(20, top + 35, "exact gradient of its own loss", "flowing")
    x = CARD + 24
    canvas.line(CARD + 10, top + 22, x - 7, top + 22, "wire")
    canvas.parts.append(f'<path d="M{x:g} {top + 22:g} l-7 -4 v8 Z" class="tip"/>')
    wide = WIDTH - x - 14
    canvas.box(x, top, wide, high, "loss")
    # No block learns from a loss without a number.
    canvas.text(x + 8, top + 18, f"final loss ℓ{number}" if final else "own loss", "lossy")
    for row, line in enumerate(lines, 1):
        canvas.text(x + 8, top + 18 + STEP * row, line, "small")
    canvas.y = top + high


def _answer(canvas: _Canvas, plan: Plan) -> None:
    """What a trained model answers by, if that is not the readout above alone."""
    if not (short := plan.prediction.short):
        return
    top = canvas.y + 10
    canvas.box(10, top, WIDTH - 24, 44, "card")
    canvas.text(20, top + 18, "answer", "title")
    if not plan.prediction.reads_classifier:
        canvas.text(WIDTH - 24, top + 18, f"not by the {plan.answer.readout()}", "small", end=True)
    canvas.text(20, top + 35, _cut(short, 54), "plain")
    canvas.y = top + 44


def _legend(canvas: _Canvas, plan: Plan) -> None:
    """What the marks mean."""
    canvas.y += 18
    lines = []
    how = plan.perturbation
    if how is not None and not how.projects:
        lines.append("● noise u, then the loss copies that it answers for")
    elif how is not None:
        lines.append("● the derivative along this guess, times the guess")
    if plan.estimator.isolates_layers:
        lines.append("the error of the final loss goes to every layer directly")
    lines.append("shapes: positions × groups × channels, without 1s")
    for line in lines:
        if line.startswith("●"):
            canvas.parts.append(f'<circle cx="17" cy="{canvas.y + 6:g}" r="4" class="dot"/>')
            canvas.text(26, canvas.y + 10, line[2:], "small")
        else:
            canvas.text(12, canvas.y + 10, line, "small")
        canvas.y += 18


def _cut(text: str, most: int) -> str:
    return text if len(text) <= most else f"{text[: most - 1]}…"
