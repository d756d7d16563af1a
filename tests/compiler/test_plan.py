"""Plans: parameter counts of the paper, costs against XLA, values that hash."""

import networks
import numpy as np
import pytest

from compiler.cost.compiled import compile_update
from compiler.cost.counts import counts
from compiler.cost.update_flops import update_flops
from compiler.plan.plan import make_plan
from fgspec.data.describe import CIFAR10, MNIST
from fgspec.loading.spec_file import loads
from fgspec.show.plan_tables import layer_lines

SPEC = """
fgspec: 1
name: table2
rule: {rule}
data: {{source: {{type: {data}}}, batch_size: {batch}}}
architecture: {{type: local_mixer, {shape}}}
training: {{epochs: 1}}
"""
TABLE_2 = [
    ("S/1/1", "blocks: 1, patches: 1, channels: 256, groups: 1", MNIST, 271_892),
    ("M/1/16", "blocks: 1, patches: 1, channels: 512, groups: 16", MNIST, 429_076),
    ("M/8/16", "blocks: 4, patches: 8, channels: 512, groups: 16", CIFAR10, 918_770),
    ("L/8/64", "blocks: 4, patches: 8, channels: 2048, groups: 64", CIFAR10, 13_074_674),
]


def _plan(shape, data, rule="lg-fg-a", batch=128):
    text = SPEC.format(rule=rule, data=data.name, shape=shape, batch=batch)
    return make_plan(loads(text).experiment, data)


@pytest.mark.parametrize(("name", "shape", "data", "count"), TABLE_2)
def test_parameter_counts_of_table_2(name, shape, data, count):
    assert counts(_plan(shape, data)).parameters == count


def test_no_heads_without_local_losses():
    counted = counts(_plan(TABLE_2[0][1], MNIST, "bp")).parameters
    assert counted == 271_892 - (256 * 10 + 10)


def test_losses_and_perturbed_elements_of_m_8_16():
    counted = counts(_plan(TABLE_2[2][1], CIFAR10))
    assert counted.losses == 128 * 64 * 16 * 4
    assert counted.perturbed == 128 * 64 * 512 * (2 + 3 * 3)


def test_equal_specs_have_equal_plans():
    one, two = (_plan(TABLE_2[0][1], MNIST) for _ in range(2))
    assert one == two
    assert hash(one) == hash(two)
    assert one != _plan(TABLE_2[0][1], MNIST, "bp")


MIXER = "{type: local_mixer, blocks: 3, patches: 2, channels: 128, groups: 2}"


@pytest.mark.parametrize("rule", ["bp", "l-bp", "lg-bp", "fg-a", "lg-fg-a", "fg-w", "lg-fg-w"])
def test_flops_against_xla(rule):
    """Counted in the trace, linear maps and all else; XLA removes and merges a little more."""
    norm = "normalization: {type: none}"
    made = networks.program(rule, architecture=MIXER[:-1] + f", {norm}}}", batch=64)
    ratio = compile_update(made).flops / update_flops(made.plan)
    assert 0.9 < ratio < 1.1


def test_donation_of_the_state():
    made = networks.program("lg-fg-a")
    memory = compile_update(made).call.memory_analysis()
    assert memory.alias_size_in_bytes >= 4 * 2 * counts(made.plan).parameters


def test_the_plan_prints_every_layer_with_its_route():
    lines = layer_lines(networks.program("lg-fg-a").plan)
    assert len(lines) == 1 + 5
    token = next(line for line in lines if line.startswith("block1/token"))
    assert "output: batch,patch" in token
    assert "batch,patch,group" not in token


def test_gradient_takes_the_perturbations_it_names():
    made = networks.program("lg-fg-a")
    state, batch = networks.state_of(made), networks.batch_of()
    given = {
        name: np.zeros((1, *element.shape), np.float32)
        for part in networks.elements(made)
        for name, element in part.items()
    }
    grads, _ = made.gradient(state, batch, given)
    assert networks.largest(grads["blocks"]) == 0.0
    assert networks.largest(grads["heads"]) > 0.0
