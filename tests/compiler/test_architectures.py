"""The networks of the papers: parameter counts to the unit, shapes, residuals."""

from dataclasses import replace
from math import prod

import numpy as np
import pytest

from compiler.cost.by_part import by_part
from compiler.cost.counts import counts
from compiler.cost.update_flops import flops_by_scope
from compiler.named_arrays.paths import flatten
from compiler.plan.plan import make_plan
from fgspec.loading.spec_file import loads
from fgspec.spec.sources import CIFAR10

SPEC = """
fgspec: 1
name: counted
rule: {rule}
data: {{source: {{type: cifar10}}}}
architecture: {architecture}
losses: {losses}
training: {{epochs: 1}}
"""


def plan_of(architecture, head=None, rule="lg-bp"):
    losses = f"{{local: {{aggregation: pooled, head: {head}}}}}" if head else "{}"
    text = SPEC.format(rule=rule, architecture=architecture, losses=losses)
    return make_plan(loads(text).experiment, CIFAR10)


def parts_of(plan):
    """Parameters of blocks, of the classifier, and of the heads of all blocks but the last."""
    last = f"heads/{plan.network.blocks[-1].name}/"
    found = {"blocks": 0, "classifier": 0, "heads": 0}
    for path, spec in flatten(plan.parameters()).items():
        if not path.startswith(last):
            found[path.split("/")[0]] += prod(spec.shape)
    return found


@pytest.mark.parametrize(
    ("blocks", "body", "head", "auxiliary"),
    [
        (8, 11_168_832, "{type: cnn}", 249_414),
        (8, 11_168_832, "{type: mlp}", 20_561_990),
        (8, 11_168_832, "{type: linear}", 59_206),
        (16, 10_995_008, "{type: cnn, channels: 16}", 168_598),
        (16, 10_995_008, "{type: mlp, width: 512}", 14_803_094),
        (16, 10_995_008, "{type: linear}", 139_926),
    ],
)
def test_parameter_counts_of_resnet18(blocks, body, head, auxiliary):
    """Semantics B2 (Fournier et al. 2023)."""
    plan = plan_of(f"{{type: resnet18, blocks: {blocks}}}", head)
    assert parts_of(plan) == {"blocks": body, "classifier": 6_154, "heads": auxiliary}


def test_the_auxiliary_net_of_two_blocks_is_a_copy_of_the_second_with_a_head():
    plan = plan_of("{type: resnet18, blocks: 2}", "{type: next_blocks}")
    parameters = plan.parameters()
    second = sum(prod(s.shape) for s in flatten(parameters["blocks"]["block1"]).values())
    found = parts_of(plan)
    assert found["heads"] == second + found["classifier"]
    assert found["classifier"] == 2 * 128 + 128 * 10 + 10
    assert found["blocks"] == 675_392


def test_auxiliary_nets_of_resnet18_are_under_a_tenth_of_the_work():
    flops = flops_by_scope(plan_of("{type: resnet18}", "{type: cnn}"))
    parts = by_part(flops)
    heads = parts["losses"] + parts["readouts"]  # the classifier's are hardly any
    assert 0.005 < heads / sum(flops.values()) < 0.1


def test_grids_of_resnet18():
    cifar = plan_of("{type: resnet18}", rule="bp").network
    assert [block.end[:2] for block in cifar.blocks] == [
        *[(32, 32)] * 2,
        *[(16, 16)] * 2,
        *[(8, 8)] * 2,
        *[(4, 4)] * 2,
    ]
    imagenet = plan_of("{type: resnet18, stem: imagenet, width: 0.5}", rule="bp").network
    assert [block.end[:2] for block in imagenet.blocks][::2] == [(8, 8), (4, 4), (2, 2), (1, 1)]
    assert imagenet.blocks[-1].end.channels == 256


def test_sixteen_blocks_have_no_residuals():
    blocks = plan_of("{type: resnet18, blocks: 16}", rule="bp").network.blocks
    assert [len(block.layers) for block in blocks] == [2] + [1] * 15
    assert not any(layer.adds for block in blocks for layer in block.layers)


def test_convolutions_before_a_learnt_shift_have_no_bias():
    for norm, bias in (("batch_norm", False), ("group_norm, parts: 8", False), ("none", True)):
        plan = plan_of(f"{{type: resnet18, normalization: {{type: {norm}}}}}", rule="bp")
        assert ("b" in plan.parameters()["blocks"]["block0"]["stem"]) == bias


def test_stages_of_a_local_mixer():
    stages = "[{blocks: 2, downsample: 2, channel_ratio: 2, group_ratio: 4}, {downsample: 1}]"
    sizes = "blocks: 2, patches: 8, channels: 16, groups: 2, hidden: 32"
    network = plan_of(f"{{type: local_mixer, {sizes}, stages: {stages}}}", rule="bp").network
    assert [block.end for block in network.blocks] == [
        *[(8, 8, 2, 8)] * 2,
        *[(4, 4, 8, 4)] * 3,
    ]
    residual = [bool(block.layers[-1].adds) for block in network.blocks]
    assert residual == [False, True, False, True, True]
    hidden = [
        layer.end.width for b in network.blocks for layer in b.layers if layer.name == "channel"
    ]
    assert hidden == [32, 32, 64, 64, 64]


def test_depthwise_mixing_shares_its_weights_between_tokens():
    sizes = "patches: 8, channels: 16, groups: 2, token_mixing: depthwise"
    parameters = plan_of(f"{{type: local_mixer, {sizes}}}", rule="bp").parameters()
    token = parameters["blocks"]["block1"]["token"]
    assert token["w"].shape == (3, 3, 2, 8)
    assert token["b"].shape == (2, 8)


def test_l_32_64_of_table_2():
    """17.3 million with 100 classes, 26.6 with 1000 (Ren et al. 2022, table 2)."""
    text = SPEC.format(
        rule="lg-bp",
        architecture="{type: local_mixer, blocks: 4, patches: 32, channels: 2048, groups: 64}",
        losses="{}",
    )
    spec = loads(text).experiment
    found = [
        counts(make_plan(spec, replace(CIFAR10, image_shape=(224, 224, 3), classes=k))).parameters
        for k in (100, 1000)
    ]
    assert np.round(np.array(found) / 1e6, 1).tolist() == [17.3, 26.6]
