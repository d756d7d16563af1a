"""What a report says of runs: laws of its statistics, and pages made of runs never trained."""

import csv
import re
import sys
import xml.etree.ElementTree as ET
from pathlib import Path

import numpy as np
import pytest
import runs
from scipy import stats

import fgspec as fgspec_package
from fgspec.cli import report_
from fgspec.results.abscissa import ABSCISSAE, Cost
from fgspec.results.collect import RunResult, collect
from fgspec.results.figures import Point, pareto_front, style
from fgspec.results.statistics import FALSE, compared, holm, paired, summary, verdict
from fgspec.results.tables import as_csv, as_latex, as_markdown
from fgspec.show.document import Cell, Section, Table
from fgspec.show.html_page import page
from fgspec.training import run_folder as rundir

SPEC = """\
fgspec: 1
name: {name}
rule: {rule}
architecture: {{type: local_mixer, blocks: 2, patches: 2, channels: 16, groups: 4}}
training: {{epochs: 2}}
expect: {{metric: test/error, value: 0.2, tolerance: 0.05, source: "a paper, table 1"}}
"""
ALSO = {"fg/snr/block0": 2.0, "perf/step_time_s": 0.5}
ERRORS = {"bp": (0.10, 0.12, 0.11), "lg-bp": (0.20, 0.23, 0.20)}


@pytest.fixture
def made(tmp_path, monkeypatch):
    """Folders of runs: two arms with three seeds each, and one run that failed."""
    monkeypatch.chdir(tmp_path)
    paths = []
    for rule, errors in ERRORS.items():
        spec = tmp_path / f"{rule}.yaml"
        spec.write_text(SPEC.format(name=rule, rule=rule))
        for seed, error in enumerate(errors):
            lines = [
                {"step": 5, "train/loss": 2.0, "test/error": 0.9, "fg/cosine/block0": 0.5} | ALSO,
                {"step": 10, "train/loss": 1.0, "test/error": error, "fg/cosine/block0": 0.25}
                | ALSO,
            ]
            paths.append(runs.invent(tmp_path, spec, [f"seed={seed}"], lines))
    paths.append(runs.invent(tmp_path, spec, ["seed=9"], status="failed"))
    return paths


def test_runs_that_differ_in_the_seed_are_one_arm(made):
    bp, lg_bp = collect(made).arms
    assert (bp.label, lg_bp.label) == ("bp", "lg-bp")
    assert bp.values("test/error") == {0: 0.10, 1: 0.12, 2: 0.11}
    assert [run.seed for run in lg_bp.runs] == [0, 1, 2]
    assert [run.state for run in lg_bp.others] == ["failed"]
    assert collect([*made, *made]).arms[0].runs == bp.runs  # a run named twice counts once


def test_the_report_says_means_differences_and_what_was_expected(made, fgspec):
    pytest.importorskip("matplotlib")
    code, out, _ = fgspec("report", *made, "--out", "r")
    assert code == 0
    assert out.startswith(
        "No winner is named: bp has the lowest test/error, 11.00 %, but it shares only 3 seeds"
    )
    page = Path("r/report.md").read_text()
    assert "| bp | 3 | 11.00 | 1.00 |  |  |  |  |" in page
    assert "| lg-bp | 3 | 21.00 | 1.73 | +10.00 | 3 | needs 5 pairs |  |" in page
    assert "| bp | test/error (%) | 20.00 | 5.00 | 11.00 | -9.00 | NO | a paper, table 1 |" in page
    assert "| lg-bp | test/error (%) | 20.00 | 5.00 | 21.00 | +1.00 | yes | a paper, " in page
    assert "| fg/cosine/block0 | 0.25 | 0.25 |" in page
    assert "| lg-bp | losses.isolate | none | block |" in page
    assert re.search(r"\| lg-bp \| 9 \| failed \| 0 \|  \| \w{8} \| .*lg-bp/", page)
    names = re.findall(r"!\[.*\]\((.*)\.svg\)", page)
    drawn = ["figures/curves", "figures/cosine", "figures/snr", "figures/cost"]
    assert names == [*drawn, "figures/rule_0", "figures/rule_1"]
    for name in names:
        ET.parse(f"r/{name}.svg")
    for name in drawn:
        assert Path(f"r/{name}.pdf").read_bytes().startswith(b"%PDF")
    assert "Lines are means over 3 seeds; bands show the lowest and highest seed." in page
    rows = list(csv.DictReader(Path("r/tables/arms.csv").read_text().splitlines()))
    assert [float(row["mean (%)"]) for row in rows] == pytest.approx([11.0, 21.0])
    assert Path("r/tables/arms.tex").read_text().count("&") == 7 * 3


def test_the_page_is_one_file_without_scripts(made, fgspec):
    pytest.importorskip("matplotlib")
    assert fgspec("report", *made, "--out", "r", "--metric", "train/loss")[0] == 0
    page = Path("r/report.html").read_text()
    assert "<script" not in page
    assert re.findall(r'(?:src|href)="(?!#)', page) == []
    tree = ET.fromstring(page.split("\n", 1)[1])
    svg = "{http://www.w3.org/2000/svg}"
    titles = [one.get("aria-label") for one in tree.iter(f"{svg}svg") if one.get("role") == "img"]
    assert titles == [
        "train/loss over updates",
        "test/error over updates",
        "fg/cosine/block0 over updates",
        "fg/snr/block0 over updates",
        "train/loss over FLOPs per run",
        "bp: blocks, losses and what each layer learns from",
        "lg-bp: blocks, losses and what each layer learns from",
    ]
    texts = ["".join(text.itertext()) for text in tree.iter(f"{svg}text")]
    assert {"train/loss", "test/error (%)", "updates", "FLOPs per run"} <= set(texts)
    assert "currentColor" in page  # text and axes take the colour of a light or dark page


def test_curves_are_drawn_over_what_is_asked_for(made, fgspec):
    pytest.importorskip("matplotlib")
    code, _, err = fgspec("report", *made, "--x", "epoch")
    assert (code, err) == (2, "report: --x epoch: no such axis; did you mean epochs?\n")
    assert fgspec("report", *made, "--out", "r", "--x", "seconds")[0] == 0
    page = Path("r/report.html").read_text()
    assert 'aria-label="test/error over seconds of training"' in page


def test_places_along_the_axis():
    lines = (
        {"step": 2, "perf/step_time_s": 3.0},
        {"step": 3},
        {"step": 6, "perf/step_time_s": 1.0},
    )
    run = RunResult(Path(), 0, "done", lines, {})
    steps, cost = np.asarray([2, 3, 6]), Cost(flops=10, steps=6, steps_per_epoch=4)
    places = {name: one.places(steps, run, cost).tolist() for name, one in ABSCISSAE.items()}
    assert places == {
        "updates": [2, 3, 6],
        "epochs": [0.5, 0.75, 1.5],
        "flops": [20, 30, 60],
        "seconds": [6, 7, 10],  # two updates of 3 s, then four of 1 s
    }


@pytest.mark.parametrize("lower", [True, False])
def test_the_front_has_the_arms_that_no_other_one_dominates(lower):
    rng = np.random.default_rng(0)
    points = {
        str(i): Point(*map(float, rng.integers(0, 8, 2)), None)  # with ties of both kinds
        for i in range(20)
    }

    def dominates(a, b):
        better = a.mean <= b.mean if lower else a.mean >= b.mean
        return a.cost <= b.cost and better and a[:2] != b[:2]

    kept = [p[:2] for p in points.values() if not any(dominates(q, p) for q in points.values())]
    front = [points[label][:2] for label in pareto_front(points, lower)]
    assert front == sorted(set(kept))


def luminance(colour):
    parts = (int(colour[i : i + 2], 16) / 255 for i in (1, 3, 5))
    linear = [c / 12.92 if c <= 0.04045 else ((c + 0.055) / 1.055) ** 2.4 for c in parts]
    return float(np.dot(linear, (0.2126, 0.7152, 0.0722)))


def test_arms_are_told_apart_without_colour_and_seen_on_light_and_dark():
    styles = [style(index) for index in range(40)]
    assert len({(one["marker"], one["linestyle"]) for one in styles[:20]}) == 20
    for colour in {one["color"] for one in styles}:
        # WCAG 2.2, 1.4.11: parts of graphics have a contrast of at least 3 to what is beside them
        assert 1.05 / (luminance(colour) + 0.05) >= 3
        assert (luminance(colour) + 0.05) / (luminance("#161616") + 0.05) >= 3


def test_a_wrong_path_is_not_waited_for(fgspec, tmp_path):
    code, _, err = fgspec("report", tmp_path, "--watch")
    assert (code, err.split(":")[1]) == (2, " not a run")


def test_it_is_written_again_until_every_run_has_ended(made, fgspec, monkeypatch, tmp_path):
    spec = tmp_path / "bp.yaml"
    late = runs.invent(tmp_path, spec, ["seed=3"], [{"step": 5, "test/error": 0.5}], status="")
    states = []

    def end(seconds):
        states.append(Path("r/report.html").read_text())
        rundir.write_summary(rundir.RunDir(late), "done", 0, {}, {})

    monkeypatch.setattr(report_.time, "sleep", end)
    monkeypatch.setitem(sys.modules, "matplotlib.figure", None)
    code, out, _ = fgspec("report", *made, late, "--out", "r", "--watch")
    assert code == 0
    assert out.count("report r/report.html") == 2
    assert len(states) == 1
    assert 'http-equiv="refresh"' in states[0]
    assert 'http-equiv="refresh"' not in Path("r/report.html").read_text()
    assert "| bp | 4 | 20.75 |" in Path("r/report.md").read_text()


def test_without_matplotlib_the_tables_are_there(made, fgspec, monkeypatch):
    monkeypatch.setitem(sys.modules, "matplotlib.figure", None)
    code, out, _ = fgspec("report", *made, "--out", "r")
    assert code == 0
    assert "report: figures needs matplotlib, which is not installed" in out
    assert "over updates" not in Path("r/report.html").read_text()


def test_arguments_that_name_nothing_are_told(made, fgspec, tmp_path):
    code, _, err = fgspec("report", *made, "--against", "lg-b")
    assert (code, err) == (2, "report: --against lg-b: no such arm; did you mean lg-bp?\n")
    code, _, err = fgspec("report", *made, "--metric", "test/eror")
    assert (code, err) == (
        2,
        "report: --metric test/eror: no run has it; did you mean test/error?\n",
    )
    code, _, err = fgspec("report", tmp_path)
    assert (code, err.startswith(f"{tmp_path}: {len(made)} runs; give one of ")) == (2, True)
    (tmp_path / "empty").mkdir()
    code, _, err = fgspec("report", tmp_path / "empty")
    said = "not a run: it has no resolved.yaml and provenance.json"
    assert (code, err) == (2, f"{tmp_path / 'empty'}: {said}\n")


def test_differences_are_those_of_pairs():
    rng = np.random.default_rng(0)
    base = {seed: float(rng.normal()) for seed in range(9)}
    noise = {seed: float(rng.normal(0, 0.1)) for seed in range(9)}
    shifted = {seed: value + 0.5 + noise[seed] for seed, value in base.items() if seed}
    found = paired(shifted, base)
    assert (found.count, found.method) == (8, "BCa")
    assert found.mean == pytest.approx(0.5 + np.mean([noise[seed] for seed in shifted]))
    low, high = found.interval
    assert 0.3 < low < found.mean < high < 0.7  # what the seeds share cancels
    assert paired(base, shifted).mean == pytest.approx(-found.mean)


@pytest.mark.parametrize(
    ("a", "b", "method"),
    [
        ({}, {0: 1.0}, "no pairs"),
        ({0: 0.1, 1: 0.2, 2: 0.3, 3: 0.5}, dict.fromkeys(range(9), 0.1), "needs 5 pairs"),
        # 0.3 - 0.2 and 0.2 - 0.1 differ in their last digit
        ({s: s / 10 + 0.1 for s in range(9)}, {s: s / 10 for s in range(9)}, "all differences are"),
    ],
)
def test_where_there_is_no_interval_the_reason_is_said(a, b, method):
    found = paired(a, b)
    assert found.interval is None
    assert found.method.startswith(method)


def test_a_summary_of_one_has_no_deviation():
    assert summary({}) is None
    assert summary({3: 0.5}).deviation is None
    assert summary({0: 1.0, 1: 3.0}).deviation == pytest.approx(2**0.5)


def test_p_values_are_adjusted_as_holm_does():
    # Holm 1979: of three, the least is multiplied by 3, the next by 2, and none is below the last.
    assert holm([0.01, 0.04, 0.03]) == pytest.approx([0.03, 0.06, 0.06])
    assert holm([0.9, 0.9]) == [1.0, 1.0]


def of_seeds(*values):
    return dict(enumerate(values))


A, B = of_seeds(0.10, 0.11, 0.12, 0.10, 0.12), of_seeds(0.2, 0.22, 0.2, 0.21, 0.19)
C = of_seeds(0.09, 0.13, 0.13, 0.11, 0.12)
SIX = of_seeds(0.1, 0.2, 0.3, 0.1, 0.2, 0.3)
AHEAD = "a has the lowest test/error, "
FEW = f"No winner is named: {AHEAD}10.00 %, but it shares only "
VERDICTS = {
    f"{FEW}1 seed with b. Run at least 5 seeds of each of these 2 arms, the same for all.": (
        "test/error",
        {"a": {0: 0.1}, "b": {0: 0.2}},
    ),
    f"{FEW}4 seeds with b. Run at least 5": (
        "test/error",
        {"a": of_seeds(0.1, 0.1, 0.1, 0.1), "b": of_seeds(0.9, 0.9, 0.9, 0.9)},
    ),
    f"{FEW}2 seeds with c. Run at least 5 seeds of each of these 3 arms": (
        "test/error",
        {"a": dict.fromkeys(range(5), 0.1), "b": B, "c": dict.fromkeys(range(3, 8), 0.9)},
    ),
    f"{AHEAD}11.00 %, and the difference to every other arm is larger than chance explains: b": (
        "test/error",
        {"b": B, "a": A},
    ),
    "a has the lowest local_loss/block1": ("local_loss/block1", {"a": A, "b": B}),
    "b has the highest test/accuracy": ("test/accuracy", {"b": B, "a": A}),
    f"No winner is named: {AHEAD}11.00 %, but chance can explain the difference to c (p = 0.3": (
        "test/error",
        {"a": A, "b": B, "c": C},
    ),
    f"No winner is named: {AHEAD}20.00 %, but chance can explain the difference to b (p = 1, "
    "paired Cohen's d = 0)": ("test/error", {"a": SIX, "b": dict(SIX)}),
    f"{AHEAD}20.00 %, and the difference to every other arm is larger than chance explains: b (all "
    "6 differences are equal, p = 0.031 by the sign test)": (
        "test/error",
        {"a": SIX, "b": {seed: value + 0.1 for seed, value in SIX.items()}},
    ),
    f"No winner is named: {AHEAD}16.00 %, but chance can explain the difference to b (all 5 "
    "differences are equal, p = 0.062": (
        "test/error",
        {
            "a": {seed: SIX[seed] for seed in range(1, 6)} | {3: 0.1, 2: 0.1, 5: 0.2},
            "b": {seed: SIX[seed] + 0.1 for seed in range(1, 6)} | {3: 0.2, 2: 0.2, 5: 0.3},
        },
    ),
    "No winner is named: it is unknown whether lower or higher optim/grad_norm is better.": (
        "optim/grad_norm",
        {"a": A, "b": B},
    ),
    "No winner is named: fewer than two arms": ("test/error", {"a": A, "b": {}}),
    "No winner is named: test/error of b is not a finite number.": (
        "test/error",
        {"a": A, "b": B | {3: float("nan")}},
    ),
}


@pytest.mark.parametrize("text", VERDICTS)
def test_a_winner_is_named_only_where_seeds_tell_it(text):
    metric, arms = VERDICTS[text]
    told = verdict(metric, list(arms.items()))
    assert told.text.startswith(text)
    assert (told.winner is None) == text.startswith("No winner")


def test_p_and_effect_are_those_of_the_paired_t_test():
    test = compared(A, C, lower=True)
    differences = np.asarray([0.01, -0.02, -0.01, -0.01, 0.0])  # in steps of 0.01
    deviation = differences.std(ddof=1)
    assert test.effect == pytest.approx(differences.mean() / deviation)
    t = (abs(differences.sum()) - 0.005) / 5 / (deviation / 5**0.5)
    assert test.p == pytest.approx(2 * stats.t.sf(t, 4))
    assert compared(C, A, lower=True).p == 1  # it is not ahead
    assert compared(C, A, lower=False).p == pytest.approx(test.p)


DRAWS = {
    "normal": lambda rng, size: rng.normal(size=size),
    "exponential": lambda rng, size: rng.exponential(size=size),
    "lognormal": lambda rng, size: rng.lognormal(size=size),
    "two best": lambda rng, size: rng.normal(size=size) + 9 * (np.arange(size[1]) > 1)[:, None],
    "of 360 test images": lambda rng, size: rng.binomial(360, 0.01, size) / 360,  # with many ties
    "of 10,000 test images": lambda rng, size: rng.binomial(10_000, 0.02, size) / 10_000,
}
REPORTS = 200


@pytest.mark.parametrize("arms", [2, 8])
@pytest.mark.parametrize("seeds", [5, 10])
@pytest.mark.parametrize("draw", DRAWS)
def test_among_equal_arms_a_winner_is_named_as_rarely_as_is_said(draw, seeds, arms):
    rng, named = np.random.default_rng([seeds, arms]), 0
    for values in DRAWS[draw](rng, (REPORTS, arms, seeds)).tolist():
        equal = [(f"arm{i}", of_seeds(*own)) for i, own in enumerate(values)]
        named += verdict("test/error", equal).winner is not None
    # the most that 5 % of reports are, in 999 of 1,000 such tests
    assert named <= stats.binom.ppf(0.999, REPORTS, FALSE)
    assert arms > 2 or named  # the rate is not kept by naming nobody


@pytest.mark.parametrize("seeds", [2, 3, 4])
def test_below_five_seeds_no_difference_names_a_winner(seeds):
    arms = [("a", of_seeds(*range(seeds))), ("b", of_seeds(*range(100, 100 + seeds)))]
    assert verdict("test/error", arms).winner is None


def test_text_is_escaped():
    table = Table("t", ("x|y", "<b>"), (("1|2", Cell("&", note="<u>")), ("50 %", "-1")))
    sections = [Section("a & b", ("<i>", table))]
    text = page("<t>", sections)
    assert not {"<i>", "<u>"} & set(re.findall("<.>", text))
    assert "&lt;b&gt;" in text
    assert "| 1\\|2 | & |" in as_markdown("t", sections)
    rows = [line.strip() for line in as_latex(table).splitlines() if "&" in line]
    assert rows == [
        r"x\textbar{}y & \textless{}b\textgreater{} \\",
        r"1\textbar{}2 & \& \\",
        r"50 \% & $-$1 \\",
    ]
    assert list(csv.reader(as_csv(table).splitlines())) == [
        ["x|y", "<b>"],
        ["1|2", "&"],
        ["50 %", "-1"],
    ]


def test_arms_are_selected_by_validation_and_the_test_set_is_shown_of_the_selected(
    tmp_path, monkeypatch, fgspec
):
    monkeypatch.chdir(tmp_path)
    paths, spec = [], tmp_path / "spec.yaml"
    # The arm that is better on the test set is worse on the validation set.
    for name, valid, test in (("a", 0.2, 0.1), ("b", 0.1, 0.3)):
        spec.write_text(SPEC.format(name=name, rule="bp") + "data: {validation: {examples: 9}}\n")
        for seed in range(2):
            lines = [{"step": 10, "valid/error": valid, "test/error": test + seed / 100}]
            paths.append(runs.invent(tmp_path, spec, [f"seed={seed}", f"name={name}"], lines))
    code, out, err = fgspec("report", *paths, "--out", "page")
    assert code == 0, err
    assert "b has the lowest valid/error" in out
    assert "test/error of b, the best by valid/error: 30.50 % over 2 seeds." in out
    assert "test/error of a" not in out
    assert "were compared on the test set" not in out
    code, out, _ = fgspec("report", *paths, "--out", "page", "--metric", "eval/error")
    assert "a has the lowest test/error" in out
    assert "were compared on the test set" in out


def test_the_report_in_python_is_that_of_the_command_line(made, fgspec):
    pytest.importorskip("matplotlib")
    assert fgspec("report", *made, "--out", "r", "--x", "epochs")[0] == 0
    found = fgspec_package.report(*made, x="epochs")
    assert (found.best, found.winner, found.metric) == ("bp", None, "test/error")
    assert found.verdict.startswith("No winner is named: bp has the lowest test/error, 11.00 %")
    found.write("again")
    files = sorted(path.relative_to("r") for path in Path("r").rglob("*") if path.is_file())
    assert Path("tables/arms.tex") in files
    for file in files:
        assert Path("again", file).read_bytes() == Path("r", file).read_bytes()
    assert {f"{name}.csv" for name in found.tables} == {p.name for p in Path("r").rglob("*.csv")}
    rows = found.rows("arms")
    assert [row["arm"] for row in rows] == ["bp", "lg-bp"]
    assert [row["mean (%)"] for row in rows] == pytest.approx([11.0, 21.0])
    assert found.csv("cost") == Path("r/tables/cost.csv").read_text()
    assert found._repr_html_().startswith("<iframe srcdoc=")


@pytest.mark.parametrize(
    ("call", "line"),
    [
        (lambda report, runs: report(), "report: runs: give the folder of a run"),
        (lambda report, runs: report(3), "report: runs: takes the path of the folder of a run"),
        (lambda report, runs: report(*runs, x="epoch"), "report: x epoch: no such axis; did"),
        (lambda report, runs: report(*runs, against="b"), "report: against b: no such arm; "),
        (lambda report, runs: report(*runs).rows("arm"), "report: no table arm; did you mean arms"),
    ],
)
def test_wrong_arguments_in_python_are_named(made, monkeypatch, call, line):
    monkeypatch.setitem(sys.modules, "matplotlib.figure", None)
    with pytest.raises(fgspec_package.UserError) as error:
        call(fgspec_package.report, made)
    assert str(error.value).startswith(line)


def test_many_arms_with_too_few_seeds_are_counted():
    arms = [(f"arm{i}", {0: 0.1 * i, 1: 0.2 * i}) for i in range(1, 7)]
    told = verdict("test/error", [*arms, ("single", {0: 0.9})]).text
    assert "it shares only 2 seeds with each of 5 other arms, 1 seed with single. Run at" in told
