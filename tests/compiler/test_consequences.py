"""What two plans have in common is identical, what differs is named, and nothing else is."""

import networks
import pytest

import compiler.estimators.spaces
from compiler.equivalence.consequences import consequences, summarized
from compiler.equivalence.fingerprint import fingerprint
from compiler.plan.plan import make_plan
from fgspec.loading.spec_file import loads
from fgspec.spec.ablation import CONSEQUENCES

SPEC = """
fgspec: 1
name: small
rule: {rule}
seed: {seed}
data: {{source: {{type: cifar10}}, batch_size: {batch}, augment: {augment}, seed: {order}}}
architecture:
  type: local_mixer
  blocks: {blocks}
  patches: {patches}
  channels: 8
  groups: {groups}
  normalization: {{type: local_layer_norm, gradient: {through}}}
gradient: {{perturbation: {{samples: {samples}, guess: {{type: {guess}}}}}}}
losses: {{local: {{head: {{type: {head}}}}}}}
optimizer: {{type: sgd, learning_rate: {rate}}}
training: {{epochs: 2}}
mesh: {{data: {devices}}}
"""
BASE = {
    "order": "null",
    "devices": 1,
    "rule": "lg-fg-a",
    "seed": 0,
    "batch": 4,
    "augment": "none",
    "blocks": 2,
    "patches": 2,
    "groups": 2,
    "through": "exact",
    "samples": 1,
    "guess": "rademacher",
    "head": "linear",
    "rate": 0.1,
}


def plan_of(**changes):
    text = SPEC.format(**BASE | changes)
    return make_plan(loads("# a comment\n" + text if changes else text).experiment, networks.INFO)


@pytest.fixture(scope="module")
def base():
    return fingerprint(plan_of())


def told(a, b):
    """What changed, as few names as tell it, by group; added and removed names with a sign."""
    found = {}
    for one in consequences(a, b):
        kept = one.same + one.changed
        names = summarized(one.changed, one.same + one.removed + one.added)
        names += [f"-{name}" for name in summarized(one.removed, kept)]
        names += [f"+{name}" for name in summarized(one.added, kept)]
        if names:
            found[one.group] = set(names)
    return found


ALL = {"blocks", "heads", "classifier"}
PAIRS = {
    "a comment only": ({"samples": 1}, {}),
    "guess": ({"guess": "normal"}, {"update": {"blocks"}, "noise": {"perturbation"}}),
    "samples": ({"samples": 3}, {"update": {"blocks"}, "noise": {"perturbation"}}),
    "norm gradient": ({"through": "ignored"}, {"update": {"blocks"}}),
    "learning rate": ({"rate": 0.2}, {"optimizer": ALL}),
    "seed": (
        {"seed": 1},
        {
            "initial": {
                *(f"blocks/block0/{layer}/w" for layer in ("channel", "group")),
                *(f"blocks/block1/{layer}/w" for layer in ("token", "channel", "group")),
                *(f"heads/block{b}/w" for b in (0, 1)),
            },
            "data": {"batches"},
            "noise": {"perturbation"},
        },
    ),
    "data order": ({"order": 1}, {"data": {"batches"}}),
    "mesh": ({"devices": 4}, {"program": {"mesh"}}),
    "batch size": (
        {"batch": 8},
        {
            "data": {"batches"},
            "update": ALL,
            "noise": {"perturbation"},
            "run": {"updates", "evaluated every", "logged every"},
            "program": {"calls"},
        },
    ),
    "groups": (
        {"groups": 4},
        {
            "initial": {"blocks/block0", "blocks/block1/channel", "blocks/block1/group"},
            "forward": {"block0", "block1", "heads", "classifier"},
            "update": ALL,
            "noise": {"perturbation"},
            "optimizer": {
                "blocks/block0", "blocks/block1/channel", "blocks/block1/group", "state",
            },
            "evaluation": {"loss", "error", "accuracy"},
        },
    ),
    "patches": (
        {"patches": 4},
        {
            "initial": {"blocks/block0/channel/w", "blocks/block1/token"},
            "forward": {"stem", "block0", "block1", "heads", "classifier"},
            "update": ALL,
            "noise": {"perturbation"},
            "optimizer": {"blocks/block0/channel/w", "blocks/block1/token", "state"},
            "evaluation": {"loss", "error", "accuracy"},
        },
    ),
    "head": (
        {"head": "mlp"},
        {
            "initial": {"-heads", "+heads"},
            "forward": {"heads"},
            "update": {"blocks", "-heads", "+heads"},
            "optimizer": {"state", "-heads", "+heads"},
        },
    ),
    "augmentation": (
        {"augment": "byol"},
        {"data": {"augmentation"}, "update": ALL, "noise": {"+augment"}},
    ),
}  # fmt: skip
"""A change, and everything that it changes."""


@pytest.mark.parametrize("name", PAIRS)
def test_a_change_has_its_consequences_and_no_others(base, name):
    changes, expected = PAIRS[name]
    assert told(base, fingerprint(plan_of(**changes))) == expected


def test_every_random_stream_has_a_name(base):
    byol = fingerprint(plan_of(augment="byol", guess="ntk"))
    names = [*base.prints["noise"], *byol.prints["noise"]]
    assert len(names) > 10
    assert [name for name in names if name.startswith(("stream", "state"))] == []


def test_a_guess_changes_an_update_by_its_draws_alone(base):
    found = {c.group: c for c in consequences(base, fingerprint(plan_of(guess="normal")))}
    assert found["update"].drawn == found["update"].changed != ()
    found = {c.group: c for c in consequences(base, fingerprint(plan_of(samples=3)))}
    assert found["update"].drawn == ()


@pytest.mark.parametrize("layer", ["block0/channel", "block1/token"])
def test_a_wrong_sign_in_the_estimate_of_a_layer_is_that_layer(monkeypatch, base, layer):
    right = compiler.estimators.spaces.layerwise
    block, name = layer.split("/")

    def wrong(segment, *rest):
        grads = right(segment, *rest)
        if block in grads:
            grads[block][name] = {own: -part for own, part in grads[block][name].items()}
        return grads

    monkeypatch.setattr(compiler.estimators.spaces, "layerwise", wrong)
    assert told(base, fingerprint(plan_of())) == {"update": {f"blocks/{layer}"}}


def test_a_fingerprint_does_not_depend_on_what_is_scanned():
    scanned = fingerprint(plan_of(blocks=4))
    text = SPEC.format(**BASE | {"blocks": 4}) + "compile: {blocks: unrolled}\n"
    unrolled = fingerprint(make_plan(loads(text).experiment, networks.INFO))
    assert told(scanned, unrolled) == {"program": {"scanned blocks", "options"}}


def test_state_that_an_update_moves_is_followed():
    text = SPEC.format(**BASE).replace("local_layer_norm", "batch_norm")
    made = fingerprint(make_plan(loads(text).experiment, networks.INFO))
    assert [name for name in made.prints["update"] if name.startswith("statistics/")]


def test_every_group_is_compared_and_named(base):
    assert [one.group for one in consequences(base, base)] == list(CONSEQUENCES)
    assert all(one.identical and one.same for one in consequences(base, base))
    assert [one.json()["title"] for one in consequences(base, base)] == list(CONSEQUENCES.values())


def test_as_few_names_as_tell():
    assert summarized(["a/b/w", "a/b/v"], ["a/c/w"]) == ["a/b"]
    assert summarized(["a/b/w"], ["a/b/v"]) == ["a/b/w"]
    assert summarized(["a/b/w", "c"], []) == ["a", "c"]
