"""What the benchmarks compare can be compiled, and their measures are right."""

import json
from pathlib import Path

import numpy as np
import pytest

from compiler.plan.plan import make_plan
from fgspec.check.against_data import data_problems, refusals
from fgspec.data.describe import describe
from fgspec.loading.spec_file import load, loads

BENCHMARKS = Path(__file__).parents[1] / "benchmarks"


@pytest.fixture
def variance(monkeypatch):
    monkeypatch.syspath_prepend(str(BENCHMARKS))
    import variance

    return variance


@pytest.fixture
def performance(monkeypatch):
    monkeypatch.syspath_prepend(str(BENCHMARKS))
    import performance

    return performance


def test_every_row_of_every_suite_can_be_planned(performance):
    """Ratios are to the first row: all others differ from it and from each other."""
    for title, rows in performance.SUITES.items():
        plans = []
        for _, spec, words in rows:
            experiment = load(performance.SPECS / f"{spec}.yaml", words).experiment
            info = describe(experiment.data.source)
            assert [*refusals(experiment), *data_problems(experiment, info)] == [], (title, spec)
            plans.append(make_plan(experiment, info))
        assert len({label for label, _, _ in rows}) == len(rows) == len(set(plans)), title


def test_estimators_have_the_target_of_their_setting(variance):
    for setting in variance.SETTINGS.values():
        exact = loads(json.dumps(setting.exact)).experiment
        for spec in setting.estimators.values():
            experiment = loads(json.dumps(spec)).experiment
            assert refusals(experiment) == []
            assert make_plan(experiment, describe(experiment.data.source)).steps == 1
            assert experiment.gradient.target == exact.gradient.target
            assert experiment.architecture == exact.architecture


@pytest.mark.parametrize("scale", [1.0, 0.9])
def test_quality_of_draws_of_known_moments(variance, scale):
    """g = scale t + noise of deviation s in d numbers, 16 rounds of 40 draws."""
    rng, d, s, draws = np.random.default_rng(1), 50, 0.5, 40
    target = rng.standard_normal(d)
    size = target @ target
    drawn = scale * target + s * rng.standard_normal((16, draws, d))
    spreads = drawn.var(1, ddof=1).sum(1)
    cosine = float(np.mean(drawn @ target / np.linalg.norm(drawn, axis=2) / size**0.5))
    found = variance.quality(drawn.mean(1), spreads, cosine, target)
    noise = s**2 * d / size
    assert found.unbiased == (scale == 1)
    assert found.variance == pytest.approx(noise, rel=0.05)
    assert found.error == pytest.approx(noise + (1 - scale) ** 2, rel=0.05)
    assert abs(found.along - scale) < 4 * found.along_error
    assert found.progress == pytest.approx(scale**2 / (scale**2 + noise), rel=0.05)
    if scale != 1:
        assert abs(found.bias - 0.1) < 4 * found.bias_error < 0.04
