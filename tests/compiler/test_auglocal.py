"""AugLocal's auxiliary networks: which units they copy, and how copies are made to fit."""

import pytest

from compiler.network.auglocal import spread, units
from compiler.plan.plan import make_plan
from fgspec.errors import UserError
from fgspec.loading.spec_file import loads
from fgspec.spec.auglocal import AugLocalHead
from fgspec.spec.shapes import Extent
from fgspec.spec.sources import CIFAR10

SPEC = """
fgspec: 1
name: auxiliary
rule: lg-bp
data: {source: {type: cifar10}}
architecture: {%s}
losses: {local: {aggregation: pooled, last: final, head: {type: auglocal, %s}}}
training: {epochs: 1}
"""


def plan_of(architecture, head):
    return make_plan(loads(SPEC % (architecture, head)).experiment, CIFAR10)


def head_of(plan, block):
    (site,) = [site for site in plan.headed_sites() if site.name == block]
    return plan.readout(site).layers


def test_units_are_taken_at_equal_distances_and_the_last_always():
    """ResNet-110, 55 units, at depth 6; by hand, as the authors' code rounds."""
    assert spread(0, 55, 6) == [9, 18, 27, 36, 45, 54]
    assert spread(47, 55, 4) == [49, 50, 52, 54]  # 48.75, 50.5 (to even), 52.25, 54
    assert spread(50, 55, 4) == spread(50, 55, 9) == [51, 52, 53, 54]
    assert spread(54, 55, 3) == []


def test_the_depth_falls_linearly():
    head = AugLocalHead(depth=6)
    falls = [head.depth_at(index, 49) for index in range(49)]
    assert falls == sorted(falls, reverse=True)
    assert (falls[0], falls[47], falls[48]) == (6, 4, 4)  # 6 - 5 / 2 = 3.5, to even
    steepest = AugLocalHead(depth=5, pyramid=1.0)
    assert [steepest.depth_at(index, 6) for index in range(6)] == [5, 4, 3, 2, 1, 1]
    assert [AugLocalHead(depth=5, pyramid=0.0).depth_at(i, 6) for i in range(5)] == [5] * 5
    assert AugLocalHead(depth=5).depth_at(0, 2) == 5


def test_copies_of_a_resnet_halve_the_grid_as_often_as_the_units_between():
    plan = plan_of("type: cifar_resnet, depth: 110, last_block: 7", "depth: 6")
    assert len(plan.headed_sites()) == 48
    layers = head_of(plan, "block0")
    convolutions = [layer for layer in layers if "conv" in layer.name and "short" not in layer.name]
    assert [layer.name.split("_")[0] for layer in convolutions[::2]] == [
        *["block9", "block18", "block27", "block36", "block45", "block48"]
    ]
    ends = [layer.end for layer in convolutions[1::2]]
    stages = [Extent(32, 32, 1, 16), Extent(16, 16, 1, 32), Extent(8, 8, 1, 64)]
    assert ends == [end for end in stages for _ in range(2)]
    shortcuts = [layer.name for layer in layers if layer.name.endswith("shortcut")]
    assert shortcuts == ["block27_conv2_shortcut", "block45_conv2_shortcut"]
    assert [layer.name for layer in layers[-2:]] == ["pool", "linear"]


def test_a_copy_halves_the_grid_once_and_leaves_the_rest_to_the_next():
    plan = plan_of("type: cifar_resnet, depth: 20", "depth: 1")
    *_, last, pool, norm, linear = head_of(plan, "block0")
    assert last.end == Extent(16, 16, 1, 64)  # as in the authors' code; the unit's own grid is 8x8
    assert (pool.name, norm.name, linear.name) == ("pool", "norm", "linear")
    plan = plan_of("type: cifar_resnet, depth: 20", "depth: 2, pyramid: 0")
    ends = [layer.end for layer in head_of(plan, "block3") if layer.name.endswith("conv2")]
    assert ends == [Extent(16, 16, 1, 32), Extent(8, 8, 1, 64)]


def test_units_of_a_vgg_are_its_convolutions_with_the_pooling_before():
    plan = plan_of("type: vgg, depth: 8, width: 0.1", "depth: 2")
    found = [unit for block in plan.network.blocks for unit in units(block)]
    assert [unit.layers for unit in found] == [
        tuple(unit.layers) for unit in found if unit.layers[-1].params()
    ]
    assert len(found) == len(plan.network.blocks)
    layers = {layer.name: layer for layer in head_of(plan, "block0")}
    # From 32x32 positions: block3 pools nothing itself and reads 16x16; block6 reads 4x4, pooled.
    assert layers["block3_conv"].end[:2] == (16, 16)
    assert layers["block6_pool_pool"].end[:2] == (4, 4)
    assert layers["block6_hidden"].start[:2] == (2, 2)


def test_units_of_one_block_are_copied_one_by_one():
    """The same network in 4 blocks: heads copy basic blocks, not whole blocks."""
    plan = plan_of("type: cifar_resnet, depth: 20, blocks: 4", "depth: 2")
    names = [layer.name for layer in head_of(plan, "block0")]
    # 10 units, block0 ends in unit 2: units 2 + 7 / 2 = 5.5 (to even) and 9.
    assert [name for name in names if "conv" in name and "shortcut" not in name] == [
        *["block2_conv1", "block2_conv2", "block3_conv3", "block3_conv4"]
    ]


def test_what_cannot_be_copied_is_refused_with_a_remedy():
    layers = (
        "type: chain, blocks: [[{type: dense, channels: 4, groups: 2}], "
        "[{type: dense, channels: 3, groups: 3}], [{type: grouped, channels: 3}]]"
    )
    with pytest.raises(UserError, match=r"cannot copy a unit of block2 .* use head: \{type: cnn\}"):
        plan_of(layers, "depth: 1")
