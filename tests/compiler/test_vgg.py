"""VGG: parameter counts of the published networks, and the places of poolings."""

from dataclasses import replace
from math import prod

import pytest

from compiler.named_arrays.paths import flatten
from compiler.plan.plan import make_plan
from fgspec.loading.spec_file import loads
from fgspec.spec.sources import CIFAR10

SPEC = """
fgspec: 1
name: counted
rule: bp
data: {source: {type: cifar10}}
architecture: {type: vgg, %s}
training: {epochs: 1}
"""
MNIST = replace(CIFAR10, image_shape=(28, 28, 1), mean=(0.1,), std=(0.3,))


def plan_of(fields, info=CIFAR10):
    return make_plan(loads(SPEC % fields).experiment, info)


def count(fields, info=CIFAR10):
    specs = flatten(plan_of(fields, info).parameters())
    return sum(prod(spec.shape) for spec in specs.values())


@pytest.mark.parametrize(
    ("fields", "info", "millions"),
    [
        ("depth: 8", MNIST, 7.3),
        ("depth: 8, width: 2", MNIST, 28.2),
        ("depth: 8", CIFAR10, 8.9),
        ("depth: 8", replace(CIFAR10, classes=100), 9.0),
    ],
)
def test_parameters_of_vgg8b_are_those_that_its_authors_count(fields, info, millions):
    """The tables in the README of github.com/anokland/local-loss."""
    assert round(count(fields, info) / 1e6, 1) == millions


def test_convolutions_are_those_of_configurations_a_and_d():
    for depth, convolutions, grids in ((11, 8, (32, 16, 8, 4, 2)), (16, 13, (32, 16, 8, 4, 2))):
        network = plan_of(f"depth: {depth}").network
        assert [len(b.layers) for b in network.blocks].count(2) == 4  # a pooling and a convolution
        assert len(network.blocks) == convolutions
        assert tuple(dict.fromkeys(block.end.rows for block in network.blocks)) == grids
        pool, linear = network.classifier.layers
        assert (pool.name, linear.start) == ("pool", (1, 1, 1, 512))


def test_fully_connected_layers_are_blocks_and_take_the_last_pooling():
    network = plan_of("depth: 16, hidden: [20, 30], width: 0.1").network
    assert [layer.name for layer in network.blocks[13].layers] == ["pool", "hidden"]
    assert [layer.name for layer in network.blocks[14].layers] == ["hidden"]
    assert [layer.name for layer in network.classifier.layers] == ["linear"]


def test_small_images_are_pooled_as_long_as_there_is_something_to_pool():
    blocks = plan_of("depth: 16, width: 0.1", MNIST).network.blocks
    assert [block.end.rows for block in blocks][::3] == [28, 14, 7, 3, 1]
    assert all(layer.name != "pool" for layer in blocks[-1].layers)
