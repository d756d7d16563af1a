"""The sections of a report: what stands in which table, and what is said of it."""

from collections.abc import Mapping, Sequence

from fgspec.loading.resolved import differences, spec_hash
from fgspec.problems.problems import MISSING, dotted, shown
from fgspec.results.collect import ArmResult, Collected, Failure
from fgspec.results.figures import COSINE, CURVES, against_cost, cosine_metrics, panels
from fgspec.results.pages import Picture, Section, Table
from fgspec.results.statistics import Paired, paired, summary, verdict
from fgspec.show.text import expectation, quantity

QUALITY = (COSINE, "fg/norm_ratio/", "fg/snr/", "fg/alignment/", "local_accuracy/")
"""What the table of gradient quality shows, by the beginning of a metric's name."""

UNSAID = (("name",), ("description",), ("seed",), ("expect",))
"""Differences to the base that say nothing of what was changed."""

Costs = Mapping[str, tuple[int, int]]
"""FLOPs of an update, and updates of a run, by an arm's label; none where they are not known."""


def compose(
    collected: Collected,
    metric: str,
    base: ArmResult,
    costs: Costs,
    draws: bool,
    failed: Sequence[Failure] = (),
) -> list[Section]:
    """All sections of a report.

    Args:
        collected: arms with their runs, and the runs that are left out.
        metric: that they are judged by, such as eval/error.
        base: what differences are to.
        costs: of arms.
        draws: whether there are figures; they need matplotlib.
        failed: runs of sweeps of which nothing counts.
    """
    arms = collected.arms
    sections = [
        Section("Result", (verdict(metric, [(a.label, a.values(metric)) for a in arms]).text,)),
        Section(f"{metric} by arm", (_means(arms, metric, base), *_expected(arms))),
    ]
    if draws:
        sections += _curves(arms)
    sections += [*_quality(arms, draws), *_cost(arms, metric, costs, draws)]
    sections += [*_changes(arms, base), _runs(arms, metric)]
    return [*sections, *_failed(failed), *_left_out(collected)]


def _failed(failures: Sequence[Failure]) -> list[Section]:
    rows = tuple((failure.run, failure.reason) for failure in failures)
    return [Section("Runs that failed", (Table(("run", "reason"), rows),))] if rows else []


def _left_out(collected: Collected) -> list[Section]:
    """Damaged runs, and what is damaged."""
    rows = tuple((str(run.path), run.reason) for run in collected.left_out)
    note = "These runs are damaged and count nowhere above."
    return [Section("Runs left out", (note, Table(("folder", "reason"), rows)))] if rows else []


def _four(value: float | None) -> str:
    return "" if value is None else f"{value:.4f}"


def _means(arms: Sequence[ArmResult], metric: str, base: ArmResult) -> Table:
    head = (
        "arm",
        "n",
        "mean",
        "standard deviation",
        f"less {base.label}",
        "pairs",
        "95 % interval",
    )
    rows = []
    for arm in arms:
        own = summary(arm.values(metric))
        if own is None:
            rows.append((arm.label, "0", *[""] * 5))
            continue
        pair = paired(arm.values(metric), base.values(metric))
        told = ("", "", "") if arm is base else _difference(pair)
        rows.append((arm.label, str(own.count), _four(own.mean), _four(own.deviation), *told))
    return Table(head, tuple(rows))


def _difference(pair: Paired) -> tuple[str, str, str]:
    if pair.mean is None:
        return "", "0", ""
    span = pair.method if pair.interval is None else "{:+.4f} to {:+.4f}".format(*pair.interval)
    return f"{pair.mean:+.4f}", str(pair.count), span


def _expected(arms: Sequence[ArmResult]) -> list[str | Table]:
    """What specs expect, against the mean over seeds."""
    head = ("arm", "expected", "tolerance", "measured", "difference", "agrees", "source")
    rows = []
    for arm in arms:
        expect = arm.loaded.experiment.expect
        own = None if expect is None else summary(arm.values(expect.metric))
        if expect is None or own is None:
            continue
        told = expectation(expect, {expect.metric: own.mean})["expectation"]
        numbers = (expect.value, expect.tolerance, own.mean)
        off = f"{own.mean - expect.value:+.4f}"
        agrees = "yes" if told["within"] else "NO"
        rows.append((arm.label, *map(_four, numbers), off, agrees, expect.source))
    return ["What the specs expect:", Table(head, tuple(rows))] if rows else []


def _curves(arms: Sequence[ArmResult]) -> list[Section]:
    png = panels(arms, CURVES)
    if png is None:
        return []
    text = "means over seeds, shaded from the least to the largest"
    return [Section("Learning curves", (Picture("curves.png", text, png),))]


def _quality(arms: Sequence[ArmResult], draws: bool) -> list[Section]:
    """Means over seeds of what diagnostics measured last."""
    found = {name for arm in arms for run in arm.runs for line in run.lines for name in line}
    names = [name for kind in QUALITY for name in sorted(found) if name.startswith(kind)]
    if not names:
        return []
    rows = []
    for name in names:
        own = [summary(arm.values(name)) for arm in arms]
        rows.append((name, *("" if one is None else f"{one.mean:.3g}" for one in own)))
    table = Table(("last measured", *(arm.label for arm in arms)), tuple(rows))
    png = panels(arms, cosine_metrics(arms)) if draws else None
    text = "cosine of the estimate with the exact gradient of its target, by block or layer"
    parts = (table,) if png is None else (Picture("gradients.png", text, png), table)
    return [Section("Quality of gradients", parts)]


def _cost(arms: Sequence[ArmResult], metric: str, costs: Costs, draws: bool) -> list[Section]:
    head = ("arm", metric, "FLOPs a step", "steps", "FLOPs of a run", "ms a step")
    rows, points = [], dict[str, tuple[float, float, float | None]]()
    for arm in arms:
        own, pace = summary(arm.values(metric)), summary(arm.values("perf/step_time_s"))
        cells = ("", "", "")
        if arm.label in costs:
            flops, steps = costs[arm.label]
            cells = (quantity(flops), f"{steps:,}", quantity(flops * steps))
            if own is not None:
                points[arm.label] = (flops * steps, own.mean, own.deviation)
        mean = "" if own is None else _four(own.mean)
        time = "" if pace is None else f"{pace.mean * 1e3:.3g}"
        rows.append((arm.label, mean, *cells, time))
    png = against_cost(points, metric) if draws else None
    text = f"{metric} over the FLOPs of a run, with standard deviations over seeds"
    parts = () if png is None else (Picture("cost.png", text, png),)
    return [Section("Cost", (*parts, Table(head, tuple(rows))))]


def _changes(arms: Sequence[ArmResult], base: ArmResult) -> list[Section]:
    """What each arm's spec has in another way than the base's."""
    rows = [
        (arm.label, dotted(d.path), _told(d.a), _told(d.b))
        for arm in arms
        for d in differences(base.loaded, arm.loaded)
        if d.path[:1] not in UNSAID
    ]
    table = Table(("arm", "field", base.label, "here"), tuple(rows))
    return [Section(f"Differences of specs to {base.label}", (table,))] if rows else []


def _told(value: object) -> str:
    return "absent" if value is MISSING else shown(value)


def _runs(arms: Sequence[ArmResult], metric: str) -> Section:
    rows = [
        (arm.label, str(run.seed), run.state, _four(run.last(metric)), sha[:8], str(run.path))
        for arm in arms
        for run in (*arm.runs, *arm.others)
        for sha in [spec_hash(arm.loaded, seed=run.seed)]
    ]
    head = ("arm", "seed", "state", metric, "sha256", "folder")
    made = {_machine(run.provenance) for arm in arms for run in arm.runs}
    unfinished = sum(len(arm.others) for arm in arms)
    note = f"{unfinished} runs are not done, or repeat a seed, and count nowhere above."
    notes = [note] if unfinished else []
    return Section(
        "Runs", (*notes, f"Made with {'; '.join(sorted(made))}.", Table(head, tuple(rows)))
    )


def _machine(provenance: Mapping[str, object]) -> str:
    packages, devices = provenance.get("packages"), provenance.get("devices")
    version = packages.get("jax") if isinstance(packages, Mapping) else None
    kinds = devices if isinstance(devices, list) else []
    told = ", ".join(f"{device['count']} x {device['kind']}" for device in kinds)
    return f"jax {version} on {told}"
