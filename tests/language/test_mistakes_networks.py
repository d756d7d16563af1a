"""Mistakes in networks and heads: what each line says."""

# ruff: noqa: E501  (each message stands whole on its line)

import pytest
from language.clumsy import mistake, names, told

from fgspec.spec.layers import LAYERS

MISTAKES = {
    "a convolutional head on averaged features": mistake(
        "rule: lg-bp\nlosses: {local: {head: {type: cnn}}}\n",
        "a.yaml:5:31: losses.local.head.type: a convolution reads the grid, which aggregation replicated averages away; use pooled (got cnn; losses.local.aggregation is replicated by default)",
    ),
    "later blocks as a head of averaged features": mistake(
        "rule: lg-bp\nlosses: {local: {head: {type: next_blocks}}}\n",
        "a.yaml:5:31: losses.local.head.type: later blocks read the grid, which aggregation replicated averages away; use pooled (got next_blocks; losses.local.aggregation is replicated by default)",
    ),
    "copies of a pooled head": mistake(
        "rule: lg-fg-a\nlosses: {local: {aggregation: pooled, replicate: [patch]}}\n",
        "a.yaml:5:50: losses.local.replicate: a pooled head reads all patches and groups together, so it has no copies along them; remove it (got [patch]; losses.local.aggregation is pooled at a.yaml:5:31)",
    ),
    "groups in a residual net": mistake(
        "rule: lg-fg-a\narchitecture: {type: resnet18}\nlosses: {local: {replicate: [patch, group]}}\n",
        "a.yaml:6:29: losses.local.replicate: resnet18 has no group axis; remove it (got [patch, group]; architecture.type is resnet18 at a.yaml:5:22)",
    ),
    "half a residual net": mistake(
        "architecture: {type: resnet18, blocks: 4}\n",
        "a.yaml:4:40: architecture.blocks: must be one of 2, 8, 16 (got 4)",
    ),
    "a stem of neither data set": mistake(
        "architecture: {type: resnet18, stem: mnist}\n",
        "a.yaml:4:38: architecture.stem: must be one of cifar, imagenet (got mnist)",
    ),
    "a depth that no small residual net has": mistake(
        "architecture: {type: cifar_resnet, depth: 34}\n",
        "a.yaml:4:43: architecture.depth: must be 6 n + 2; nearest: 32, 38 (got 34)",
    ),
    "more blocks than units": mistake(
        "architecture: {type: cifar_resnet, blocks: 11}\n",
        "a.yaml:4:44: architecture.blocks: must be at most 10: the stem and the basic blocks are 10 units (got 11; architecture.depth is 20 by default)",
    ),
    "more blocks than units before the last block": mistake(
        "architecture: {type: cifar_resnet, depth: 8, last_block: 2, blocks: 4}\n",
        "a.yaml:4:69: architecture.blocks: must be at most 3: the stem and the basic blocks are 4 units (got 4; architecture.depth is 8 at a.yaml:4:43)",
    ),
    "a last block of everything": mistake(
        "architecture: {type: cifar_resnet, depth: 8, last_block: 4}\n",
        "a.yaml:4:58: architecture.last_block: must be less than 4, the stem and the basic blocks (got 4; architecture.depth is 8 at a.yaml:4:43)",
    ),
    "a last block of one": mistake(
        "architecture: {type: cifar_resnet, depth: 8, last_block: 2, blocks: 1}\n",
        "a.yaml:4:58: architecture.last_block: never read: there is one block; remove it (got 2; architecture.blocks is 1 at a.yaml:4:69)",
    ),
    "a VGG of another depth": mistake(
        "architecture: {type: vgg, depth: 19}\n",
        "a.yaml:4:34: architecture.depth: must be one of 8, 11, 16 (got 19)",
    ),
    "AugLocal on averaged features": mistake(
        "rule: lg-bp\nlosses: {local: {head: {type: auglocal}}}\n",
        "a.yaml:5:31: losses.local.head.type: later blocks read the grid, which aggregation replicated averages away; use pooled (got auglocal; losses.local.aggregation is replicated by default)",
    ),
    "a pyramid of depth one": mistake(
        "rule: lg-bp\nlosses: {local: {aggregation: pooled, head: {type: auglocal, depth: 1, pyramid: 1}}}\n",
        "a.yaml:5:81: losses.local.head.pyramid: never read: every head copies one unit; remove it (got 1; losses.local.head.depth is 1 at a.yaml:5:69)",
    ),
    "a shortcut to fewer channels": mistake(
        "architecture:\n  type: chain\n  blocks: [[{type: conv, channels: 8}, {type: shortcut, channels: 4}]]\n",
        "a.yaml:6:67: architecture.blocks[0][1].channels: must be at least the 8 channels before it (got 4)",
    ),
    "parts without a group norm": mistake(
        "architecture: {type: resnet18, normalization: {parts: 4}}\n",
        "a.yaml:4:55: architecture.normalization.parts: never read under batch_norm; remove it (got 4; architecture.normalization.type is batch_norm by default)",
    ),
    "a scale of no normalization": mistake(
        "architecture: {type: conv_net, normalization: {type: none, affine: false}}\n",
        "a.yaml:4:68: architecture.normalization.affine: never read under none; remove it (got false; architecture.normalization.type is none at a.yaml:4:54)",
    ),
    "parts that do not divide channels": mistake(
        "architecture: {type: conv_net, channels: [12], normalization: {type: group_norm, parts: 8}}\n",
        "a.yaml:4:89: architecture.normalization.parts: must divide 12 channels; nearest: 4, 6, 12 (got 8)",
    ),
    "a convolution that is not there": mistake(
        "architecture: {type: conv_net, channels: [12], downsample: [0, 1]}\n",
        "a.yaml:4:64: architecture.downsample[1]: must be less than 1, the number of convolutions (got 1; architecture.channels is [12] at a.yaml:4:42)",
    ),
    "hidden channels in groups": mistake(
        "architecture: {type: local_mixer, hidden: 24, groups: 16}\n",
        "a.yaml:4:55: architecture.groups: must divide hidden; nearest: 8, 12, 24 (got 16; architecture.hidden is 24 at a.yaml:4:43)",
    ),
    "a stage that cuts patches": mistake(
        "architecture: {type: local_mixer, patches: 2, stages: [{downsample: 4}]}\n",
        "a.yaml:4:69: architecture.stages[0].downsample: must divide the 2 patches per side before it; nearest: 1, 2 (got 4; architecture.patches is 2 at a.yaml:4:44)",
    ),
    "a stage of too many groups": mistake(
        "architecture: {type: local_mixer, patches: 2, channels: 32, stages: [{group_ratio: 4}]}\n",
        "a.yaml:4:84: architecture.stages[0].group_ratio: makes 64 groups, which must divide the 32 channels of the stage (got 4)",
    ),
    "a misspelled field of a stage": mistake(
        "architecture: {type: local_mixer, patches: 2, stages: [{downsmaple: 2}]}\n",
        "a.yaml:4:57: architecture.stages[0].downsmaple: unknown key; did you mean downsample?",
    ),
    "a normalization of another architecture": mistake(
        "architecture: {type: resnet18, normalization: {type: local_layer_norm}}\n",
        "a.yaml:4:54: architecture.normalization.type: must be one of batch_norm, group_norm, layer_norm, none; did you mean layer_norm? (got local_layer_norm)",
    ),
    "a layer of no type": mistake(
        "architecture:\n  type: chain\n  blocks: [[{channels: 3}]]\n",
        "a.yaml:6:13: architecture.blocks[0][0]: needs a type; channels is of conv, dense, embedding, full, grouped, shortcut",
    ),
    "a misspelled type of a layer": mistake(
        "architecture:\n  type: chain\n  blocks: [[{type: conf}]]\n",
        f"a.yaml:6:20: architecture.blocks[0][0].type: must be one of {names(LAYERS)}; did you mean conv? (got conf)",
    ),
    "a misspelled field of a layer": mistake(
        "architecture:\n  type: chain\n  blocks: [[{type: conv}, {type: conv, chanels: 3}]]\n",
        "a.yaml:6:40: architecture.blocks[0][1].chanels: unknown key of conv; did you mean channels?",
    ),
    "a wrong value of a layer": mistake(
        "architecture:\n  type: chain\n  blocks: [[{type: conv, size: 0}], [{type: dense, bias: 1}]]\n",
        "a.yaml:6:32: architecture.blocks[0][0].size: must be >= 1 (got 0)",
        "a.yaml:6:58: architecture.blocks[1][0].bias: must be true or false (got 1)",
    ),
    "a layer in place of a block": mistake(
        "architecture: {type: chain, blocks: [{type: conv}]}\n",
        "a.yaml:4:38: architecture.blocks[0]: must be a list (got {type: conv})",
    ),
    "an empty block": mistake(
        "architecture: {type: chain, blocks: [[]]}\n",
        "a.yaml:4:38: architecture.blocks[0]: must list at least 1 (got [])",
    ),
    "a layer that reads a later one": mistake(
        "architecture:\n  type: chain\n  blocks: [[{type: conv, source: conv1}, {type: conv, adds: [inputs]}]]\n",
        "a.yaml:6:34: architecture.blocks[0][0].source: no such layer before it; known: input (got conv1)",
        "a.yaml:6:62: architecture.blocks[0][1].adds[0]: no such layer before it; known: input, conv0 (got inputs)",
    ),
    "two layers of one name": mistake(
        "architecture:\n  type: chain\n  blocks: [[{type: conv, name: a}, {type: conv, name: a}, {type: conv, name: input}]]\n",
        "a.yaml:6:55: architecture.blocks[0][1].name: the block has a layer a already; name it otherwise (got a)",
        "a.yaml:6:78: architecture.blocks[0][2].name: is reserved; name it otherwise (got input)",
    ),
    "a block without parameters": mistake(
        "architecture:\n  type: chain\n  blocks: [[{type: conv}], [{type: max_pool}]]\n",
        "a.yaml:6:28: architecture.blocks[1]: has no parameters; put its layers into the next block or the one before",
    ),
    "a sum of different shapes": mistake(
        "architecture:\n  type: chain\n  blocks: [[{type: conv, channels: 3, adds: [input]}]]\n",
        "a.yaml:6:46: architecture.blocks[0][0].adds[0]: has the shape 8x8 of 1x1, but the layer gives 8x8 of 1x3 (got input)",
    ),
    "heads that do not divide channels": mistake(
        "architecture: {type: vit, channels: 10}\n",
        "a.yaml:4:1: architecture.heads: must divide channels; nearest: 1, 2, 5 (is 3 by default; architecture.channels is 10 at a.yaml:4:37)",
    ),
    "a window without a middle": mistake(
        "architecture: {type: conv_mixer, size: 4}\n",
        "a.yaml:4:40: architecture.size: must be odd, so that the grid of patches keeps its size; nearest: 3, 5 (got 4)",
    ),
    "attention without queries, keys and values": mistake(
        "architecture:\n  type: chain\n  blocks: [[{type: dense, channels: 4}, {type: attention}]]\n",
        "a.yaml:6:48: architecture.blocks[0][1].type: reads queries, keys and values, so each group before it must have a multiple of 3 channels, not 4 (got attention)",
    ),
    "groups that do not divide channels": mistake(
        "architecture:\n  type: chain\n  blocks: [[{type: dense, channels: 3, groups: 2}]]\n",
        "a.yaml:6:48: architecture.blocks[0][0].groups: must divide 3 channels; nearest: 1, 3 (got 2)",
    ),
    "channels that groups do not divide": mistake(
        "architecture:\n  type: chain\n  blocks: [[{type: dense, channels: 4, groups: 2}, {type: grouped, channels: 3}]]\n",
        "a.yaml:6:78: architecture.blocks[0][1].channels: must be a multiple of the 2 groups before it (got 3)",
    ),
    "a window larger than the grid": mistake(
        "architecture:\n  type: chain\n  blocks: [[{type: full}, {type: conv, size: 2}]]\n",
        "a.yaml:6:46: architecture.blocks[0][1].size: is larger than the 1x1 grid that it slides over (got 2)",
    ),
    "a pooling to more than there is": mistake(
        "architecture:\n  type: chain\n  blocks: [[{type: conv, stride: 2}, {type: average_pool, grid: [5, 2]}]]\n",
        "a.yaml:6:65: architecture.blocks[0][1].grid: must be at most the 4x4 grid before it (got [5, 2])",
    ),
    "patches of a chain": mistake(
        "architecture:\n  type: chain\n  patches: 3\n  blocks: [[{type: conv}]]\n",
        "a.yaml:6:12: architecture.patches: must divide the 8x8 images of digits; nearest: 1, 2, 4 (got 3)",
    ),
    "an unread depthwise": mistake(
        "architecture: {type: local_mixer, blocks: 1, patches: 2, token_mixing: depthwise}\n",
        "a.yaml:4:72: architecture.token_mixing: never read: the first block has no token mixing; remove it (got depthwise; architecture.blocks is 1 at a.yaml:4:43)",
    ),
    "losses after blocks of stages": mistake(
        "rule: lg-bp\narchitecture: {type: local_mixer, patches: 2, blocks: 2, stages: [{blocks: 1}]}\nlosses: {local: {every: 2}}\n",
        "a.yaml:6:25: losses.local.every: must divide the 3 blocks, or the last block would have no loss; nearest: 1, 3 (got 2; architecture.blocks is 2 at a.yaml:5:55)",
    ),
}


@pytest.mark.parametrize("name", MISTAKES)
def test_every_line_is_the_one_expected(name, tmp_path, monkeypatch):
    assert told(MISTAKES[name], tmp_path, monkeypatch) == MISTAKES[name].lines
