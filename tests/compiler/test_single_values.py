"""A normalization over a single value makes it 0: refused by `check`, which knows no network."""

import itertools
from math import prod

import pytest

import fgspec
from compiler.network.heads import make_head
from compiler.network.network import every_layer
from compiler.network.shapes import Layer
from compiler.plan.plan import make_plan
from fgspec.check.against_data import data_problems
from fgspec.loading.spec_file import loads
from fgspec.spec.dataset_info import DatasetInfo
from fgspec.spec.kinds import working
from fgspec.spec.objectives import CrossEntropy
from fgspec.spec.shapes import ACTIVATION

TOKEN_NORMS = ("local_layer_norm", "layer_norm", "batch_norm", "none")
GRID_NORMS = ("layer_norm", "batch_norm", "{type: group_norm, parts: 2}", "none")
PLACEMENTS = ("[begin_block]", "[before_linear]", "[after_linear]", "[before_linear, after_linear]")
READOUTS = ("true", "false", "[heads]")

MIXERS = (
    "blocks: 1, patches: 2, channels: 4, groups: 4",
    "blocks: 2, patches: 4, channels: 4, groups: 2",
    "blocks: 2, patches: 1, channels: 1, groups: 1, hidden: 2",
    "blocks: 2, patches: 2, channels: 8, groups: 2, hidden: 2",
    "blocks: 1, patches: 4, channels: 4, groups: 2, stages: [{downsample: 4, group_ratio: 2}]",
)
MLPS = ("hidden: [3, 1, 2]", "hidden: [4, 3]", "hidden: [2, 1]")
CONV_NETS = ("channels: [4, 2], downsample: [0, 1]", "channels: [2, 2, 4], downsample: [0, 1, 2]")
RESNETS = (
    "blocks: 2, width: 0.03125",
    "blocks: 8, width: 0.03125",
    "blocks: 8, width: 0.0625, stem: imagenet",
    "blocks: 16, width: 0.03125",
)
CHAINS = (
    "blocks: [[{type: dense, channels: 2}], [{type: full, channels: 2}]]",
    "patches: 2, blocks: [[{type: conv, channels: 4, normalize: false}, {type: identity}]]",
    "blocks: [[{type: full, channels: 2, normalize: false}, {type: dense, channels: 4}]]",
)
VITS = (
    "blocks: 2, patches: 2, channels: 4, heads: 2",
    "blocks: 1, patches: 2, channels: 2, heads: 2, readout: mean",
    "blocks: 1, patches: 1, channels: 1, heads: 1, readout: mean",
    "blocks: 1, patches: 1, channels: 1, heads: 1",
)
PATCH_MIXERS = (
    "blocks: 2, patches: 2, channels: 4, groups: 4",
    "blocks: 1, patches: 1, channels: 2",
)
HEADS = ("", "{type: linear}", "{type: mlp, width: 1}", "{type: mlp, width: 4}", "{type: cnn}")


def _token(type_, fields):
    chosen = itertools.product(TOKEN_NORMS, PLACEMENTS, READOUTS)
    for norm, placement, readout in chosen:
        options = "" if norm == "none" else f", placement: {placement}, readout: {readout}"
        yield f"{{type: {type_}, {fields}, normalization: {{type: {norm}{options}}}}}"


def _grid(type_, fields):
    for norm in GRID_NORMS:
        own = norm if norm.startswith("{") else f"{{type: {norm}}}"
        yield f"{{type: {type_}, {fields}, normalization: {own}}}"


def _before_branches(type_, fields):
    for norm in TOKEN_NORMS:
        yield f"{{type: {type_}, {fields}, normalization: {{type: {norm}}}}}"


ARCHITECTURES = [
    *(text for fields in MIXERS for text in _token("local_mixer", fields)),
    *(text for fields in MLPS for text in _token("mlp", fields)),
    *(text for fields in CONV_NETS for text in _grid("conv_net", fields)),
    *(text for fields in RESNETS for text in _grid("resnet18", fields)),
    *(text for fields in CHAINS for text in _grid("chain", fields)),
    *(text for fields in VITS for text in _before_branches("vit", fields)),
    *(text for fields in PATCH_MIXERS for text in _before_branches("mlp_mixer", fields)),
    *(text for fields in PATCH_MIXERS for text in _grid("conv_mixer", f"size: 3, {fields}")),
]


def experiment(architecture, batch, head="", pooled=False):
    local = "" if not head else f"{{every: 1, last: local, head: {head}"
    local += ", aggregation: pooled}" if local and pooled else "}" if local else ""
    losses = f"losses: {{isolate: block, local: {local}}}" if local else ""
    rule = "rule: bp" if not local else "rule: lg-bp"
    return loads(f"""
fgspec: 1
name: single
{rule}
data: {{source: {{type: digits}}, batch_size: {batch}}}
architecture: {architecture}
{losses}
training: {{steps: 2}}
""").experiment


def counts(made, info):
    """How many values every normalization of the network itself takes together."""
    network = working(made.architecture).network(info.image_shape, info.classes)
    local, readouts = made.losses.local, [network.classifier]
    if local is not None:
        heads = [
            make_head(local, network, block.name, info.classes, CrossEntropy())
            for block in network.blocks
        ]
        readouts += heads if local.last == "local" else heads[:-1]
    layers = [layer for _, layer in every_layer(network.blocks)]
    layers += [layer for readout in readouts for layer in readout.layers]
    normed = [(norm, e) for one in layers for norm, e in _of(one) if norm is not None]
    read = zip(network.blocks, readouts[1:], strict=False)
    normed += [(head.norm, block.end) for block, head in read if head.norm is not None]
    for norm, extent in normed:
        positions, groups, channels = extent.features
        if norm.split > 1:
            groups, channels = norm.split, extent.width // norm.split
        sizes = zip(ACTIVATION, (made.data.batch_size, positions, groups, channels), strict=True)
        yield prod(size for axis, size in sizes if axis in norm.over)


def _of(layer: Layer):
    return (layer.before, layer.start), (layer.after, layer.end)


def planned_as_refused(made, info):
    """Whether the plan, which sees networks of any package, refuses it."""
    try:
        make_plan(made, info)
    except fgspec.UserError as error:
        return "a single value" in str(error)
    return False


def info(side, colours):
    return DatasetInfo("small", (side, side, colours), 3, 64, 16, (0.5,), (0.25,))


@pytest.mark.parametrize(("part", "head"), list(enumerate(HEADS)))
def test_what_check_refuses_is_what_the_network_would_normalize(part, head):
    """Of every architecture and normalization, in turns with heads and images; some of either."""
    refused, tried = 0, 0
    for number, architecture in enumerate(ARCHITECTURES[part :: len(HEADS)]):
        data = info(4, 1) if number % 2 else info(8, 3)
        pooled = bool(head) and ("cnn" in head or number % 3 == 0)
        for batch in (1, 2):
            made = experiment(architecture, batch, head, pooled)
            problems = [p for p in data_problems(made, data) if "single value" in p.message]
            alone = 1 in set(counts(made, data))
            assert bool(problems) == alone, f"{architecture} batch {batch} {head} of {data}"
            assert planned_as_refused(made, data) == alone
            refused, tried = refused + alone, tried + 1
    assert 0.02 < refused / tried < 0.98


CASES = [
    (
        "architecture: {type: mlp, hidden: [32, 1], normalization: {type: layer_norm}}",
        "architecture.hidden[1] is 1 at",
    ),
    (
        "architecture: {type: local_mixer, patches: 2, channels: 16, groups: 16}",
        "architecture.groups is 16 at",
    ),
    (
        "architecture: {type: mlp, hidden: [8], normalization: {type: batch_norm}}",
        "data.batch_size is 1 at",
    ),
    (
        "architecture: {type: chain, blocks: [[{type: full, channels: 4}]], "
        "normalization: {type: group_norm, parts: 4}}",
        "architecture.normalization.parts is 4 at",
    ),
]


@pytest.mark.parametrize(("architecture", "other"), CASES)
def test_both_fields_are_named(tmp_path, architecture, other):
    spec = tmp_path / "a.yaml"
    rule = "rule: lg-bp" if "local_mixer" in architecture else "rule: bp"
    spec.write_text(
        f"fgspec: 1\nname: a\n{rule}\ndata: {{source: {{type: digits}}, batch_size: 1}}\n"
        f"{architecture}\ntraining: {{epochs: 1}}\n"
    )
    with pytest.raises(fgspec.SpecError) as caught:
        fgspec.plan(spec)
    assert "architecture.normalization.type: takes mean and deviation of a single value" in str(
        caught.value
    )
    assert other in str(caught.value)
