"""The laws of every rule on networks of convolutions, pooling and residuals."""

import jax
import jax.numpy as jnp
import networks
import numpy as np
import pytest

from compiler.cost.compiled import compile_update
from compiler.cost.update_flops import update_flops
from compiler.named_arrays.paths import flatten, unflatten

BATCH, PLAIN, LAYER = "{type: batch_norm}", "{type: none}", "{type: layer_norm}"
NETWORKS = {
    "conv net": networks.CONV_NET,
    "resnet": networks.RESNET,
    "chain": networks.CHAIN,
    "depthwise": networks.DEPTHWISE,
}
CNN = "losses: {local: {aggregation: pooled, head: {type: cnn, channels: 3}}}"
MLP = "losses: {local: {head: {type: mlp, width: 5, layers: 2}}}"


def _over_basis(rule, architecture, per_example, more):
    """Sum of the estimates over a full orthonormal basis of every segment's perturbations."""
    once = networks.program(rule, architecture=architecture, more=more, perturbation="samples: 1")
    given, total = {}, 0
    for elements in networks.elements(once):
        shapes = {name: e.shape[1:] if per_example else e.shape for name, e in elements.items()}
        for name, rows in networks.basis(shapes).items():
            wide = (len(rows), elements[name].shape[0], *rows.shape[1:])
            given[name] = np.broadcast_to(rows[:, None], wide) if per_example else rows
            total = max(total, len(rows))
    padded = {
        name: jnp.asarray(np.pad(rows, [(0, total - len(rows))] + [(0, 0)] * (rows.ndim - 1)))
        for name, rows in given.items()
    }
    many = f"samples: {total}"
    made = networks.program(rule, architecture=architecture, more=more, perturbation=many)
    grads, _ = made.gradient(networks.state_of(made), networks.batch_of(), padded)
    return jax.tree.map(lambda g: g * total, grads["blocks"])


LAWS = [
    ("lg-fg-a", "conv net", PLAIN, ""),
    ("lg-fg-a", "conv net", BATCH, CNN),
    ("lg-fg-w", "resnet", BATCH, ""),
    ("fg-a", "chain", LAYER, ""),
    ("lg-fg-w", "depthwise", "{type: local_layer_norm}", MLP),
]


@pytest.mark.parametrize(("rule", "network", "norm", "more"), LAWS)
def test_full_basis_gives_exact_gradient(rule, network, norm, more):
    """Where a batch norm mixes examples, an activity-space basis spans the whole batch."""
    architecture = NETWORKS[network] % norm
    per_example = rule.endswith("a") and norm != BATCH
    summed = _over_basis(rule, architecture, per_example, more)
    target = "lg-bp" if rule.startswith("lg") else "bp"
    made = networks.program(target, architecture=architecture, more=more)
    exact, _ = made.gradient(networks.state_of(made), networks.batch_of())
    assert networks.distance(summed, exact["blocks"]) < 2e-4


@pytest.mark.parametrize(
    ("rule", "network", "norm", "more"),
    [("lg-fa", "conv net", BATCH, CNN), ("fa", "chain", LAYER, "")],
)
def test_feedback_with_the_forward_weights_is_backprop(rule, network, norm, more):
    architecture = NETWORKS[network] % norm
    made = networks.program(rule, architecture=architecture, more=more)
    twin = networks.program(rule.replace("fa", "bp"), architecture=architecture, more=more)
    state = networks.state_of(made)
    params = flatten(state.params)
    weights = {path: params[path] for path in flatten(state.feedback)}
    found, _ = made.gradient(state._replace(feedback=unflatten(weights)), networks.batch_of())
    expected, _ = twin.gradient(networks.state_of(twin), networks.batch_of())
    assert networks.distance(found, expected) < 1e-4


DECAYED = "optimizer: {type: sgd, learning_rate: 1.0, weight_decay: 0.5, momentum: 0.0}"


def _resnet_by_direct_feedback():
    made = networks.program("dfa", architecture=networks.RESNET % BATCH, more=DECAYED)
    return made, networks.state_of(made), networks.batch_of()


def test_direct_feedback_reaches_every_parameter_of_a_resnet():
    made, state, batch = _resnet_by_direct_feedback()
    gradients = flatten(made.gradient(state, batch)[0])
    assert gradients.keys() == flatten(state.params).keys()
    assert [path for path, g in gradients.items() if float(jnp.abs(g).max()) == 0] == []


def test_a_step_moves_every_running_statistic_once():
    made, state, batch = _resnet_by_direct_feedback()
    places = {path: list(own) for path, own in state.statistics.items()}
    assert places["block1/shortcut1"] == places["classifier/norm"] == ["after"]
    before = jax.device_get(state.statistics)
    after, _ = made.update(state, batch)
    for path, own in before.items():
        for place, moments in own.items():
            moved = after.statistics[path][place]
            assert not np.allclose(moved.mean, moments.mean), path
            assert float(moved.variance.min()) > 0.89


def test_weight_decay_leaves_scales_and_shifts():
    made, state, batch = _resnet_by_direct_feedback()
    gradients, _ = made.gradient(state, batch)
    old = jax.device_get(flatten(state.params))
    new = flatten(made.update(state, batch)[0].params)
    for path, gradient in flatten(gradients).items():
        decay = 0.5 * old[path] if path.endswith("/w") else 0.0
        np.testing.assert_allclose(new[path], old[path] - gradient - decay, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("rule", ["lg-bp", "fg-a"])
def test_flops_against_xla(rule):
    """Counted in the trace, linear maps and all else; XLA removes and merges a little more."""
    net = "{type: conv_net, channels: [32, 32, 64], downsample: [1], normalization: {type: none}}"
    made = networks.program(rule, architecture=net, batch=16)
    ratio = compile_update(made).flops / update_flops(made.plan)
    assert 0.97 < ratio < 1.05


HEADS = [
    "{}",
    "{aggregation: replicated, head: {type: mlp, width: 5, layers: 2}}",
    *[f"{{aggregation: pooled, head: {{type: {t}}}}}" for t in ("linear", "cnn", "next_blocks")],
    "{aggregation: pooled, head: {type: mlp, width: 5, layers: 2}}",
]
MLP_NET = "{type: mlp, hidden: [5, 4], bias: false, normalization: %s}"


RULES = [("lg-fg-a", BATCH), ("lg-fg-w", LAYER), ("l-fa", PLAIN)]


@pytest.mark.parametrize("head", range(len(HEADS)))
@pytest.mark.parametrize("network", range(5))
def test_every_head_fits_every_network(network, head):
    """Traced, not compiled: gradients have the shapes of the parameters."""
    rule, norm = RULES[(network + head) % 3]
    architecture = [*NETWORKS.values(), MLP_NET][network] % norm
    more = f"losses: {{local: {HEADS[head]}}}"
    made = networks.program(rule, architecture=architecture, more=more)
    state = jax.eval_shape(lambda: made.init(0))
    grads, metrics = jax.eval_shape(made.gradient, state, networks.batch_of())
    shapes = [{p: leaf.shape for p, leaf in flatten(t).items()} for t in (grads, state.params)]
    assert shapes[0] == shapes[1]
    assert {"local_loss/block0", "local_loss/block1"} <= metrics.keys()
