"""What the benchmarks compare can be compiled, and their measures are right."""

import importlib
import json
from pathlib import Path

import jax
import jax.numpy as jnp
import networks
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


@pytest.fixture
def benchmark(monkeypatch):
    """(name) -> the module of a benchmark."""
    monkeypatch.syspath_prepend(str(BENCHMARKS))
    return importlib.import_module


def test_every_update_of_the_accelerator_table_can_be_planned(benchmark):
    accelerator = benchmark("accelerator")
    for setting in accelerator.NETWORKS.values():
        plans = [
            accelerator.program_of(setting, label, precision).plan
            for label in accelerator.RULES
            for precision in accelerator.PRECISIONS
        ]
        assert len(set(plans)) == len(plans)


def test_rates_of_the_accelerator_table_are_those_of_its_times(benchmark):
    accelerator = benchmark("accelerator")
    half = {"median": 0.5, "lower_quartile": 0.4, "upper_quartile": 0.6}
    row = {
        "name": "BP",
        "step_time_s": half,
        "ratio": half,
        "flops": 10**12,
        "bytes": 10**9,
        "flops_per_s": 2e12,
        "bytes_per_s": 2e9,
        "temporary_bytes": 2**20,
        "compile_s": 1.0,
    }
    shown = accelerator.table([row], "tf32", {"tf32": 4e12, "bytes": 8e9}).splitlines()[-1]
    expected = ["BP", "500", "0.50", "0.40-0.60", "2", "50%", "2", "25%", "4.00", "1", "1.0"]
    assert [cell.strip() for cell in shown.strip("|").split("|")] == expected


@pytest.mark.parametrize("rule", ["bp", "lg-fg-a"])
def test_what_is_written_by_hand_has_the_same_gradient(benchmark, rule):
    """Independently written: along the same perturbations, to rounding."""
    by_hand, peers = benchmark("by_hand"), benchmark("peers")
    norm = "{type: local_layer_norm, placement: [before_linear, after_linear]}"
    architecture = "{type: local_mixer, blocks: 2, patches: 2, channels: 8, groups: 2, %s}"
    made = networks.program(
        rule, architecture=architecture % f"normalization: {norm}", batch=4, more=""
    )
    state, data = networks.state_of(made), made.plan.data
    image = np.random.default_rng(0).integers(0, 256, (4, *data.image_shape), np.uint8)
    batch = {"image": jnp.asarray(image), "label": jnp.arange(4, dtype=jnp.int32)}
    noise = {
        name: jax.random.normal(jax.random.key(len(name)), like.shape)
        for name, like in made.perturbations().items()
    }
    found, metrics = made.gradient(state, batch, noise or None)
    setting = by_hand.Setting(2, data.mean, data.std)
    # As users write JAX, not by the stricter rules of these tests.
    with jax.numpy_rank_promotion("allow"), jax.numpy_dtype_promotion("standard"):
        wanted, loss = by_hand.RULES[rule](
            setting, state.params, batch, lambda name, shape: noise[name][0]
        )
    assert peers.distance(found, wanted) < 1e-4
    np.testing.assert_allclose(metrics["train/loss"], loss, rtol=1e-5)
