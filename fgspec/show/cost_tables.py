"""What an update costs, by part and by block, as tables of text."""

from collections import Counter

from compiler.cost.by_part import OTHER, Anatomy, by_block, by_part
from compiler.plan.plan import Plan
from fgspec.show.text import columns, mebibytes, quantity

MEANS = {
    "views": "standardise, augment",
    "perturbations": "noise",
    "forward": "forward",
    "backward": "errors and weight gradients",
    "tangents": "tangents",
    "losses": "local and final losses",
    "pull-back": "weight gradients",
    "readouts": "heads and classifier",
    "optimizer": "optimizer",
    OTHER: "other",
}
"""What people read, in the order of an update."""


def anatomy_lines(plan: Plan, found: Anatomy) -> list[str]:
    """As two tables of text."""
    parts = [by_part(own) for own in found[:3]]
    blocks = [by_block(plan, own) for own in found[:3]]
    rows = [("part", "FLOPs", "bytes moved", "memory at its peak")]
    rows += [(MEANS[name], *_cells(parts, name)) for name in MEANS if any(p[name] for p in parts)]
    rows += [("all", *_cells([Counter(all=sum(own.values())) for own in parts], "all"))]
    rows += [("", "", "", ""), ("block", *rows[0][1:])]
    return columns([*rows, *((name, *_cells(blocks, name)) for name in blocks[0])])


def _cells(counts: list[Counter[str]], name: str) -> tuple[str, str, str]:
    flops, moved, memory = (own[name] for own in counts)
    return quantity(flops), quantity(moved, "B"), mebibytes(memory)
