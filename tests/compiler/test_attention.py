"""Vision transformers: whose losses tokens and heads move, and that their estimates are exact."""

import networks
import pytest

from compiler.cost.counts import counts
from compiler.plan.plan import make_plan
from fgspec.loading.spec_file import loads
from fgspec.show.bias_notes import notes
from fgspec.spec.dataset_info import DatasetInfo

VIT = "{type: vit, blocks: 2, patches: 2, channels: 6, heads: 2, hidden: 4, normalization: %s}"
LOCAL = "{type: local_layer_norm, affine: false, epsilon: 0.1}"
WHOLE = "{type: layer_norm, affine: false, epsilon: 0.1}"
HEADS = """
  type: chain
  patches: 2
  blocks:
    - - {type: dense, channels: 12, groups: 2, activation: none}
      - {type: attention}
    - - {type: dense, channels: 6, groups: 2, activation: none}
      - {type: attention, activation: gelu}
"""
NETWORKS = {"vit": VIT % LOCAL, "heads": HEADS}


def _local(architecture, space, replicate, options, samples=1):
    """A program of local losses whose gradients are estimated in a space."""
    how = f"space: {space}, samples: {samples}{options}"
    gradient = f"{{target: local, estimator: {{type: forward}}, perturbation: {{{how}}}}}"
    losses = f"{{isolate: block, local: {{replicate: {replicate}}}}}"
    more = f"losses: {losses}\ngradient: {gradient}"
    return networks.program("", architecture=architecture, more=more)


def _gap(architecture, space, replicate, options=""):
    """Between the sum of estimates over a full basis and the exact local gradient."""

    def made_with(samples):
        return _local(architecture, space, replicate, options, samples)

    exact = networks.program("lg-bp", architecture=architecture)
    target, _ = exact.gradient(networks.state_of(exact), networks.batch_of())
    summed = networks.over_basis(made_with, per_example=space != "weight")
    return networks.distance(summed, target["blocks"])


@pytest.mark.parametrize(
    ("space", "replicate"),
    [
        ("weight", "[patch]"),
        ("weight", "[group]"),
        ("activation", "[patch]"),
        ("activation", "[group]"),
        ("block_output", "[patch]"),
        ("block_output", "[group]"),
        ("block_output", "[patch, group]"),
    ],
)
def test_full_basis_gives_the_exact_gradient(space, replicate):
    """The laws of architectures ask it of weights and activations with copies for both."""
    assert _gap(VIT % LOCAL, space, replicate) < 5e-5


@pytest.mark.parametrize("space", ["weight", "activation"])
def test_full_basis_where_losses_follow_the_heads_of_attention(space):
    assert _gap(HEADS, space, "[patch, group]") < 5e-5


@pytest.mark.parametrize(
    ("network", "space"),
    [("vit", "weight"), ("vit", "activation"), ("vit", "block_output"), ("heads", "activation")],
)
def test_estimates_are_unbiased(network, space):
    """With a copy of every loss for each token and head."""
    architecture = NETWORKS[network]
    exact = networks.program("lg-bp", architecture=architecture)
    target, _ = exact.gradient(networks.state_of(exact), networks.batch_of())
    made = _local(architecture, space, "[patch, group]", ", guess: rademacher", 32)
    z = networks.deviations(made, target["blocks"])
    assert z.shape[1] > 100
    assert 0.85 < z.std() < 1.18


@pytest.mark.parametrize("space", ["weight", "activation"])
@pytest.mark.parametrize(("norm", "biased"), [(LOCAL, False), (WHOLE, True)])
def test_credit_of_the_paper_is_biased_where_a_normalization_couples_tokens(norm, biased, space):
    """The plan says so; credit for all copies that an element influences is not."""
    network = VIT % norm
    gap = _gap(network, space, "[patch, group]", ", credit: paper")
    assert (gap > 0.01) == biased
    assert biased or gap < 5e-5
    plan = _local(network, space, "[patch, group]", ", credit: paper").plan
    assert bool(notes(plan)) == biased
    assert not biased or _gap(network, space, "[patch, group]") < 5e-5


def _routes(architecture, block):
    made = _local(architecture, "activation", "[patch, group]", "")
    found = {name: e.route for part in networks.elements(made) for name, e in part.items()}
    return {name.partition("/")[2]: r for name, r in found.items() if name.startswith(f"{block}/")}


def test_tokens_and_heads_answer_for_their_own_copies_where_nothing_mixes_them():
    """By hand: attention reads all tokens; dense layers read all heads."""
    assert _routes(VIT % "{type: none}", "block1") == {
        "qkv": ("batch",),
        "project": ("batch", "patch"),
        "hidden": ("batch", "patch"),
        "out": ("batch", "patch", "group"),
    }
    assert _routes(HEADS, "block0") == {"dense0": ("batch", "group")}


@pytest.mark.parametrize(
    ("fields", "millions"),
    [("", 5.72), (", channels: 384, heads: 6", 22.05)],
    ids=["tiny", "small"],
)
def test_published_sizes_have_the_published_parameters(fields, millions):
    """Of DeiT-Ti and DeiT-S on ImageNet, as the model zoo of OpenMMLab lists them."""
    info = DatasetInfo("imagenet", (224, 224, 3), 1000, 64, 16, (0.5,) * 3, (0.25,) * 3)
    text = "fgspec: 1\nname: a\nrule: bp\ntraining: {steps: 1}\n"
    text += f"architecture: {{type: vit, patches: 14{fields}}}"
    plan = make_plan(loads(text).experiment, info)
    assert round(counts(plan).parameters / 1e6, 2) == millions
