"""Every spec in specs/ is valid and has its header; one of each kind runs when shrunken."""

import jax
import numpy as np
import pytest
from spec_files import ROOT, SPECS, SWEEPS

import fgspec
from compiler.compile import compile_plan
from compiler.cost.counts import counts
from compiler.named_arrays.paths import flatten
from compiler.plan.plan import make_plan
from fgspec.check.against_data import data_problems, refusals
from fgspec.comparing.contract import broken
from fgspec.data.describe import describe
from fgspec.loading.spec_file import load
from fgspec.spec.rules import RULES
from fgspec.sweeps.expand import load_sweep

SHRUNKEN = {
    "linear": ["data.batch_size=8"],
    "conv_net": ["data.batch_size=8"],
    "local_mixer": ["architecture.channels=32", "data.batch_size=8"],
    "resnet18": ["architecture.blocks=2", "architecture.width=0.05", "data.batch_size=8"],
    # 10 units: the last 7 are a block of their own in the specs of AugLocal.
    "cifar_resnet": [
        *["architecture.depth=20", "architecture.width=0.1", "data.batch_size=8"],
    ],
    "vgg": ["architecture.width=0.05", "data.batch_size=8"],
    "mlp": ["architecture.hidden=[16, 8]", "data.batch_size=8"],
    "chain": ["data.batch_size=8"],
    "vit": [
        "architecture.blocks=2",
        "architecture.patches=2",
        "architecture.channels=12",
        "architecture.hidden=6",
        "data.batch_size=8",
        # A rate that begins at zero moves no scale of one within three steps.
        "optimizer.schedule={type: constant}",
    ],
}


def _distinct():
    """The first spec of every kind of architecture with its own losses, gradient and freeze.

    Of the contrastive specs, whose rules are tested by themselves, specs/contrastive.yaml steps.
    Of each network under GrAPE the spec with exact updates steps: it computes all that others do.
    The supervised ImageNet cells have the rules of the other columns and take 28 TFLOPs a step; one
    of them trains on files in tests/data/test_image_folder.py.
    """
    found = {}
    for path in SPECS:
        done = "grape" in path.parts and path.stem != "grape_exact"
        if not done and "table4" not in path.parts and "imagenet_l_32_64" not in path.parts:
            experiment = load(path).experiment
            kind = experiment.architecture.type
            decides = (kind, experiment.losses, experiment.gradient, experiment.freeze)
            found.setdefault(decides, path)
    return list(found.values())


def _ids(path):
    return str(path.relative_to(ROOT / "specs"))


def test_there_are_specs_of_every_rule():
    rules = {path.stem for path in SPECS if path.parent == ROOT / "specs" / "quickstart"}
    assert rules == {rule.replace("-", "_") for rule in RULES.names()}
    rules -= {"fdfa", "drtp", "grape"}  # which are not of the paper
    for column in ("mnist_s_1_1", "mnist_m_1_16", "cifar10_m_8_16", "imagenet_l_32_64"):
        folder = ROOT / "specs" / "ren2022" / "table3" / column
        assert {p.stem for p in SPECS if p.parent == folder} == rules
    for column in ("cifar10_m_8_16", "cifar10_l_8_64", "imagenet_l_32_64"):
        folder = ROOT / "specs" / "ren2022" / "table4" / column
        assert {p.stem for p in SPECS if p.parent == folder} == rules


@pytest.mark.parametrize("path", SPECS, ids=_ids)
def test_is_valid_and_says_how_to_run_it(path):
    loaded = load(path)
    info = describe(loaded.experiment.data.source)
    assert broken(loaded) == refusals(loaded.experiment) == []
    assert data_problems(loaded.experiment, info) == []
    header = [line for line in path.read_text().splitlines() if line.startswith("#")]
    assert f"fgspec train {path.relative_to(ROOT)}" in " ".join(header)
    # A readout of the 64 pixels of digits has 650.
    least = 1000 if loaded.experiment.architecture.trains_blocks else 600
    assert counts(make_plan(loaded.experiment, info)).parameters > least


@pytest.mark.parametrize("path", SWEEPS, ids=_ids)
def test_every_arm_of_a_sweep_is_valid(path):
    sweep = load_sweep(path)
    assert sweep.dropped == ()
    for arm in sweep.arms:
        experiment = arm.loaded.experiment
        info = describe(experiment.data.source)
        assert refusals(experiment) == []
        assert data_problems(experiment, info) == []
        least = 1000 if experiment.architecture.trains_blocks else 600
        assert counts(make_plan(experiment, info)).parameters > least
    header = " ".join(line for line in path.read_text().splitlines() if line.startswith("#"))
    table = path.relative_to(ROOT / "specs").with_suffix("")
    known = (
        f"fgspec sweep {path.relative_to(ROOT)}",
        f"reproduce {table}",
        f"--columns {path.stem}",
    )
    assert any(command in header for command in known)


@pytest.mark.parametrize("number", [5, 6])
@pytest.mark.parametrize("column", ["supervised_m_8_16", "contrastive_m_8_16"])
def test_tables_5_and_6_expect_the_papers_numbers(number, column):
    """A few cells of each, copied from the paper by hand."""
    found = {
        arm.label: arm.loaded.experiment.expect
        for arm in load_sweep(ROOT / "specs/ren2022" / f"table{number}" / f"{column}.yaml").arms
    }
    assert len(found) == 12
    for label, value in PAPER[number, column].items():
        assert getattr(found[label], "value", None) == value
        assert value is None or f"table {number}" in found[label].source


@pytest.mark.parametrize(
    ("cell", "value"),
    [
        ("table3/imagenet_l_32_64/bp", 0.3682),
        ("table3/imagenet_l_32_64/l_fa", 0.872),
        ("table3/imagenet_l_32_64/fg_w", 0.9771),
        ("table3/imagenet_l_32_64/lg_fg_a", 0.5837),
        ("table4/imagenet_l_32_64/bp", 0.5566),
        ("table4/imagenet_l_32_64/dfa", 0.9351),
        ("table4/imagenet_l_32_64/lg_fg_w", 0.9136),
        ("table4/imagenet_l_32_64/lg_fg_a", 0.7324),
    ],
)
def test_imagenet_cells_expect_the_papers_numbers(cell, value):
    """A few of each table, copied from the paper by hand."""
    expect = load(ROOT / "specs" / "ren2022" / f"{cell}.yaml").experiment.expect
    rule = cell.split("/")[-1].upper().replace("_", "-")
    assert expect.value == value
    assert expect.source == f"Ren et al. 2022, table {cell[5]}, ImageNet L/32/64 {rule}, test error"


PAPER = {
    (5, "supervised_m_8_16"): {"layer_norm-lg_fg_a": 0.2903, "batch_norm-lg_fg_a_ng": 0.3348},
    (5, "contrastive_m_8_16"): {"batch_norm-bp": 0.2756, "local_layer_norm-lg_bp": 0.2842},
    (6, "supervised_m_8_16"): {"after_linear-lg_bp": 0.2983, "before_linear-lg_fg_a": 0.3388},
    (6, "contrastive_m_8_16"): {"begin_block-lg_fg_a": 0.8993, "before_linear-lg_bp": None},
}


@pytest.mark.parametrize("path", _distinct(), ids=_ids)
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
    still = {path for path in after if np.array_equal(after[path], before[path])}
    assert still == program.plan.frozen


def test_quickstart_learns_the_digits(tmp_path):
    """An eighth of the quickstart's budget already passes 90 %."""
    loaded = load(ROOT / "specs" / "quickstart.yaml", ["training.epochs=15"])
    summary = fgspec.train(loaded, run_dir=tmp_path)
    assert summary["metrics"]["test/error"] < 0.1
