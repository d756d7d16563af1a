"""Plans: parameter counts of the paper, costs against XLA, values that hash."""

import jax.numpy as jnp
import networks
import pytest

from compiler.cost import compiled
from compiler.cost.compiled import compile_update
from compiler.cost.counts import counts
from compiler.cost.update_flops import update_flops
from compiler.plan.plan import make_plan
from fgspec.errors import UserError
from fgspec.loading.spec_file import loads
from fgspec.show.plan_tables import layer_lines
from fgspec.spec.sources import CIFAR10, MNIST

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
    assert 0.97 < ratio < 1.05


def test_donation_of_the_state():
    made = networks.program("lg-fg-a")
    memory = compile_update(made).call.memory_analysis()
    assert memory.alias_size_in_bytes >= 4 * 2 * counts(made.plan).parameters


def test_the_plan_prints_every_layer_with_its_route():
    lines = layer_lines(networks.program("lg-fg-a").plan)
    assert lines[0].split()[-3:] == ["copies", "used", "loss"]
    layers = {line.split()[0]: line for line in lines[1:6]}
    assert layers["block1/token"].endswith("own n,p")
    assert layers["block1/channel"].endswith("own n,p,g")
    assert layers["block1/group"].endswith("own n,p,g    block1 [n,p,g]")


def test_the_plan_prints_what_weights_use_and_exact_gradients():
    lines = layer_lines(networks.program("lg-fg-w").plan)
    assert "w, b: own p" in next(line for line in lines if line.startswith("block1/token"))
    assert "w, b: all" in layer_lines(networks.program("fg-w").plan)[3]
    lines = layer_lines(networks.program("bp").plan)
    assert "exact" in lines[1]
    assert not any("copies used" in line for line in lines)


def test_the_plan_prints_windows_strides_and_what_is_added():
    lines = layer_lines(
        networks.program("lg-fg-a", architecture=networks.CHAIN % "{type: none}").plan
    )
    start, stop = lines[0].index("kind"), lines[0].index("in [p,g,c]")
    kinds = {line.split()[0]: line[start:stop].strip() for line in lines if "/" in line}
    assert kinds["block0/max_pool3"] == "max_pool 3x3/2"
    assert kinds["block1/left"] == "conv 3x3"
    assert kinds["block1/conv1"] == "conv + left"
    assert kinds["block0/grouped2"] == "grouped + dense0"
    pooled = next(line for line in lines if line.startswith("block0/max_pool3"))
    assert "no parameters" in pooled


def test_gradient_takes_the_perturbations_it_names():
    made = networks.program("lg-fg-a")
    state, batch = networks.state_of(made), networks.batch_of()
    given = {
        name: jnp.zeros((1, *element.shape))
        for part in networks.elements(made)
        for name, element in part.items()
    }
    assert {n: p.shape for n, p in made.perturbations().items()} == {
        n: p.shape for n, p in given.items()
    }
    grads, _ = made.gradient(state, batch, given)
    assert networks.largest(grads["blocks"]) == 0.0
    assert networks.largest(grads["heads"]) > 0.0


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (lambda u: u | {"block9/dense": jnp.zeros((1,))}, "block9/dense: nothing of this name"),
        (lambda u: {n: p for n, p in u.items() if n != "block1/token"}, "block1/token is missing"),
        (lambda u: {n: p[0] for n, p in u.items()}, "must be .* samples first"),
    ],
)
def test_gradient_refuses_other_perturbations_in_one_line(change, said):
    made = networks.program("lg-fg-a")
    state, batch = networks.state_of(made), networks.batch_of()
    given = {name: jnp.zeros(like.shape) for name, like in made.perturbations().items()}
    with pytest.raises(UserError, match=said) as error:
        made.gradient(state, batch, change(given))
    assert "\n" not in str(error.value)


def test_gradient_without_noise_takes_no_perturbations():
    made = networks.program("bp")
    assert made.perturbations() == {}
    with pytest.raises(UserError, match="nothing of this name; known: none"):
        made.gradient(networks.state_of(made), networks.batch_of(), {"block0": jnp.zeros((1,))})


@pytest.mark.parametrize(
    ("row", "rule", "guess", "before", "now"),
    [
        (0, "bp", None, "products", "all"),
        (1, "lg-fg-a", "rademacher", "products", "all"),
        (2, "bp", None, "products", "products"),
        (2, "lg-fg-a", "rademacher", "products", "products"),
        (2, "lg-fg-a", "normal", "products", "products"),
    ],
)
def test_what_ynnpack_is_given_is_what_was_quicker(row, rule, guess, before, now, monkeypatch):
    """As measured with jax 0.10.2 and 0.12.0, where the spec says nothing."""
    _, shape, data, _ = TABLE_2[row]
    text = SPEC.format(rule=rule, data=data.name, shape=shape, batch=128)
    if guess:
        text += f"gradient: {{perturbation: {{guess: {{type: {guess}}}}}}}\n"
    plan = make_plan(loads(text).experiment, data)
    for quick, wanted in ((False, before), (True, now)):
        monkeypatch.setattr(compiled, "QUICK_SUMS", quick)
        assert compiled.ynnpack(plan) == wanted
    asked = loads(text + "compile: {ynnpack: none}\n").experiment
    assert compiled.ynnpack(make_plan(asked, data)) == "none"
