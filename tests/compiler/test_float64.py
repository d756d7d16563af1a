"""Gradients in float64: nothing is rounded to float32 on the way, and laws hold to 1e-10."""

from functools import partial

import jax
import jax.numpy as jnp
import networks
import numpy as np
import pytest
from jax.extend.core import jaxprs_in_params
from oracle.cases import Case, Norm
from oracle.compare import compiled, expected, gap
from oracle.small import NETS, small

from compiler.network.network import forward
from compiler.update.forward_passes import stem

CLOSE = 1e-10
BATCH_NORM = "{type: batch_norm}"
POOLED = "losses: {local: {aggregation: pooled, head: {type: %s}}}"
EXACT = [
    ("bp", networks.MIXER % networks.LOCAL_NORM, ""),
    ("bp", networks.CHAIN % BATCH_NORM, ""),
    ("l-bp", networks.RESNET % BATCH_NORM, POOLED % "cnn"),
    ("lg-bp", networks.CONV_NET % "{type: group_norm, parts: 1}", POOLED % "mlp"),
    ("lg-bp", networks.MIXER % "{type: layer_norm}", ""),
    ("l-bp", networks.DEPTHWISE % "{type: none}", POOLED % "next_blocks"),
]
"""Every normalization and kind of head."""


def _by_hand(made, state, batch):
    """`jax.grad` of the sum of all losses that count, where nothing passes an isolated block."""
    plan, params, labels = made.plan, state.params, batch["label"]

    def loss(blocks):
        total, features = jnp.zeros(()), stem(plan, batch["image"])
        for chain, site in plan.units:
            entering = jax.lax.stop_gradient(features) if plan.target.inside else features
            features = forward(chain, blocks, entering).output
            if plan.target.reads_local or site.name == "final":
                readout, own = plan.readout(site), params
                for name in plan.place(site):
                    own = own[name]
                outputs, _ = readout.outputs(own, readout.entering(features))
                log_p = outputs - jax.nn.logsumexp(outputs, axis=1, keepdims=True)
                total -= jnp.take_along_axis(log_p, labels[:, None], 1).mean()
        return total

    return jax.grad(loss)(params["blocks"])


@pytest.mark.parametrize(("rule", "architecture", "more"), EXACT)
def test_exact_rules_are_the_gradient_of_their_losses(rule, architecture, more):
    made = networks.program(rule, architecture=architecture, more=more)
    state, batch = networks.state_of(made), networks.batch_of()
    found, _ = made.gradient(state, batch, float64=True)
    with jax.enable_x64(True):
        by_hand = jax.jit(partial(_by_hand, made._wide))
        wanted = by_hand(networks.wide(state), networks.wide(batch))
    assert {leaf.dtype for leaf in jax.tree.leaves(found)} == {np.dtype(np.float64)}
    assert networks.apart(found["blocks"], wanted) < CLOSE
    plain, _ = made.gradient(state, batch)
    assert 1e-9 < networks.apart(plain["blocks"], wanted) < 1e-3


ORACLE = [
    Case(rule="bp", **NETS["resnet"]),
    Case(rule="lg-bp", **NETS["conv, parts"]),
    Case(rule="l-bp", **NETS["mixed"]),
    Case(rule="lg-fa", **NETS["positionwise"]),
    Case(rule="dfa", **NETS["mixer"]),
    small("mixer, batch", rule="lg-fg-a", guess="normal", samples=3),
    small("full", rule="fg-a", guess="sphere", gradient="ignored"),
    small("resnet, stem", rule="lg-fg-w", credit="paper"),
    small("mlp", rule="lg-fg-a", objective="info_nce", batch=4),
    small("mixed", target="global", guess="local", space="weight"),
    small("mixer", target="above", guess="jacobian", space="block_output"),
    small("conv", target="sum", guess="normal", space="weight", control="local"),
    small("mixer", estimator="finite_difference", objective="info_nce", target="local"),
    Case(rule="lg-fg-a", sizes=(3, 2, 2, 3), norm=Norm("local_layer_norm", epsilon=0.1)),
]


@pytest.mark.parametrize("case", ORACLE, ids=range(len(ORACLE)))
def test_it_agrees_with_the_oracle(case):
    """Of everything in NumPy, whose numbers are float64: what is rounded anywhere would show."""
    found, state, data, noise = compiled(case, float64=True)
    assert gap(found, expected(case, state, data, noise))[0] < CLOSE


def test_nothing_is_rounded_on_the_way():
    """The only float32 numbers are those drawn, which become float64 at once."""
    more = "losses: {local: {head: {type: mlp, width: 4, layers: 1}}}"
    for rule in ("l-bp", "lg-fg-a", "lg-fg-w"):
        made = networks.program(rule, norm=BATCH_NORM, more=more)
        state, batch = networks.state_of(made), networks.batch_of()
        with jax.enable_x64(True), jax.numpy_dtype_promotion("standard"):
            traced = made._wide._gradient.trace(networks.wide(state), networks.wide(batch), None)
        short = {where for where, dtype in _types(traced.jaxpr.jaxpr) if dtype == np.float32}
        assert {where for where in short if "perturbations" not in where} == set()
        assert bool(short) == ("fg" in rule)


def _types(program):
    for equation in program.eqns:
        for made in equation.outvars:
            yield str(equation.source_info.name_stack), getattr(made.aval, "dtype", None)
        for inner in jaxprs_in_params(equation.params):
            yield from _types(inner)


def test_integer_images_are_those_in_the_unit_interval():
    made = networks.program("bp")
    state, batch = networks.state_of(made), networks.batch_of()
    whole = np.random.default_rng(0).integers(0, 256, batch["image"].shape, np.uint8)
    found, _ = made.gradient(state, batch | {"image": jnp.asarray(whole)}, float64=True)
    with jax.enable_x64(True):
        image = jnp.asarray(whole / 255.0)
    wanted, _ = made.gradient(state, batch | {"image": image}, float64=True)
    assert networks.apart(found, wanted) < 1e-14
