"""What a report says of runs: laws of its statistics, and pages made of runs never trained."""

import base64
import itertools
import re
import sys
from pathlib import Path

import numpy as np
import pytest
import runs

from fgspec.results.collect import collect
from fgspec.results.pages import Section, Table, as_html, as_markdown
from fgspec.results.statistics import FALSE, paired, summary, verdict

SPEC = """\
fgspec: 1
name: {name}
rule: {rule}
architecture: {{type: local_mixer, blocks: 2, patches: 2, channels: 16, groups: 4}}
training: {{epochs: 2}}
expect: {{metric: test/error, value: 0.2, tolerance: 0.05, source: "a paper, table 1"}}
"""
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
                {"step": 5, "train/loss": 2.0, "test/error": 0.9, "fg/cosine/block0": 0.5},
                {"step": 10, "train/loss": 1.0, "test/error": error, "fg/cosine/block0": 0.25},
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
    assert out.startswith("No winner is named: bp has the lowest test/error, 0.1100, but with 3")
    page = Path("r/report.md").read_text()
    assert "| bp | 3 | 0.1100 | 0.0100 |  |  |  |" in page
    assert "| lg-bp | 3 | 0.2100 | 0.0173 | +0.1000 | 3 | +0.0752 to +0.1248 |" in page
    assert "| bp | 0.2000 | 0.0500 | 0.1100 | -0.0900 | NO | a paper, table 1 |" in page
    assert "| lg-bp | 0.2000 | 0.0500 | 0.2100 | +0.0100 | yes | a paper, table 1 |" in page
    assert "| fg/cosine/block0 | 0.25 | 0.25 |" in page
    assert "| lg-bp | losses.isolate | none | block |" in page
    assert re.search(r"\| lg-bp \| 9 \| failed \|  \| \w{8} \| .*lg-bp/", page)
    names = re.findall(r"!\[.*\]\((.*)\)", page)
    assert names == ["curves.png", "gradients.png", "cost.png"]
    for name in names:
        assert Path(f"r/{name}").read_bytes().startswith(b"\x89PNG")


def test_the_page_is_one_file_without_scripts(made, fgspec):
    pytest.importorskip("matplotlib")
    assert fgspec("report", *made, "--out", "r")[0] == 0
    page = Path("r/report.html").read_text()
    assert "<script" not in page
    assert re.findall(r'(?:src|href)="(?!data:)', page) == []
    pictures = re.findall(r'src="data:image/png;base64,([^"]+)"', page)
    assert len(pictures) == 3
    assert all(base64.b64decode(picture).startswith(b"\x89PNG") for picture in pictures)


def test_without_matplotlib_the_tables_are_there(made, fgspec, monkeypatch):
    monkeypatch.setitem(sys.modules, "matplotlib.figure", None)
    code, out, _ = fgspec("report", *made, "--out", "r")
    assert code == 0
    assert "report: figures needs matplotlib, which is not installed" in out
    assert "<img" not in Path("r/report.html").read_text()


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
    shifted = {seed: value + 0.5 for seed, value in base.items() if seed}
    found = paired(shifted, base)
    assert (found.count, found.mean) == (8, pytest.approx(0.5))
    assert found.interval == (pytest.approx(0.5), pytest.approx(0.5))  # what they share cancels
    assert paired(base, shifted).mean == pytest.approx(-0.5)


@pytest.mark.parametrize("pairs", [2, 3, 10])
def test_intervals_hold_the_mean_as_often_as_they_say(pairs):
    rng, held = np.random.default_rng(1), 0
    for _ in range(1000):
        drawn = dict(enumerate(rng.normal(1.0, 1.0, pairs).tolist()))
        low, high = paired(drawn, dict.fromkeys(drawn, 0.0)).interval
        held += low <= 1.0 <= high
    assert 0.93 < held / 1000 < 0.97


def test_a_summary_of_one_has_no_deviation():
    assert summary({}) is None
    assert summary({3: 0.5}).deviation is None
    assert summary({0: 1.0, 1: 3.0}).deviation == pytest.approx(2**0.5)


def of_seeds(*values):
    return dict(enumerate(values))


A, B = of_seeds(0.10, 0.11, 0.12, 0.10, 0.12), of_seeds(0.2, 0.22, 0.2, 0.21, 0.19)
C = of_seeds(0.09, 0.13, 0.13, 0.11, 0.12)
FEW = "No winner is named: a has the lowest test/error, 0.1000, but "
ALIKE = "no difference, however large, is told from chance: of two equal arms, one has the better "
VERDICTS = {
    f"{FEW}of 1 seed nothing follows; run at least 4 seeds of each arm.": (
        "test/error",
        {"a": {0: 0.1}, "b": {0: 0.2}},
    ),
    f"{FEW}with 2 seeds {ALIKE}result with every seed in 33% of cases. Run at least 4": (
        "test/error",
        {"a": of_seeds(0.1, 0.1), "b": of_seeds(0.9, 0.9)},
    ),
    f"{FEW}with 3 seeds {ALIKE}result with every seed in 10% of cases. Run at least 5 seeds of "
    "each of these 4 arms": (
        "test/error",
        {"a": of_seeds(0.1, 0.1, 0.1)} | {arm: of_seeds(0.9, 0.9, 0.9) for arm in "bcd"},
    ),
    "a has the lowest test/error, 0.1100, and chance does not explain the difference to any other "
    "arm (permutation test, largest p = 0.004; p must be at most 0.05 / 2 arms = 0.025). Among "
    "equal arms, a winner is named in at most 5% of reports.": ("test/error", {"b": B, "a": A}),
    "a has the lowest local_loss/block1": ("local_loss/block1", {"a": A, "b": B}),
    "b has the highest test/accuracy": ("test/accuracy", {"b": B, "a": A}),
    "No winner is named: a has the lowest test/error, 0.1100, but chance explains the difference "
    "to c (p = 0.3": ("test/error", {"a": A, "b": B, "c": C}),
    "No winner is named: whether less of optim/grad_norm is better is not known.": (
        "optim/grad_norm",
        {"a": A, "b": B},
    ),
    "No winner is named: there are not two arms": ("test/error", {"a": A, "b": {}}),
    "No winner is named: test/error of b is not a finite number.": (
        "test/error",
        {"a": A, "b": B | {3: float("nan")}},
    ),
}


@pytest.mark.parametrize("text", VERDICTS)
def test_a_winner_is_named_only_where_seeds_tell_it(text):
    metric, arms = VERDICTS[text]
    assert verdict(metric, list(arms.items())).startswith(text)


DRAWS = {
    "normal": lambda rng, size: rng.normal(size=size),
    "of 360 test images": lambda rng, size: rng.binomial(360, 0.03, size) / 360,  # with many ties
    "heavy tails": lambda rng, size: rng.standard_cauchy(size),
}


@pytest.mark.parametrize("seeds", [2, 3, 5])
@pytest.mark.parametrize("draw", DRAWS)
def test_among_equal_arms_a_winner_is_named_as_rarely_as_is_said(draw, seeds):
    rng, named, reports = np.random.default_rng(seeds), 0, 200
    for index in range(reports):
        values = DRAWS[draw](rng, (2 + index % 2, seeds))
        arms = [(f"arm{i}", of_seeds(*map(float, own))) for i, own in enumerate(values)]
        named += not verdict("test/error", arms).startswith("No winner")
    assert named / reports <= FALSE
    assert seeds < 4 or named  # the rate is not kept by naming nobody


def test_arms_of_unequal_counts_are_judged_by_all_arrangements():
    few, many = (0.1, 0.2), (0.3, 0.35, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9)
    text = verdict("test/error", [("few", of_seeds(*few)), ("many", of_seeds(*many))])
    pool = few + many
    gap = sum(few) / 2 - sum(many) / 8
    chosen = list(itertools.combinations(range(10), 2))
    as_far = sum(
        sum(pool[i] for i in own) / 2 - sum(pool[i] for i in range(10) if i not in own) / 8
        <= gap + 1e-12
        for own in chosen
    )
    assert f"largest p = {as_far / len(chosen):.2g}" in text


def test_text_is_escaped():
    sections = [Section("a & b", ("<i>", Table(("x|y", "<b>"), (("1|2", "&"),))))]
    page = as_html("<t>", sections)
    assert "<i>" not in page
    assert "&lt;b&gt;" in page
    assert "| 1\\|2 | & |" in as_markdown("t", sections)
