"""Derivatives along perturbations, pushed forward or as inner products with one gradient."""

import networks
import pytest

from compiler.cost.by_part import dissect
from compiler.cost.compiled import ONE, compile_update
from compiler.cost.update_flops import flops_by_scope, update_flops
from fgspec.show.plan_tables import cost_rows
from fgspec.spec.spaces import SPACES

MLP = "{type: mlp, hidden: [6, 5, 4]}"
CONV = networks.CONV_NET % "{type: layer_norm}"
WIDE = """
  type: conv_net
  channels: [32, 32, 64]
  downsample: [1]
  normalization: {type: %s}
"""
COUPLED = networks.CONV_NET % "{type: batch_norm}"
LOCAL = "losses: {local: {every: 1}}"
GREEDY = "losses: {local: {every: 1}, isolate: block}"
CASES = {
    "activations": (CONV, "global", "space: activation"),
    "activations, an orthogonal set": (
        MLP,
        "global",
        "space: activation, samples: 2, guess: {type: normal, set: orthogonal}",
    ),
    "activations, noise of the batch": (MLP, "global", "space: activation, sharing: batch"),
    "activations, of local losses": (MLP, "local", "space: activation, samples: 2"),
    "weights": (COUPLED, "global", "space: weight, samples: 2"),
    "weights of every example": (MLP, "global", "space: weight, sharing: example"),
    "outputs, a local guess": (MLP, "global", "space: block_output, guess: {type: local}"),
    "outputs, around a control variate": (
        MLP,
        "global",
        "space: block_output, samples: 2, control_variate: local, projection: {grouping: block}",
    ),
    "outputs, several losses": (
        MLP,
        "above",
        "space: block_output, projection: {grouping: tensor}",
    ),
    "weights, a guess of the batch": (
        COUPLED,
        "global",
        "space: weight, guess: {type: global}, projection: {granularity: batch}",
    ),
}


def _program(architecture, target, perturbation, how, **options):
    """A program under the forward estimator."""
    losses = GREEDY if target == "local" else LOCAL
    losses = "" if target == "global" and "local" not in perturbation else losses
    gradient = f"target: {target}, estimator: {{type: forward}}, perturbation: {{{perturbation}}}"
    more = f"{losses}\ngradient: {{{gradient}}}\ncompile: {{directional: {how}}}"
    return networks.program("", architecture=architecture, more=more, **options)


@pytest.mark.parametrize("case", CASES)
def test_inner_products_are_tangents(case):
    forward, reverse = (_program(*CASES[case], how) for how in ("forward", "reverse"))
    state, batch = networks.state_of(forward), networks.batch_of()
    found, expected = (made.gradient(state, batch)[0] for made in (reverse, forward))
    assert networks.distance(found, expected) < 1e-5


@pytest.mark.parametrize("how", ["forward", "reverse"])
def test_noise_that_is_drawn_again_is_that_stored(how):
    words = "space: activation, guess: {type: normal}, samples: 2"
    stored, drawn = (
        _program(MLP, "global", words, f"{how}, noise: {noise}") for noise in ("stored", "drawn")
    )
    state, batch = networks.state_of(stored), networks.batch_of()
    found, expected = (made.gradient(state, batch)[0] for made in (drawn, stored))
    assert networks.distance(found, expected) < 1e-6


def test_noise_that_is_drawn_again_is_made_twice():
    """XLA would merge two equal draws, and store them, if nothing kept it from that."""
    words = "space: activation, guess: {type: normal}, samples: 2"
    stored, drawn = (
        compile_update(_program(MLP, "global", words, f"forward, noise: {noise}")).call.as_text()
        for noise in ("stored", "drawn")
    )
    # Only making normal numbers takes this one. FLOPs would not do: newer XLA takes cheap words of
    # stored noise again by itself.
    made = " log-plus-one("
    assert drawn.count(made) == 2 * stored.count(made) > 0


@pytest.mark.parametrize("samples", [1, 3])
@pytest.mark.parametrize("space", SPACES.names())
def test_auto_takes_what_costs_less(space, samples):
    """Where maps are most of the work: in a tiny network that is drawing the noise."""
    words = f"space: {space}, samples: {samples}"
    made = {
        how: _program(WIDE % "layer_norm", "global", words, how)
        for how in ("forward", "reverse", "auto")
    }
    flops = {how: update_flops(one.plan) for how, one in made.items()}
    assert flops["auto"] == min(flops.values())
    assert (flops["forward"] > 1.2 * flops["reverse"]) == (samples == 3)


@pytest.mark.parametrize("samples", [1, 3])
@pytest.mark.parametrize(("space", "how"), [("weight", "reverse"), ("block_output", "forward")])
def test_flops_against_xla(space, how, samples):
    """XLA takes the body of the loop over samples once."""
    made = _program(WIDE % "none", "global", f"space: {space}, samples: {samples}", how, batch=16)
    found = compile_update(made).flops + dissect(made, ONE).repeated
    assert 0.97 < found / update_flops(made.plan) < 1.05


def test_every_group_has_a_tangent_through_what_is_behind_it():
    words = "space: block_output, guess: {type: local}"
    pushed, inner = (
        flops_by_scope(_program(MLP, "global", words, how).plan) for how in ("forward", "auto")
    )
    assert pushed["tangents/block1"] == 2 * 4 * 6 * 5
    both = 2 * (
        2 * 4 * 5 * 4 + 2 * 4 * 4 * 10
    )  # guesses go through the last block, its readout too
    assert both < pushed["tangents/block2"] < 1.5 * both
    assert [where for where in inner if where.startswith("tangents/")] == []


@pytest.mark.parametrize(
    ("case", "how", "said"),
    [
        ("weights", "auto", "with one reverse-mode gradient: it serves all 2 samples"),
        ("activations", "auto", "forward mode (JVP): it costs no more than a reverse-mode"),
        ("weights", "forward", "forward mode (JVP)"),
        ("outputs, a local guess", "auto", "it serves all groups of a guess"),
    ],
)
def test_the_plan_says_how_derivatives_are_taken(case, how, said):
    made = _program(*CASES[case], how)
    other = networks.program("bp", architecture=MLP)
    rows = cost_rows(made.plan, compile_update(other), dissect(other), ())
    assert said in rows["derivatives"]
