"""The predicted cost of a training step, by part and by block, as tables of text."""

from collections import Counter

from compiler.cost.by_part import OTHER, Anatomy, by_block, by_part
from compiler.plan.plan import Plan
from fgspec.show.text import columns, mebibytes, quantity

MEANS = {
    "views": "standardise, augment",
    "perturbations": "noise",
    "forward": "forward pass",
    "backward": "backward pass",
    "tangents": "tangents (forward mode)",
    "losses": "local and final losses",
    "pull-back": "weight gradients",
    "readouts": "heads and classifier",
    "optimizer": "optimizer",
    OTHER: "other",
}
"""What people read, in the order of a training step."""

_FOOTNOTE = (
    "Predicted from the traced step. bytes moved: read from and written to memory;",
    "peak memory: what each holds when temporary arrays take most.",
)


def anatomy_lines(plan: Plan, anatomy: Anatomy) -> list[str]:
    """Two tables of text, by part and by block, and what their columns mean."""
    quantities = (anatomy.flops, anatomy.bytes, anatomy.memory)
    parts = [by_part(counts) for counts in quantities]
    blocks = [by_block(plan, counts) for counts in quantities]
    rows = [("part", "FLOPs", "bytes moved", "peak memory")]
    rows += [(MEANS[name], *_cells(parts, name)) for name in MEANS if any(p[name] for p in parts)]
    rows += [("total", *_cells([Counter(total=sum(counts.values())) for counts in parts], "total"))]
    rows += [("", "", "", ""), ("block", *rows[0][1:])]
    rows += [(name, *_cells(blocks, name)) for name in blocks[0]]
    return [*columns(rows), *_FOOTNOTE]


def _cells(counts: list[Counter[str]], name: str) -> tuple[str, str, str]:
    flops, moved, memory = (count[name] for count in counts)
    return quantity(flops), quantity(moved, "B"), mebibytes(memory)
