"""Tables as Markdown."""

from collections.abc import Iterable, Sequence


def table(head: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    """A head and rows of as many cells."""
    lines = [f"| {' | '.join(head)} |", f"|{' --- |' * len(head)}"]
    return "\n".join([*lines, *(f"| {' | '.join(cells)} |" for cells in rows)])


def quartiles(ratio: dict[str, float]) -> str:
    """`0.97-1.02`, of what `fgspec.bench.measure.spread` gives."""
    return f"{ratio['lower_quartile']:.2f}-{ratio['upper_quartile']:.2f}"
