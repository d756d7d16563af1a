"""What a sweep costs before it runs, and how far its runs are, as lines of text."""

from collections.abc import Mapping, Sequence

from fgspec.loading.resolved import spec_hash
from fgspec.show.text import columns, quantity
from fgspec.spec.metrics import shown
from fgspec.sweeps.expand import Sweep
from fgspec.sweeps.folder import DAMAGED, ENDED, Found


def plan_lines(sweep: Sweep, costs: Mapping[str, tuple[int, int]]) -> list[str]:
    """Every arm with its hash and its cost, and the cost of all runs.

    Args:
        sweep: its arms.
        costs: FLOPs of an update, and updates of a run, of every arm by its label.
    """
    seeds = len(sweep.seeds)
    arms = len(sweep.arms) if sweep.search is None else sweep.search.drawn.count
    head = f"{sweep.name}: {arms} arm{'s' * (arms > 1)} x {seeds} seed{'s' * (seeds > 1)}"
    if sweep.search is not None:
        (example,) = sweep.arms
        flops, steps = costs[example.label]
        return [
            f"{head}, chosen by optuna",
            f"with {', '.join(example.drawn)} a run takes {steps:,} steps of {quantity(flops)} "
            f"FLOPs, all runs {quantity(flops * steps * arms * seeds)}",
        ]
    rows = [("arm", "sha256", "FLOPs per step", "steps", "FLOPs of all seeds")]
    total = 0
    for arm in sweep.arms:
        flops, steps = costs[arm.label]
        total += flops * steps * seeds
        whole = (quantity(flops), f"{steps:,}", quantity(flops * steps * seeds))
        rows.append((arm.label, spec_hash(arm.loaded)[:8], *whole))
    count = arms * seeds
    rows.append((f"{count} run{'s' * (count > 1)}", "", "", "", quantity(total)))
    drawn = [f"{arm.label}: {', '.join(arm.drawn)}" for arm in sweep.arms if arm.drawn]
    fits = [f"{arm.label}: {arm.says}" for arm in sweep.arms if arm.says]
    return [head, *columns(rows), *drawn, *fits, *sweep.dropped]


def status_lines(found: Sequence[Found]) -> list[str]:
    """A row for every arm, what was drawn for it, why runs failed, and how many ended."""
    ended = sum(one.state in ENDED for one in found)
    drawn = {one.planned.arm: one.planned.drawn for one in found if one.planned.drawn}
    about = [f"{arm}: {text}" for arm, text in drawn.items()]
    about += [f"{one.planned}: {one.reason}" for one in found if one.reason]
    return [*columns(status_cells(found)), *about, f"{ended} of {len(found)} runs ended"]


def status_cells(found: Sequence[Found]) -> list[tuple[str, ...]]:
    """A row for every arm: the last error of every seed, or how far its run is."""
    metric = shown({name for one in found for name in one.metrics})
    seeds = list(dict.fromkeys(one.planned.seed for one in found))
    arms = list(dict.fromkeys(one.planned.arm for one in found))
    cells = {(one.planned.arm, one.planned.seed): _cell(one, metric) for one in found}
    rows = [(metric, *(f"seed {seed}" for seed in seeds))]
    return rows + [(arm, *(cells.get((arm, seed), "") for seed in seeds)) for arm in arms]


def _cell(one: Found, metric: str) -> str:
    value = one.metrics.get(metric)
    told = f"{value:.4f}" if value is not None else ""
    if one.state == "done":
        return told
    if one.state in ("waiting", DAMAGED):
        return one.state
    return f"{one.state} {one.step}/{one.planned.steps} {told}".rstrip()
