"""Makes the sections of a report: its sentences, tables and figures."""

from collections.abc import Mapping, Sequence

import numpy as np

from fgspec.loading.resolved import differences, spec_hash
from fgspec.problems.problems import MISSING, dotted, flow
from fgspec.results.abscissa import Abscissa, Costs
from fgspec.results.collect import ArmResult, Collected, Failure
from fgspec.results.figures import Point, against_cost, curves, kinds, pareto_front
from fgspec.results.metrics import number, scale, titled, written
from fgspec.results.statistics import (
    CONFIDENCE,
    Paired,
    lower_is_better,
    paired,
    summary,
    verdict,
)
from fgspec.show.document import Cell, Figure, Part, Section, Table
from fgspec.show.text import expectation, quantity
from fgspec.spec.metrics import TEST, VALID, today

CURVES = ("train/loss", "train/objective", "valid/loss", "valid/error", "test/loss", "test/error")
"""Metrics that get a learning curve if they were logged, besides that of the comparison."""

DRAWN = {
    "fg/cosine/": (
        "cosine",
        "Cosine between the estimate and the exact gradient of its target",
        False,
    ),
    "fg/snr/": (
        "snr",
        "Signal-to-noise ratio: squared norm of the exact gradient / variance of the estimate",
        True,
    ),
    "fg/norm_ratio/": (
        "norm_ratio",
        "Norm of the estimate / norm of the exact gradient of its target",
        True,
    ),
    "fg/noise_scale": (
        "noise_scale",
        "Gradient-noise scale of the estimate, in examples (McCandlish et al. 2018)",
        True,
    ),
}
"""By the start of a metric's name: the name and caption of its figure, and whether its axis is
logarithmic. Each panel is a block or a layer."""

QUALITY = {start: caption for start, (_, caption, _) in DRAWN.items()} | {
    "fg/alignment/": "Cosine between backward and forward weights",
    "fg/floor/": "Numerical floor: |t' - t| / |t| for the exact gradient t and the same gradient "
    "t' in float32 with the examples in the opposite order",
    "local_accuracy/": "Accuracy of a local head on a training batch",
}
"""The metrics in the table of gradient quality, by the start of their names, and their meaning."""

UNSAID = (("name",), ("description",), ("seed",), ("expect",))
"""Fields that are left out of the table of differences, because they do not affect training."""


def compose(
    collected: Collected,
    metric: str,
    base: ArmResult,
    costs: Costs,
    over: Abscissa,
    draws: bool,
    failed: Sequence[Failure] = (),
    pictures: Mapping[str, str] | None = None,
) -> list[Section]:
    """Make all sections of a report.

    Args:
        collected: the arms with their runs, and the runs that are left out.
        metric: the metric by which arms are compared, such as valid/error.
        base: the arm that differences are taken to.
        costs: the costs of the arms.
        over: the horizontal axis of curves.
        draws: whether to draw figures, which needs matplotlib.
        failed: runs of sweeps that failed.
        pictures: pictures of the arms' learning rules by label, as SVG elements.
    """
    arms = collected.arms
    sections = [
        Section("Result", result(arms, metric)),
        Section(f"{metric} by arm", (_means(arms, metric, base), *_expected(arms))),
    ]
    if draws:
        sections += _curves(arms, metric, over, costs)
    sections += _quality(arms, over, costs, draws)
    sections += _cost(arms, metric, over.of_whole_runs, costs, draws)
    sections += _pictures(pictures or {})
    sections += [*_descriptions(arms), *_changes(arms, base), _runs(arms, metric)]
    return [*sections, *_failed(failed), *_left_out(collected)]


def result(arms: Sequence[ArmResult], metric: str) -> tuple[str, ...]:
    """Which arm is best, whether that was decided on the test set, and its test result if not."""
    best_arm = verdict(metric, [(arm.label, arm.values(metric)) for arm in arms]).text
    which, _, name = metric.partition("/")
    if which == TEST:
        return best_arm, (
            "The arms were compared on the test set, so the best one's test result is optimistic. "
            "Set data.validation to compare arms on held-out training examples."
        )
    results = [(arm, mean) for arm in arms if (mean := summary(arm.values(metric))) is not None]
    lower = lower_is_better(metric)
    if which != VALID or lower is None or not results:
        return (best_arm,)
    best, _ = (min if lower else max)(results, key=lambda pair: pair[1].mean)
    of_test = f"{TEST}/{name}"
    seeds = summary(best.values(of_test))
    if seeds is None:
        return (best_arm,)
    measured = f"{written(of_test, seeds.mean)} over {seeds.count} seed{'s' * (seeds.count > 1)}"
    return best_arm, f"{of_test} of {best.label}, the best by {metric}: {measured}."


def _pictures(pictures: Mapping[str, str]) -> list[Section]:
    """A figure for every picture, with the labels of the arms that it shows."""
    arms: dict[str, list[str]] = {}
    for label, svg in pictures.items():
        arms.setdefault(svg, []).append(label)
    figures = tuple(
        Figure(f"rule_{index}", ", ".join(labels), (svg,), files={"svg": svg.encode()})
        for index, (svg, labels) in enumerate(arms.items())
    )
    return [Section("Learning rules", figures)] * bool(figures)


def _failed(failures: Sequence[Failure]) -> list[Section]:
    rows = tuple((failure.run, failure.reason) for failure in failures)
    return [Section("Runs that failed", (Table("failed", ("run", "reason"), rows),))] * bool(rows)


def _left_out(collected: Collected) -> list[Section]:
    """The table of damaged runs, with what is damaged."""
    rows = tuple((str(run.path), run.reason) for run in collected.left_out)
    note = "These runs are damaged. No number above includes them."
    table = Table("left_out", ("folder", "reason"), rows, note)
    return [Section("Runs left out", (table,))] * bool(rows)


def _cell(metric: str, value: float | None, sign: str = "") -> Cell:
    """A value in the unit of `titled`."""
    return Cell(number(metric, value, sign), None if value is None else value * scale(metric))


def _means(arms: Sequence[ArmResult], metric: str, base: ArmResult) -> Table:
    unit = titled(metric).removeprefix(metric)
    head = (
        "arm",
        "seeds",
        f"mean{unit}",
        f"standard deviation{unit}",
        f"difference to {base.label}",
        "pairs",
        f"{CONFIDENCE:.0%} interval",
        "paired Cohen's d",
    )
    rows = []
    for arm in arms:
        own = summary(arm.values(metric))
        if own is None:
            rows.append((arm.label, "0", *[""] * 6))
            continue
        pair = paired(arm.values(metric), base.values(metric))
        told = ("",) * 4 if arm is base else _difference(metric, pair)
        means = (_cell(metric, own.mean), _cell(metric, own.deviation))
        rows.append((arm.label, str(own.count), *means, *told))
    caption = (
        f"{titled(metric)} at the end of training: means and standard deviations over seeds. "
        f"Differences to {base.label} are means over the pairs, the seeds that both arms have. "
        "Intervals are BCa bootstrap intervals over pairs; they are too narrow for few pairs, and "
        "the result above does not depend on them."
    )
    return Table("arms", head, tuple(rows), caption)


def _difference(metric: str, pair: Paired) -> tuple[Cell | str, ...]:
    if pair.mean is None:
        return "", "0", "", ""
    span = pair.method
    if pair.interval is not None:
        span = " to ".join(number(metric, end, "+") for end in pair.interval)
        span += f" ({pair.method})" * (pair.method != "BCa")
    effect = "" if pair.effect is None else f"{pair.effect:+.2f}"
    return _cell(metric, pair.mean, "+"), str(pair.count), span, Cell(effect, pair.effect)


def _expected(arms: Sequence[ArmResult]) -> list[Part]:
    """The values that specs expect, and the means over seeds."""
    head = ("arm", "metric", "expected", "tolerance", "measured", "difference", "agrees", "source")
    rows = []
    for arm in arms:
        expect = arm.loaded.experiment.expect
        own = None if expect is None else summary(arm.values(today(expect.metric)))
        if expect is None or own is None:
            continue
        metric = today(expect.metric)
        told = expectation(expect, {metric: own.mean})["expectation"]
        values = (expect.value, expect.tolerance, own.mean)
        numbers = (_cell(metric, value) for value in values)
        off = _cell(metric, own.mean - expect.value, "+")
        agrees = "yes" if told["within"] else "NO"
        rows.append((arm.label, titled(metric), *numbers, off, agrees, expect.cited))
    caption = "Values that the specs expect, and means over seeds."
    return [Table("expected", head, tuple(rows), caption)] * bool(rows)


def _curves(arms: Sequence[ArmResult], metric: str, over: Abscissa, costs: Costs) -> list[Section]:
    names = dict.fromkeys([metric, *CURVES])
    figure = curves("curves", "Learning curves", arms, [*names], over, costs)
    if figure is None:
        text = f"No curve: no metric was logged at two steps whose {over.title} are known."
        return [Section("Learning curves", (text,))]
    return [Section("Learning curves", (figure,))]


def _quality(arms: Sequence[ArmResult], over: Abscissa, costs: Costs, draws: bool) -> list[Section]:
    """The results of diagnostics: curves, and the last values as means over seeds."""
    names = [name for start in QUALITY for name in sorted(kinds(arms, start))]
    if not names:
        return []
    rows = []
    for name in names:
        own = [summary(arm.values(name)) for arm in arms]
        means = ((one.mean * scale(name)) if one is not None else None for one in own)
        cells = (Cell("" if mean is None else f"{mean:.3g}", mean) for mean in means)
        rows.append((titled(name), *cells))
    head = ("metric", *(arm.label for arm in arms))
    told = (
        f"{start.rstrip('/')}: {meaning[0].lower()}{meaning[1:]}"
        for start, meaning in QUALITY.items()
        if kinds(arms, start)
    )
    caption = f"The last measured values by block or layer, means over seeds. {'; '.join(told)}."
    table = Table("gradients", head, tuple(rows), caption)
    figures = [
        curves(file, caption, arms, sorted(kinds(arms, start)), over, costs, logarithmic)
        for start, (file, caption, logarithmic) in DRAWN.items()
        if draws
    ]
    return [Section("Quality of gradient estimates", (*filter(None, figures), table))]


def _cost(
    arms: Sequence[ArmResult], metric: str, over: Abscissa, costs: Costs, draws: bool
) -> list[Section]:
    """The cost of runs, and the metric that they reach."""
    lower = lower_is_better(metric)
    means = {arm.label: summary(arm.values(metric)) for arm in arms}
    points = {
        arm.label: Point(cost, own.mean, own.deviation)
        for arm in arms
        if (own := means[arm.label]) is not None and (cost := _spent(arm, over, costs)) is not None
    }
    # If it is unknown whether lower is better, there is no front.
    front = [] if lower is None or len(points) < 2 else pareto_front(points, lower)
    head = (
        "arm",
        titled(metric),
        "FLOPs per step",
        "steps",
        "FLOPs per run",
        "ms per step",
        "Pareto front",
    )
    rows = []
    for arm in arms:
        own, pace = means[arm.label], summary(arm.values("perf/step_time_s"))
        cells: tuple[Cell | str, ...] = ("", "", "")
        if arm.label in costs:
            flops, steps, _ = costs[arm.label]
            whole = Cell(quantity(flops * steps), float(flops * steps))
            cells = (Cell(quantity(flops), float(flops)), Cell(f"{steps:,}", float(steps)), whole)
        time = "" if pace is None else Cell(f"{pace.mean * 1e3:.3g}", pace.mean * 1e3)
        last = "yes" if arm.label in front else ""
        mean = _cell(metric, None if own is None else own.mean)
        rows.append((arm.label, mean, *cells, time, last))
    caption = (
        f"Cost, and {titled(metric)} as the mean over seeds. On the Pareto front are the arms that "
        f"no other arm beats with as many {over.title} or fewer."
    )
    table = Table("cost", head, tuple(rows), caption)
    if not draws or lower is None:
        return [Section("Cost", (table,))]
    indices = {arm.label: index for index, arm in enumerate(arms)}
    figure = against_cost(points, indices, metric, lower, over)
    return [Section("Cost", (*filter(None, [figure]), table))]


def _spent(arm: ArmResult, over: Abscissa, costs: Costs) -> float | None:
    """The cost of an arm's runs up to their last line, as a mean over seeds."""
    ends = [
        over.places(np.asarray([run.lines[-1]["step"]]), run, costs.get(arm.label))
        for run in arm.runs
        if run.lines
    ]
    known = [float(end[0]) for end in ends if end is not None]
    return float(np.mean(known)) if known else None


def _descriptions(arms: Sequence[ArmResult]) -> list[Section]:
    """The descriptions of the arms, if they differ, as those of baselines do."""
    rows = tuple((arm.label, arm.loaded.experiment.description) for arm in arms)
    differ = len({description for _, description in rows}) > 1
    table = Table("descriptions", ("arm", "description"), rows)
    return [Section("What the arms are", (table,))] * differ


def _changes(arms: Sequence[ArmResult], base: ArmResult) -> list[Section]:
    """The fields in which each arm's spec differs from that of the base."""
    rows = [
        (arm.label, Cell(dotted(d.path), code=True), _told(d.a), _told(d.b))
        for arm in arms
        for d in differences(base.loaded, arm.loaded)
        if d.path[:1] not in UNSAID
    ]
    table = Table("differences", ("arm", "field", base.label, "this arm"), tuple(rows))
    return [Section(f"Fields that differ from {base.label}", (table,))] * bool(rows)


def _told(value: object) -> Cell:
    return Cell("absent") if value is MISSING else Cell(flow(value), code=True)


def _runs(arms: Sequence[ArmResult], metric: str) -> Section:
    rows = [
        (
            arm.label,
            str(run.seed),
            run.state,
            str(run.lines[-1]["step"]) if run.lines else "0",
            _cell(metric, run.last(metric)),
            sha[:8],
            str(run.path),
        )
        for arm in arms
        for run in (*arm.runs, *arm.others)
        for sha in [spec_hash(arm.loaded, seed=run.seed)]
    ]
    head = ("arm", "seed", "state", "step", titled(metric), "sha256", "folder")
    made = {_machine(run.provenance) for arm in arms for run in arm.runs}
    unfinished = sum(len(arm.others) for arm in arms)
    notes = [f"{unfinished} runs are not finished or repeat a seed; no number above includes them."]
    notes = notes * bool(unfinished) + [f"Made with {'; '.join(sorted(made))}."] * bool(made)
    return Section("Runs", (*notes, Table("runs", head, tuple(rows))))


def _machine(provenance: Mapping[str, object]) -> str:
    packages, devices = provenance.get("packages"), provenance.get("devices")
    version = packages.get("jax") if isinstance(packages, Mapping) else None
    kinds = devices if isinstance(devices, list) else []
    told = ", ".join(f"{device['count']} x {device['kind']}" for device in kinds)
    return f"jax {version} on {told}"
