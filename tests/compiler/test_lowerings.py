"""Lowerings change no number but by rounding: many steps a call, examples by place, precisions."""

import jax
import jax.numpy as jnp
import networks
import numpy as np
import pytest
from jax import lax
from jax.extend.core import jaxprs_in_params

from compiler.cost.by_part import dissect
from compiler.network.norms import Norm
from fgspec.spec import normalizations


def _records(steps):
    batches = [networks.batch_of(seed=step) for step in range(steps)]
    return {name: jnp.stack([batch[name] for batch in batches]) for name in batches[0]}


@pytest.mark.parametrize("rule", ["lg-fg-a", "fdfa"])
def test_many_steps_a_call_are_single_steps(rule):
    made, records = networks.program(rule), _records(3)
    state, metrics = made.updates(made.init(0), records)
    single, seen = made.init(0), []
    for step in range(3):
        single, found = made.update(single, {name: part[step] for name, part in records.items()})
        seen.append(found)
    assert int(state.step) == 3
    assert networks.distance(state.params, single.params) < 1e-6
    for name, values in metrics.items():
        np.testing.assert_allclose(values, [found[name] for found in seen], rtol=1e-5)


def test_calls_of_any_length_give_the_same_bits():
    made, records = networks.program("lg-fg-a"), _records(6)

    def cut(first, last):
        return {name: part[first:last] for name, part in records.items()}

    whole, _ = made.updates(made.init(0), records)
    parts = made.init(0)
    for first, last in ((0, 2), (2, 4), (4, 6)):
        parts, _ = made.updates(parts, cut(first, last))
    jax.tree.map(np.testing.assert_array_equal, whole.params, parts.params)


def test_examples_by_place_are_those_sent():
    made, records = networks.program("lg-fg-a"), _records(3)
    whole = {name: part.reshape(-1, *part.shape[2:]) for name, part in records.items()}
    index = {"index": jnp.arange(12).reshape(3, 4)}
    sent, metrics = made.updates(made.init(0), records)
    picked, found = made.updates(made.init(0), index, whole)
    assert networks.distance(picked.params, sent.params) < 1e-6
    np.testing.assert_allclose(found["train/loss"], metrics["train/loss"], rtol=1e-6)


BATCH_NORM = "{type: batch_norm}"
LOW = [(rule, networks.LOCAL_NORM) for rule in ("bp", "fdfa", "fg-a", "lg-fg-w")]
LOW += [(rule, BATCH_NORM) for rule in ("lg-bp", "dfa", "fg-w", "lg-fg-a")]
"""Back, past, forward, and layer by layer; through statistics of examples and of the batch."""


@pytest.mark.parametrize(("rule", "norm"), LOW)
def test_bfloat16_is_float32_but_for_rounding(rule, norm):
    low = networks.program(rule, norm=norm, more="compile: {precision: bfloat16}")
    high = networks.program(rule, norm=norm)
    batch = networks.batch_of()
    found, metrics = low.gradient(networks.state_of(low), batch)
    expected, wanted = high.gradient(networks.state_of(high), batch)
    assert {leaf.dtype for leaf in jax.tree.leaves(found)} == {jnp.dtype(jnp.float32)}
    assert {value.dtype for value in metrics.values()} == {jnp.dtype(jnp.float32)}
    np.testing.assert_allclose(metrics["train/loss"], wanted["train/loss"], rtol=0.02)
    a, b = (jax.flatten_util.ravel_pytree(tree)[0] for tree in (found, expected))
    assert float(jnp.vdot(a, b) / jnp.linalg.norm(a) / jnp.linalg.norm(b)) > 0.97
    assert networks.distance(found, expected) > 1e-4


PRODUCTS = ("dot_general", "conv_general_dilated")
FULL = {"readouts", "losses", "optimizer", "views"}
"""Scopes whose products are never less than float32."""


def _products(program):
    """The scope of every product of a traced program, and the least precision of its factors."""
    for equation in program.eqns:
        if equation.primitive.name in PRODUCTS:
            asked = equation.params["precision"] or (lax.Precision.DEFAULT,)
            yield str(equation.source_info.name_stack), min(asked, key=lambda one: one.value)
        for inner in jaxprs_in_params(equation.params):
            yield from _products(inner)


LOCAL_HEADS = "losses: {local: {head: {type: mlp, width: 4, layers: 1}}}"
TF32 = [(rule, networks.MIXER % BATCH_NORM, "") for rule in ("bp", "dfa", "fg-w", "lg-fg-a")]
TF32 += [(rule, networks.RESNET % BATCH_NORM, "") for rule in ("lg-bp", "fg-a")]
TF32 += [("fdfa", networks.CHAIN % networks.NO_NORM, "")]
TF32 += [("l-bp", networks.MIXER % networks.LOCAL_NORM, LOCAL_HEADS)]


@pytest.mark.parametrize("precision", ["float32", "tf32"])
@pytest.mark.parametrize(("rule", "architecture", "more"), TF32)
def test_tf32_is_asked_for_in_blocks_alone(rule, architecture, more, precision):
    more = f"{more}\ncompile: {{precision: {precision}}}"
    made = networks.program(rule, architecture=architecture, more=more)
    traced = made.update.trace(made.abstract(), made.plan.images(4))
    asked = {True: set(), False: set()}
    for where, lowest in _products(traced.jaxpr.jaxpr):
        asked[any(scope in where for scope in FULL)].add(lowest)
    low = lax.Precision.HIGH if precision == "tf32" else lax.Precision.HIGHEST
    assert asked == {True: {lax.Precision.HIGHEST}, False: {low}}


def test_a_normalization_of_any_package_is_in_full():
    class Mixing(normalizations.LayerNorm):
        def apply(self, x, axes, epsilon, moments=None):
            return x @ jnp.eye(x.shape[-1])

    norm = Norm(("channel",), 1e-5, how=Mixing())
    with jax.default_matmul_precision("tensorfloat32"):
        traced = jax.make_jaxpr(norm)(jnp.ones((1, 1, 1, 3)))
    assert [lowest for _, lowest in _products(traced.jaxpr)] == [lax.Precision.HIGHEST]


def test_tf32_is_float32_where_there_is_none():
    """On a CPU: the same bits."""
    batch = networks.batch_of()
    found, wanted = (
        networks.program("lg-fg-a", more=f"compile: {{precision: {precision}}}")
        for precision in ("tf32", "float32")
    )
    state = networks.state_of(wanted)
    jax.tree.map(
        np.testing.assert_array_equal,
        found.gradient(state, batch)[0],
        wanted.gradient(state, batch)[0],
    )


def test_bfloat16_takes_less_memory_and_moves_fewer_bytes():
    """Parameters, norms and sums keep their 32 bits."""
    low, high = (
        dissect(networks.program("bp", batch=64, more=f"compile: {{precision: {precision}}}"))
        for precision in ("bfloat16", "float32")
    )
    assert sum(low.memory.values()) < 0.9 * sum(high.memory.values())
    assert sum(low.bytes.values()) < 0.9 * sum(high.bytes.values())
