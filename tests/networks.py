"""Small networks, batches and perturbations that several tests use."""

from functools import lru_cache
from math import prod

import jax
import jax.numpy as jnp
import numpy as np

from compiler.compile import compile_plan
from compiler.estimators.context import drawn, make_context
from compiler.estimators.site_losses import Targets
from compiler.named_arrays.random_streams import key_data
from compiler.network.running import initial
from compiler.plan.plan import make_plan
from fgspec.loading.spec_file import loads
from fgspec.spec.dataset_info import DatasetInfo
from fgspec.spec.guesses import GUESSES

INFO = DatasetInfo(
    name="small",
    image_shape=(8, 8, 3),
    classes=10,
    train_examples=64,
    test_examples=16,
    mean=(0.4914, 0.4822, 0.4465),
    std=(0.2023, 0.1994, 0.2010),
)

MIXER = "{type: local_mixer, blocks: 2, patches: 2, channels: 8, groups: 2, normalization: %s}"
LOCAL_NORM = "{type: local_layer_norm}"
NO_NORM = "{type: none}"

CONV_NET = "{type: conv_net, channels: [2, 3], downsample: [0, 1], normalization: %s}"
RESNET = "{type: resnet18, blocks: 2, width: 0.02, normalization: %s}"
CHAIN = """
  type: chain
  patches: 4
  normalization: %s
  blocks:
    - - {type: dense, channels: 4, groups: 2}
      - {type: depthwise, activation: none}
      - {type: grouped, channels: 4, adds: [dense0]}
      - {type: max_pool}
    - - {type: conv, channels: 3, name: left, activation: none}
      - {type: conv, channels: 3, size: 1, source: input, bias: true, adds: [left]}
      - {type: average_pool, grid: [1, 2]}
"""
DEPTHWISE = """
  type: local_mixer
  blocks: 2
  patches: 4
  channels: 6
  groups: 2
  token_mixing: depthwise
  normalization: %s
"""


@lru_cache(maxsize=128)
def program(
    rule,
    *,
    architecture=None,
    norm=LOCAL_NORM,
    batch=4,
    perturbation="",
    augment="none",
    more="",
    info=INFO,
):
    """The program of a small network under a rule; asked for again it is compiled already."""
    gradient = f"gradient: {{perturbation: {{{perturbation}}}}}" if perturbation else ""
    text = f"""
fgspec: 1
name: small
{f"rule: {rule}" if rule else ""}
data: {{source: {{type: cifar10}}, batch_size: {batch}, augment: {augment}}}
architecture: {architecture or MIXER % norm}
{gradient}
training: {{epochs: 2}}
{more}
"""
    return compile_plan(make_plan(loads(text).experiment, info))


def batch_of(size=4, seed=0):
    """Random images in [0, 1] and labels."""
    rng = np.random.default_rng(seed)
    image = rng.random((size, 8, 8, 3), np.float32)
    return {"image": jnp.asarray(image), "label": jnp.asarray(rng.integers(0, 10, size), jnp.int32)}


def state_of(made, seed=0):
    """A state whose every parameter is random, so that no gradient vanishes."""
    shapes = jax.eval_shape(lambda: made.init(seed))
    rng = np.random.default_rng(seed + 1)

    def drawn(leaf):
        return jnp.asarray(0.3 * rng.standard_normal(leaf.shape), leaf.dtype)

    still = jax.tree.map(lambda leaf: jnp.zeros(leaf.shape, leaf.dtype), shapes)
    return still._replace(
        params=jax.tree.map(drawn, shapes.params),
        feedback=jax.tree.map(drawn, shapes.feedback),
        statistics=initial(made.plan.network),
        key=key_data(seed),
    )


def drawn_guesses():
    """The names of the guesses that are drawn."""
    return [name for name, kind in GUESSES.kinds().items() if not kind.made]


def elements(made):
    """Every perturbed array of a program by name, one dictionary a segment."""
    return [made.plan.perturbed(segment) for segment in made.plan.segments]


def basis(shapes, seed=0, dtype=np.float32):
    """A random orthonormal basis of the joint space of arrays of the given shapes, by name.

    The arrays have a leading axis over the vectors of the basis.
    """
    sizes = {name: prod(shape) for name, shape in shapes.items()}
    total = sum(sizes.values())
    rows, _ = np.linalg.qr(np.random.default_rng(seed).standard_normal((total, total)))
    parts = np.split(rows, np.cumsum(list(sizes.values()))[:-1], axis=1)
    return {
        name: part.reshape(total, *shapes[name]).astype(dtype)
        for name, part in zip(shapes, parts, strict=True)
    }


def over_basis(made_with, per_example):
    """The sum of a program's estimates over a full orthonormal basis of its perturbations.

    Args:
        made_with: number of samples -> the program.
        per_example: whether every example takes each vector by itself.
    """
    given, total = {}, 0
    for parts in elements(made_with(1)):
        shapes = {name: e.shape[1:] if per_example else e.shape for name, e in parts.items()}
        vectors = basis(shapes)
        total = max(total, len(next(iter(vectors.values()))))
        for name, rows in vectors.items():
            shape = (len(rows), parts[name].shape[0], *rows.shape[1:])
            given[name] = np.broadcast_to(rows[:, None], shape) if per_example else rows
    padded = {
        name: jnp.asarray(np.pad(rows, [(0, total - len(rows))] + [(0, 0)] * (rows.ndim - 1)))
        for name, rows in given.items()
    }
    made = made_with(total)
    grads, _ = made.gradient(state_of(made), batch_of(), padded)
    return jax.tree.map(lambda g: g * total, grads["blocks"])


def deviations(made, exact):
    """Standardised deviations of mean estimates from the exact gradient, [round, element].

    Elements share noise, so their scores are correlated; rounds are independent.
    """
    rounds, repeats = 10, 40
    state, batch = state_of(made), batch_of()

    def one(step):
        grads, _ = made.gradient(state._replace(step=step), batch)
        return jax.flatten_util.ravel_pytree(grads["blocks"])[0]

    rows = jax.jit(lambda steps: jax.lax.map(one, steps))(jnp.arange(rounds * repeats))
    means = np.asarray(rows, np.float64).reshape(rounds, repeats, -1)
    spread = means.std(1, ddof=1) / np.sqrt(repeats)
    target = np.asarray(jax.flatten_util.ravel_pytree(exact)[0], np.float64)
    moves = (spread > 1e-7).all(0)
    return (means.mean(1) - target)[:, moves] / spread[:, moves]


def wide(tree):
    """A tree whose floating arrays are float64; only within `jax.enable_x64(True)`."""

    def own(leaf):
        return leaf.astype(jnp.float64) if jnp.issubdtype(leaf.dtype, jnp.floating) else leaf

    return jax.tree.map(own, tree)


def apart(found, wanted):
    """`distance`, in float64 whatever JAX is set to."""
    both = zip(jax.tree.leaves(found), jax.tree.leaves(wanted), strict=True)
    pairs = [(np.asarray(a, np.float64), np.asarray(b, np.float64)) for a, b in both]
    assert jax.tree.structure(found) == jax.tree.structure(wanted)
    return max(np.abs(a - b).max() for a, b in pairs) / max(np.abs(b).max() for _, b in pairs)


def largest(tree):
    """The largest magnitude of any number in a tree."""
    return max(float(jnp.abs(leaf).max()) for leaf in jax.tree.leaves(tree))


def distance(a, b):
    """The largest difference of two trees, relative to the largest magnitude of the second."""
    gaps = jax.tree.map(lambda x, y: float(jnp.abs(x - y).max()), a, b)
    return max(jax.tree.leaves(gaps)) / largest(b)


def context_of(plan, state, labels, noise=None, step=None):
    """What an estimator sees at a step of a state: its own noise unless there is another."""
    step = state.step if step is None else step
    noise = drawn(plan, state.key, step) if noise is None else noise
    targets = Targets(labels, labels)
    return make_context(plan, state.params, state.feedback, targets, state.key, step, noise)


def estimated(plan, params, x, context):
    """The estimate of the plan's estimator for all blocks."""
    return plan.estimator.network_gradient(plan, {"blocks": params["blocks"]}, x, context)
