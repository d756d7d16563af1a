"""Credit routes against a dependence probe: nudge every element, see which copies move."""

import jax
import jax.numpy as jnp
import networks
import numpy as np
import pytest

from compiler.named_arrays.axes import ACTIVATION
from compiler.network.network import forward
from compiler.objectives.replicated import naive

NORMS = [
    "{type: none}",
    "{type: local_layer_norm, placement: [begin_block, before_linear, after_linear]}",
    "{type: local_layer_norm, placement: [before_linear], readout: false}",
    "{type: local_layer_norm, placement: [after_linear]}",
    "{type: layer_norm}",
    "{type: layer_norm, placement: [begin_block], readout: false}",
    "{type: batch_norm, placement: [after_linear], readout: false}",
    "{type: batch_norm, placement: [begin_block]}",
]
MIXER = "{type: local_mixer, blocks: 2, patches: 2, channels: 6, groups: 2, normalization: %s}"
MLP = "{type: mlp, hidden: [4, 3], normalization: %s}"
EXAMPLES = 2


def _copies(plan, segment, state, x, labels):
    """The copies of a segment's loss as a function of weights and taps."""
    site = segment.sites[-1]
    head, readout = plan.readout(site), state.params["heads"][site.name]

    def value(readout, features):
        return plan.objective.value(head.outputs(readout, features[:, None, None])[0], labels)

    def copies(weights, taps):
        out = forward(segment.blocks, weights, x, taps).output
        return naive(value, ("patch", "group"))(readout, head.entering(out))

    return copies


def _moved(derivative, axes):
    """For each loss axis: does an element move copies at its own index, and at others?

    Args:
        derivative: [n, p, g, *shape], of every copy by every element.
        axes: the names of the axes of `shape`.
    """
    found = {}
    for position, axis in enumerate(ACTIVATION[:3]):
        if axis not in axes:
            continue
        own = 3 + axes.index(axis)
        size = derivative.shape[own]
        if derivative.shape[position] != size:  # a pooling or a map between groups stands between
            found[axis] = True
            continue
        pairs = np.moveaxis(derivative, (position, own), (0, 1)).reshape(size, size, -1)
        moves = (np.abs(pairs) > 1e-9).any(-1)
        found[axis] = bool(moves[~np.eye(size, dtype=bool)].any())
    return found


def _probe(rule, architecture):
    made = networks.program(rule, architecture=architecture, batch=EXAMPLES)
    state, batch = networks.state_of(made), networks.batch_of(EXAMPLES)
    plan = made.plan
    rng = np.random.default_rng(0)
    for segment in plan.segments:
        elements = plan.perturbed(segment)
        shape = segment.blocks[0].layers[0].inputs
        x = jnp.asarray(rng.standard_normal((EXAMPLES, *shape)), jnp.float32)
        copies = _copies(plan, segment, state, x, batch["label"])
        weights = {b.name: state.params["blocks"][b.name] for b in segment.blocks}
        taps = {
            f"{b.name}/{layer.name}": jnp.zeros((EXAMPLES, *layer.outputs))
            for b in segment.blocks
            for layer in b.layers
        }
        # In reverse mode: XLA 0.10.2 compiles a jitted `jacfwd` of local layer norms wrongly.
        by_weight, by_tap = jax.jit(jax.jacrev(copies, (0, 1)))(weights, taps)
        for name, element in elements.items():
            block, layer, *part = name.split("/")
            derivative = by_weight[block][layer][part[0]] if part else by_tap[name]
            yield name, element, _moved(np.asarray(derivative), element.axes)


@pytest.mark.parametrize("norm", NORMS)
@pytest.mark.parametrize("architecture", [MIXER, MLP])
@pytest.mark.parametrize("rule", ["lg-fg-a", "lg-fg-w"])
def test_routes_are_what_a_nudge_shows(rule, architecture, norm):
    probed = 0
    for name, element, moved in _probe(rule, architecture % norm):
        for axis, moves_others in moved.items():
            size = element.shape[element.axes.index(axis)]
            if size > 1:
                assert (axis in element.route) == (not moves_others), (name, axis)
                probed += 1
    assert probed > 0 or "mlp" in architecture


GRIDS = [
    networks.DEPTHWISE % "{type: local_layer_norm}",
    networks.CONV_NET % "{type: batch_norm}",
    networks.CONV_NET % "{type: none}",
    networks.RESNET % "{type: layer_norm, affine: true}",
    networks.CHAIN % "{type: none}",
    networks.CHAIN % "{type: batch_norm}",
]


@pytest.mark.parametrize("architecture", GRIDS)
@pytest.mark.parametrize("rule", ["lg-fg-a", "lg-fg-w"])
def test_routes_on_grids_are_what_a_nudge_shows(rule, architecture):
    probed = 0
    for name, element, moved in _probe(rule, architecture):
        for axis, moves_others in moved.items():
            if element.shape[element.axes.index(axis)] > 1:
                assert (axis in element.route) == (not moves_others), (name, axis)
                probed += 1
    assert probed > 0 or rule == "lg-fg-w"


def test_routes_of_the_paper():
    """Semantics of LocalMixer under local layer norm (Ren et al. 2022)."""
    made = networks.program("lg-fg-a")
    routes = {n: e.route for part in networks.elements(made) for n, e in part.items()}
    assert routes == {
        "block0/channel": ("batch", "patch", "group"),
        "block0/group": ("batch", "patch", "group"),
        "block1/token": ("batch", "patch"),
        "block1/channel": ("batch", "patch", "group"),
        "block1/group": ("batch", "patch", "group"),
    }
