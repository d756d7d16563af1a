"""Baselines are fitted to what a rule costs, and stand beside it in the report."""

from pathlib import Path

import pytest

from compiler.compile import compile_plan
from compiler.cost.by_part import dissect
from fgspec import api
from fgspec.cli.sweep_ import _program_cost
from fgspec.spec.baselines import ProgramCost
from fgspec.sweeps.expand import fitted, load_sweep
from fgspec.sweeps.show import plan_lines

SPEC = """\
fgspec: 1
name: base
rule: lg-fg-a
data: {source: digits, batch_size: 256}
architecture: {type: mlp, hidden: [64, 64, 64, 64, 64, 64]}
training: {steps: 6, log_every: {steps: 2}}
"""
SWEEP = "fgspec: 1\nname: s\nbase: base.yaml\narms: {rule: {}}\n"


@pytest.fixture
def sweep(tmp_path, monkeypatch):
    """Writes a base and a sweep with baselines; returns what is read from them."""
    monkeypatch.chdir(tmp_path)
    Path("base.yaml").write_text(SPEC)

    def read(baselines, *overrides):
        Path("s.yaml").write_text(f"{SWEEP}baselines: [{baselines}]\n")
        return load_sweep("s.yaml", overrides)

    return read


def costs(rule, flops=50, memory=None):
    """What specs cost: the rule, and backprop with the memory of each way to rematerialize."""

    def cost(loaded):
        spec = loaded.experiment
        if spec.gradient.estimator.perturbs:
            return rule
        every = spec.compile.rematerialize
        steps = spec.training.steps or 0
        return ProgramCost(flops, steps, lambda: (memory or {}).get(every, 10**6))

    return cost


@pytest.mark.parametrize(("flops", "steps"), [(100, 12), (49, 5), (3, 1)])
def test_as_many_updates_as_fit_in_the_flops_of_the_rule(sweep, flops, steps):
    found = fitted(sweep("bp_equal_time"), costs(ProgramCost(flops, 6, lambda: 0)))
    training = found.arms[-1].loaded.experiment.training
    assert (training.steps, training.epochs) == (steps, None)
    assert found.arms[-1].says in "\n".join(
        plan_lines(found, {arm.label: (1, 1) for arm in found.arms})
    )


def test_what_a_fit_makes_equal_is_run_once(sweep):
    found = fitted(sweep("bp_equal_updates, bp_equal_time"), costs(ProgramCost(50, 6, lambda: 0)))
    assert [arm.label for arm in found.arms] == ["rule", "bp_equal_updates"]
    assert found.dropped == ("bp_equal_time is left out: it trains the same as bp_equal_updates",)


@pytest.mark.parametrize(
    ("memory", "chosen"),
    [
        ({"never": 900}, "never"),
        ({"never": 1500, 1: 1200, 2: 1000}, 2),
        ({"never": 1500, 1: 1400, 2: 1300, 4: 999}, 4),
    ],
)
def test_backprop_computes_again_until_it_fits_the_memory_of_the_rule(sweep, memory, chosen):
    found = fitted(sweep("bp_equal_memory"), costs(ProgramCost(9, 6, lambda: 1000), memory=memory))
    assert found.arms[-1].loaded.experiment.compile.rematerialize == chosen


def test_backprop_that_cannot_fit_is_left_out_with_the_least_that_it_takes(sweep):
    memory = {"never": 4096, 1: 2048, 2: 3072, 4: 3072}
    found = fitted(sweep("bp_equal_memory"), costs(ProgramCost(9, 6, lambda: 1024), memory=memory))
    assert [arm.label for arm in found.arms] == ["rule"]
    assert found.dropped == (
        "bp_equal_memory is left out: backprop takes at least 2.0 KiB of temporary arrays "
        "(rematerialize: 1), the rule 1.0 KiB",
    )


@pytest.mark.parametrize(("rule", "fits"), [("dfa", True), ("lg-fg-a", False)])
def test_what_is_compared_is_what_the_programs_take(sweep, rule, fits):
    """Direct feedback keeps more than backprop that computes again, isolated blocks keep less."""
    read = sweep("bp_equal_memory, bp_equal_time", f"rule={rule}")
    found = fitted(read, _program_cost)
    memory = {
        arm.label: sum(dissect(compile_plan(api.plan(arm.loaded))).memory.values())
        for arm in (*read.arms[1:2], *found.arms)  # plain backprop, unless it is fitted
    }
    if fits:
        spec = found.arms[1].loaded.experiment
        assert spec.compile.rematerialize == 1
        assert memory["bp_equal_memory"] <= memory["rule"]
    else:
        assert memory["bp_equal_memory"] > memory["rule"]
        assert found.dropped[0].startswith("bp_equal_memory is left out: backprop takes at least ")
    of_rule, own = (_program_cost(found.arms[at].loaded) for at in (0, -1))
    spent = of_rule.flops * of_rule.steps
    assert own.flops * own.steps <= spent < own.flops * (own.steps + 1)


def test_the_report_shows_the_rule_beside_its_baselines(sweep, fgspec):
    sweep("linear_probe, random_blocks, bp_equal_time")
    code, out, err = fgspec("sweep", "s.yaml", "--set", "architecture.hidden=[8]")
    assert code == 0, err
    assert out.count("done at step") == 4
    code, _, err = fgspec("report", "runs/s")
    assert code == 0, err
    told = Path("runs/s/report.md").read_text()
    assert "What the arms are" in told
    for text in ("a linear readout of the inputs", "frozen random blocks", "fit in the rule's"):
        assert text in told
