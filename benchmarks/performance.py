"""Time, memory and compile time of updates, side by side: one table for every suite.

    python benchmarks/performance.py [SUITE ...] [--rounds N] [--out FILE]

A suite compiles all its updates and measures them in turns in one process, on random images. Ratios
are to its first row, round by round.
"""

import argparse
import json
from pathlib import Path
from typing import Any

import jax
import markdown_tables

from fgspec import api
from fgspec.bench.measure import Subject, measure, times
from fgspec.cli.bench_ import prepared
from fgspec.show.text import mebibytes, quantity

SPECS = Path(__file__).parents[1] / "specs" / "ren2022" / "table3"
SIGNS = "gradient.perturbation.guess.type=rademacher"
DEEP, S, M = "cifar10_m_8_16", "mnist_s_1_1", "mnist_m_1_16"

Row = tuple[str, str, list[str]]
"""(label, spec below `SPECS`, overrides)"""


def _depth(blocks: int, *more: Row) -> list[Row]:
    size = [f"architecture.blocks={blocks}"]
    return [
        ("BP", f"{DEEP}/bp", size),
        *((label, spec, size + words) for label, spec, words in more),
        ("LG-BP", f"{DEEP}/lg_bp", size),
        ("LG-FG-W", f"{DEEP}/lg_fg_w", [*size, SIGNS]),
        ("LG-FG-A", f"{DEEP}/lg_fg_a", [*size, SIGNS]),
    ]


REMATERIALIZED: Row = ("BP, rematerialised", f"{DEEP}/bp", ["compile.rematerialize=1"])


def _samples() -> list[Row]:
    spec, count = f"{DEEP}/lg_fg_a", "gradient.perturbation.samples={}"
    return [(f"K = {k}", spec, [SIGNS, count.format(k)]) for k in (1, 2, 4, 8)]


def _derivatives() -> list[Row]:
    """Of a global loss, along one sample and along eight."""
    rules = (("FG-A", f"{DEEP}/fg_a"), ("FG-W", f"{DEEP}/fg_w"))
    return [
        (
            f"{rule}, K = {samples}, {how}",
            spec,
            [SIGNS, f"gradient.perturbation.samples={samples}", f"compile.directional={how}"],
        )
        for rule, spec in rules
        for samples in (1, 8)
        for how in ("forward", "reverse")
    ]


def _groups() -> list[Row]:
    spec, groups = f"{DEEP}/lg_fg_a", "architecture.groups={}"
    rows: list[Row] = [(f"{g} groups", spec, [SIGNS, groups.format(g)]) for g in (1, 4, 16, 64)]
    naive = ["compile.losses=naive", SIGNS, "architecture.patches=2"]
    small: list[Row] = [
        (f"{g} groups, 2x2 patches, {how}", spec, [groups.format(g), *words])
        for g in (4, 16)
        for how, words in (("fused", naive[1:]), ("naive", naive))
    ]
    return [*rows, *small]


def _small(column: str) -> list[Row]:
    one = "compile.steps_per_call=1"
    return [
        ("BP", f"{column}/bp", []),
        ("BP, a step a call", f"{column}/bp", [one]),
        ("LG-FG-W", f"{column}/lg_fg_w", [SIGNS]),
        ("LG-FG-A", f"{column}/lg_fg_a", [SIGNS]),
        ("LG-FG-A, a step a call", f"{column}/lg_fg_a", [SIGNS, one]),
        ("LG-FG-A, normal", f"{column}/lg_fg_a", []),
    ]


def _lowerings() -> list[Row]:
    local, bp = f"{DEEP}/lg_fg_a", f"{DEEP}/bp"
    return [
        ("BP, unrolled", bp, ["compile.blocks=unrolled"]),
        ("BP, scanned", bp, ["compile.blocks=scanned"]),
        ("BP, bfloat16", bp, ["compile.precision=bfloat16"]),
        ("LG-FG-A, scanned", local, [SIGNS]),
        ("LG-FG-A, unrolled", local, [SIGNS, "compile.blocks=unrolled"]),
        ("LG-FG-A, normal", local, []),
        ("LG-FG-A, bfloat16", local, [SIGNS, "compile.precision=bfloat16"]),
    ]


SUITES: dict[str, list[Row]] = {
    "depth 4": _depth(4, REMATERIALIZED),
    "depth 16": _depth(16, REMATERIALIZED),
    "depth 64": [row for row in _depth(64, REMATERIALIZED) if row[0] != "BP"],
    "samples": _samples(),
    "derivatives": _derivatives(),
    "groups": _groups(),
    "lowerings": _lowerings(),
    "S/1/1": _small(S),
    "M/1/16": _small(M),
}


def run(rows: list[Row], rounds: int) -> list[dict[str, Any]]:
    """The figures of every row of a suite, as `fgspec bench --json` has them."""
    loaded = [api.load(SPECS / f"{spec}.yaml", words) for _, spec, words in rows]
    found = [prepared(one, row[0]) for one, row in zip(loaded, rows, strict=True)]
    subjects: list[Subject] = [subject for subject, _ in found]
    measured = measure(subjects, rounds)
    return [
        facts | times(own, measured[0], facts["batch_size"])
        for own, (_, facts) in zip(measured, found, strict=True)
    ]


def table(title: str, rows: list[dict[str, Any]]) -> str:
    """A suite as Markdown."""
    head = ["", "ms a step", "ratio", "quartiles", "temporary", "FLOPs", "compile s"]
    cells = []
    for row in rows:
        ratio, took = row["ratio"], row["step_time_s"]["median"] * 1e3
        spread = markdown_tables.quartiles(ratio)
        memory, flops = mebibytes(row["memory"]["temporary_bytes"]), quantity(row["flops"]["plan"])
        compiled = sum(row["compile_s"].values())
        of_row = [row["name"], f"{took:.3g}", f"{ratio['median']:.2f}", spread, memory, flops]
        cells.append([*of_row, f"{compiled:.1f}"])
    return f"### {title}\n\n{markdown_tables.table(head, cells)}"


def main() -> None:
    """Run the suites that are named, or all."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("suites", nargs="*", metavar="SUITE", help=", ".join(SUITES))
    parser.add_argument("--rounds", type=int, default=9)
    parser.add_argument("--out", type=Path)
    given = parser.parse_args()
    unknown = sorted(set(given.suites) - set(SUITES))
    if unknown:
        parser.error(f"no such suite: {', '.join(unknown)}; known: {', '.join(SUITES)}")
    results = {}
    for name in given.suites or SUITES:
        results[name] = run(SUITES[name], given.rounds)
        print(table(name, results[name]), end="\n\n", flush=True)
        jax.clear_caches()
    if given.out is not None:
        given.out.write_text(json.dumps(results, indent=2))


if __name__ == "__main__":
    main()
