"""No loop of a program holds the gradient of a convolution's weights where that is slow."""

import jax
import networks
import pytest

from compiler.cost.compiled import abstract_arguments
from compiler.cost.operations import operations
from compiler.cost.updates_per_call import Calls, calls_of
from compiler.plan import loops

CHAIN = """
  type: chain
  normalization: {type: layer_norm}
  blocks:
    - - {type: conv, channels: 2}
    - - {type: conv, channels: 2}
    - - {type: conv, channels: 2}
    - - {type: conv, channels: 2}
"""
LOCAL = "losses: {isolate: block, local: {every: 1}}\n"
TWO = "\ncompile: {steps_per_call: 2}"

CASES = {
    "one update": ("bp", networks.RESNET, "", ""),
    "two updates": ("bp", networks.CONV_NET, "", TWO),
    "equal blocks": ("lg-fg-a", CHAIN, "", ""),
    "chunks": ("bp", CHAIN, "", "compile: {blocks: scanned, rematerialize: 2}"),
    "samples": ("lg-fg-a", networks.CONV_NET, "samples: 3", ""),
    "weights": ("lg-fg-w", networks.CONV_NET, "samples: 3", ""),
    "examples": ("fg-w", networks.CONV_NET, "samples: 2, sharing: example", ""),
    "depthwise": ("lg-bp", networks.DEPTHWISE, "", TWO),
}


def of(case):
    rule, architecture, perturbation, more = CASES[case]
    architecture = architecture % "{type: layer_norm}" if "%s" in architecture else architecture
    return networks.program(rule, architecture=architecture, perturbation=perturbation, more=more)


def of_weights(step):
    """Whether a convolution sums over the examples, as only gradients of weights do."""
    if step.name != "conv_general_dilated":
        return False
    return step.equation.params["dimension_numbers"].lhs_spec[1] == 0


def in_loops(listed, inside=False):
    """The convolutions that sum over examples, each with whether it stands in a loop."""
    for step in listed.steps:
        if of_weights(step):
            yield inside
        for body in step.inner:
            yield from in_loops(body, inside or step.name in ("scan", "while"))


@pytest.mark.parametrize("case", CASES)
def test_gradients_of_convolutions_are_in_no_loop(case):
    made = of(case)
    steps = made.plan.experiment.compile.steps_per_call
    calls = Calls(1 if steps == "auto" else steps, False)
    update = made.updates.trace(*abstract_arguments(made, calls))
    found = list(in_loops(operations(update.jaxpr.jaxpr)))
    batch = made.plan.images(made.plan.experiment.data.batch_size)
    diagnosis = made.diagnose.trace(made.abstract(), batch)
    found += in_loops(operations(diagnosis.jaxpr.jaxpr))
    assert found or "depthwise" in case
    assert not any(found)


def test_other_backends_have_loops(monkeypatch):
    monkeypatch.setattr(loops, "SLOW_IN_LOOPS", {})
    networks.program.cache_clear()
    update = of("equal blocks").updates.trace(*abstract_arguments(of("equal blocks")))
    assert any(in_loops(operations(update.jaxpr.jaxpr)))
    networks.program.cache_clear()


@pytest.mark.parametrize(("case", "slow"), [("one update", True), ("depthwise", False)])
def test_the_plan_says_so(case, slow):
    plan = of(case).plan
    assert loops.written_out(plan) == slow
    assert (calls_of(plan).steps == 1) == slow or case == "depthwise"


def test_a_loop_written_out_gives_the_same(monkeypatch):
    made = of("two updates")
    records = jax.tree.map(
        lambda *parts: jax.numpy.stack(parts), networks.batch_of(), networks.batch_of(seed=1)
    )
    written = made.updates(networks.state_of(made), records)
    monkeypatch.setattr(loops, "SLOW_IN_LOOPS", {})
    networks.program.cache_clear()
    looped = of("two updates")
    assert looped is not made
    found = looped.updates(networks.state_of(looped), records)
    networks.program.cache_clear()
    assert networks.distance(written[0].params, found[0].params) < 1e-5
