"""The cost of a sweep before it runs, and the progress of its runs, as lines of text."""

from collections.abc import Mapping, Sequence

from fgspec.loading.resolved import spec_hash
from fgspec.show.text import columns, quantity
from fgspec.spec.metrics import shown
from fgspec.sweeps.expand import Sweep
from fgspec.sweeps.folder import DAMAGED, ENDED, RunStatus


def plan_lines(sweep: Sweep, costs: Mapping[str, tuple[int, int]]) -> list[str]:
    """Every arm with its hash and cost, and the cost of all runs.

    Args:
        sweep: the sweep.
        costs: for every arm's label, the FLOPs of an update and the number of updates of a run.
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


def status_lines(runs: Sequence[RunStatus]) -> list[str]:
    """A table of the arms, the fields drawn for them, why runs failed, and how many have ended."""
    ended = sum(run.state in ENDED for run in runs)
    drawn = {run.planned.arm: run.planned.drawn for run in runs if run.planned.drawn}
    about = [f"{arm}: {text}" for arm, text in drawn.items()]
    about += [f"{run.planned}: {run.reason}" for run in runs if run.reason]
    return [*columns(status_cells(runs)), *about, f"{ended} of {len(runs)} runs ended"]


def status_cells(runs: Sequence[RunStatus]) -> list[tuple[str, ...]]:
    """A row for every arm, with the last error of every seed, or the progress of its run."""
    metric = shown({name for run in runs for name in run.metrics})
    seeds = list(dict.fromkeys(run.planned.seed for run in runs))
    arms = list(dict.fromkeys(run.planned.arm for run in runs))
    cells = {(run.planned.arm, run.planned.seed): _cell(run, metric) for run in runs}
    rows = [(metric, *(f"seed {seed}" for seed in seeds))]
    return rows + [(arm, *(cells.get((arm, seed), "") for seed in seeds)) for arm in arms]


def _cell(run: RunStatus, metric: str) -> str:
    value = run.metrics.get(metric)
    last = f"{value:.4f}" if value is not None else ""
    if run.state == "done":
        return last
    if run.state in ("waiting", DAMAGED):
        return run.state
    return f"{run.state} {run.step}/{run.planned.steps} {last}".rstrip()
