"""The ResNets for CIFAR: published parameter counts, and how they are cut into blocks."""

from math import prod

import jax.numpy as jnp
import numpy as np
import pytest

from compiler.named_arrays.paths import flatten
from compiler.plan.plan import make_plan
from fgspec.loading.spec_file import loads
from fgspec.spec.kinds import working
from fgspec.spec.shapes import Extent
from fgspec.spec.shortcut_layer import ShortcutLayer
from fgspec.spec.sources import CIFAR10

SPEC = """
fgspec: 1
name: counted
rule: bp
data: {source: {type: cifar10}}
architecture: {type: cifar_resnet, %s}
training: {epochs: 1}
"""


def plan_of(fields):
    return make_plan(loads(SPEC % fields).experiment, CIFAR10)


def count(fields):
    return sum(prod(spec.shape) for spec in flatten(plan_of(fields).parameters()).values())


@pytest.mark.parametrize(
    ("depth", "millions"), [(20, 0.27), (32, 0.46), (44, 0.66), (56, 0.85), (110, 1.7)]
)
def test_parameters_are_those_of_table_6_of_the_paper(depth, millions):
    assert round(count(f"depth: {depth}") / 1e6, 1 if depth == 110 else 2) == millions


def test_parameters_of_resnet20_to_the_unit():
    """As others count them: github.com/SeHwanJoo/cifar10-ResNet-tensorflow, 269,722."""
    assert count("depth: 20") == 269_722
    # Two 1x1 convolutions with scale and shift.
    projections = 16 * 32 + 2 * 32 + 32 * 64 + 2 * 64
    assert count("depth: 20, shortcut: projection") == 269_722 + projections


@pytest.mark.parametrize(
    ("fields", "units"),
    [
        ("depth: 20", [1] * 10),
        ("depth: 20, blocks: 4", [3, 3, 2, 2]),
        ("depth: 20, blocks: 1", [10]),
        ("depth: 20, blocks: 3, last_block: 5", [3, 2, 5]),
        ("depth: 110, last_block: 7", [1] * 48 + [7]),
    ],
)
def test_units_are_cut_into_blocks(fields, units):
    blocks = plan_of(fields).network.blocks
    stem = [layer.name == "stem" for block in blocks for layer in block.layers]
    assert stem.count(True) == 1
    assert stem[0]
    firsts = [[x for x in b.layers if x.name.startswith("conv")] for b in blocks]
    found = [len(layers) // 2 for layers in firsts]
    assert [found[0] + 1, *found[1:]] == units


def test_grids_halve_and_channels_double():
    ends = [block.end for block in plan_of("depth: 20").network.blocks]
    assert (
        ends
        == [Extent(32, 32, 1, 16)] * 4 + [Extent(16, 16, 1, 32)] * 3 + [Extent(8, 8, 1, 64)] * 3
    )


def test_how_it_is_cut_changes_no_parameter_and_equal_blocks_are_equal():
    assert count("depth: 20, blocks: 4") == count("depth: 20")
    # Stage by stage, what follows the stage's first block is the same but for the names.
    plan = make_plan(
        loads(
            (SPEC % "depth: 32, normalization: {type: layer_norm}").replace(
                "rule: bp", "rule: lg-bp"
            )
            + "compile: {blocks: scanned}\n"
        ).experiment,
        CIFAR10,
    )
    assert [len(stack.units) for stack in plan.stacks] == [5, 4, 4]


def test_a_padding_shortcut_keeps_every_second_position():
    x = np.arange(2 * 15 * 2, dtype=np.float32).reshape(2, 15, 1, 2)  # 3 rows of 5
    layer = working(ShortcutLayer(channels=5, stride=2))
    out = np.asarray(layer.apply({}, jnp.asarray(x), Extent(3, 5, 1, 2)))
    kept = [0, 2, 4, 10, 12, 14]
    np.testing.assert_array_equal(out[:, :, 0, :2], x[:, kept, 0])
    np.testing.assert_array_equal(out[:, :, 0, 2:], 0)
