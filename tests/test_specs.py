"""Every spec in specs/ is valid, has its header, and runs when shrunken."""

from pathlib import Path

import jax
import numpy as np
import pytest

import fgspec
from compiler.analyze.cost import cost
from compiler.plan import make_plan
from compiler.support import data_problems, refusals
from compiler.trees import flatten
from compiler.update import compile_plan
from fgspec.contract import broken
from fgspec.data.describe import describe
from fgspec.source import load
from fgspec.spec.presets import RULES

ROOT = Path(__file__).parents[1]
SPECS = sorted(p for p in (ROOT / "specs").rglob("*.yaml") if not p.name.startswith("_"))
SHRUNKEN = {
    "local_mixer": ["architecture.channels=32", "data.batch_size=8"],
    "resnet18": ["architecture.blocks=2", "architecture.width=0.05", "data.batch_size=8"],
    "mlp": ["architecture.hidden=[16, 8]", "data.batch_size=8"],
}

# Of the contrastive specs, whose rules are tested by themselves, specs/contrastive.yaml steps.
STEPPED = [path for path in SPECS if "table4" not in path.parts]


def _ids(path):
    return str(path.relative_to(ROOT / "specs"))


def test_there_are_specs_of_every_rule():
    rules = {rule.replace("-", "_") for rule in RULES if rule != "fdfa"}  # of the paper
    for column in ("mnist_s_1_1", "mnist_m_1_16", "cifar10_m_8_16"):
        folder = ROOT / "specs" / "ren2022" / "table3" / column
        assert {p.stem for p in SPECS if p.parent == folder} == rules
    for column in ("cifar10_m_8_16", "cifar10_l_8_64"):
        folder = ROOT / "specs" / "ren2022" / "table4" / column
        assert {p.stem for p in SPECS if p.parent == folder} == rules
    assert {p.stem for p in SPECS if p.parent == ROOT / "specs" / "quickstart"} == rules | {"fdfa"}


@pytest.mark.parametrize("path", SPECS, ids=_ids)
def test_is_valid_and_says_how_to_run_it(path):
    loaded = load(path)
    info = describe(loaded.experiment.data.source)
    assert broken(loaded) == refusals(loaded.experiment) == []
    assert data_problems(loaded.experiment, info) == []
    header = [line for line in path.read_text().splitlines() if line.startswith("#")]
    assert f"fgspec train {path.relative_to(ROOT)}" in " ".join(header)
    assert cost(make_plan(loaded.experiment, info)).parameters > 1000


@pytest.mark.parametrize("path", STEPPED, ids=_ids)
def test_takes_a_step_when_shrunken(path):
    kind = load(path).experiment.architecture.type
    loaded = load(path, SHRUNKEN[kind])
    info = describe(loaded.experiment.data.source)
    program = compile_plan(make_plan(loaded.experiment, info))
    rng = np.random.default_rng(0)
    batch = {
        "image": rng.integers(0, 255, (8, *info.image_shape), np.uint8),
        "label": rng.integers(0, info.classes, 8).astype(np.int32),
    }
    state = program.init(0)
    before = jax.device_get(flatten(state.params))
    # The classifier begins at zero and shields the blocks of global rules from the first step;
    # feedback that is learned from what the classifier makes of blocks begins at the second.
    for _ in range(3):
        state, metrics = program.update(state, batch)
    after = jax.device_get(flatten(state.params))
    assert np.isfinite(float(metrics["train/loss"]))
    assert [path for path in after if np.array_equal(after[path], before[path])] == []


def test_quickstart_learns_the_digits(tmp_path):
    """An eighth of the quickstart's budget already passes 90 %."""
    loaded = load(ROOT / "specs" / "quickstart.yaml", ["training.epochs=15"])
    summary = fgspec.train(loaded, run_dir=tmp_path)
    assert summary["metrics"]["eval/error"] < 0.1
