"""LocalMixer under backprop and LG-FG-A in plain JAX, as one writes it by hand; see `peers.py`.

Ren et al. 2022, figures 1 and 2 for the network, equations 4 and 5 for replicated losses. Nothing
here knows of fgspec. Parameters are `{"blocks": {"block0": {"channel": {"w", "b"}, ...}}, ...}`,
activations [n, p, g, c]: example, patch, group, channel of the group.
"""

from collections.abc import Callable, Mapping
from functools import partial
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import optax
from jax import lax

Params = Mapping[str, Any]
Noise = Callable[[str, tuple[int, ...]], jax.Array]
"""(name of a layer, shape of its output) -> its perturbation."""

EPSILON = 1e-5
IN_POSITION, IN_GROUP = (2, 3), (3,)
"""Axes that are normalized over: all channels of a patch, those of one of its groups."""


class Setting(NamedTuple):
    """What the functions below need beside parameters.

    Attributes:
        patches: along a side.
        mean: of pixels in [0, 1], by colour.
        std: their deviation.
    """

    patches: int
    mean: tuple[float, ...]
    std: tuple[float, ...]


def patches_of(setting: Setting, image: jax.Array) -> jax.Array:
    """Standardized integers of 0 to 255 [n, h, w, k], cut into patches [n, p, 1, f]."""
    x = (image.astype(jnp.float32) / 255 - jnp.array(setting.mean)) / jnp.array(setting.std)
    examples, height, width, colours = x.shape
    side, rows, columns = setting.patches, height // setting.patches, width // setting.patches
    x = x.reshape(examples, side, rows, side, columns, colours)
    return x.transpose(0, 1, 3, 2, 4, 5).reshape(examples, side * side, 1, -1)


def normed(x: jax.Array, axes: tuple[int, ...]) -> jax.Array:
    """Zero mean and unit variance over `axes`."""
    centred = x - x.mean(axes, keepdims=True)
    return centred * lax.rsqrt((centred * centred).mean(axes, keepdims=True) + EPSILON)


def token(own: Params, x: jax.Array) -> jax.Array:
    """Patches mixed, all channels alike."""
    return jnp.einsum("npgc,pq->nqgc", x, own["w"]) + own["b"][:, None, None]


def channel(own: Params, x: jax.Array) -> jax.Array:
    """Channels mixed, all patches alike."""
    flat = x.reshape(*x.shape[:2], -1)
    return jnp.einsum("npd,dgc->npgc", flat, own["w"]) + own["b"]


def group(own: Params, x: jax.Array) -> jax.Array:
    """Channels mixed within their group."""
    return jnp.einsum("npgc,gcd->npgd", x, own["w"]) + own["b"]


LAYERS = {
    "token": (token, IN_POSITION),
    "channel": (channel, IN_POSITION),
    "group": (group, IN_GROUP),
}
"""In the order of a block: the map and what it is normalized over, before and after."""


def before_relu(name: str, own: Params, x: jax.Array) -> jax.Array:
    """A layer without its rectifier and what is added to it."""
    apply, axes = LAYERS[name]
    return normed(apply(own, normed(x, axes)), axes)


def features(params: Params, x: jax.Array) -> jax.Array:
    """What leaves the last block."""
    for number, block in enumerate(params["blocks"].values()):
        entered = x
        for name in LAYERS:
            if name in block:
                z = before_relu(name, block[name], x)
                x = jax.nn.relu(z + entered if name == "group" and number else z)
    return x


def cross_entropy(logits: jax.Array, label: jax.Array) -> jax.Array:
    """Of every example, in nats."""
    return optax.softmax_cross_entropy_with_integer_labels(logits, label)


def classified(own: Params, x: jax.Array) -> jax.Array:
    """The classifier's logits: linear, of the normalized average over patches."""
    return normed(x.mean(1, keepdims=True), IN_POSITION).reshape(len(x), -1) @ own["w"] + own["b"]


def backprop(
    setting: Setting, params: Params, batch: Params, noise: Noise | None = None
) -> tuple[Params, jax.Array]:
    """The gradient of the mean loss of the classifier, and that loss."""
    x = patches_of(setting, batch["image"])

    def loss(params: Params) -> jax.Array:
        logits = classified(params["classifier"], features(params, x))
        return cross_entropy(logits, batch["label"]).mean()

    value, gradient = jax.value_and_grad(loss)(params)
    return gradient, value


def local_forward_gradient(
    setting: Setting, params: Params, batch: Params, noise: Noise
) -> tuple[Params, jax.Array]:
    """The estimate of LG-FG-A: activities perturbed, a loss at every patch and group of each block.

    Args:
        setting: see there.
        params: with `heads`, one for every block.
        batch: `image` and `label`.
        noise: one perturbation of every layer, of every example by itself.
    """
    x, label = patches_of(setting, batch["image"]), batch["label"]
    blocks, heads = {}, {}
    for number, (place, block) in enumerate(params["blocks"].items()):
        entered, dx, pulls = x, jnp.zeros_like(x), {}
        for name in LAYERS:
            if name in block:
                own = block[name]
                _, pull = jax.vjp(lambda own, n=name, x=x: before_relu(n, own, x), own)
                z, dz = jax.jvp(partial(before_relu, name, own), (x,), (dx,))
                u = noise(f"{place}/{name}", z.shape)
                z = z + entered if name == "group" and number else z
                x, dx = jax.nn.relu(z), jnp.where(z > 0, dz + u, 0)
                pulls[name] = (pull, jnp.where(z > 0, u, 0))
        credit, heads[place] = local_loss(params["heads"][place], x, dx, label)
        whole = credit.sum(2, keepdims=True)  # a patch of the token layer moves all groups
        blocks[place] = {
            name: pull((whole if name == "token" else credit) * u / len(x))[0]
            for name, (pull, u) in pulls.items()
        }

    def loss(own: Params) -> jax.Array:
        return cross_entropy(classified(own, x), label).mean()

    value, classifier = jax.value_and_grad(loss)(params["classifier"])
    return {"blocks": blocks, "heads": heads, "classifier": classifier}, value


def local_loss(
    head: Params, x: jax.Array, dx: jax.Array, label: jax.Array
) -> tuple[jax.Array, Params]:
    """The derivative of every copy of a block's loss [n, p, g, 1], and its head's gradient.

    All copies have the value of one loss, of the average over patches; each moves with the features
    of its own patch and group alone.
    """
    y, dy = jax.jvp(lambda x: normed(x, IN_GROUP), (x,), (dx,))
    pooled = y.mean(1).reshape(len(x), -1)
    error = jax.nn.softmax(pooled @ head["w"] + head["b"])
    error = error - jax.nn.one_hot(label, error.shape[1])
    towards = (error @ head["w"].T).reshape(len(x), 1, *x.shape[2:])
    credit = (dy * towards).sum(3, keepdims=True) / x.shape[1]
    return credit, {"w": pooled.T @ error / len(x), "b": error.mean(0)}


RULES = {"bp": backprop, "lg-fg-a": local_forward_gradient}
GUESSES = {"rademacher": jax.random.rademacher, "normal": jax.random.normal}


def optimizer(steps: int) -> optax.GradientTransformation:
    """That of Ren et al. 2022: momentum, decay of weights, linear schedule, slower classifier."""

    def weights(params: Params) -> Any:
        return jax.tree_util.tree_map_with_path(lambda path, _: path[-1].key == "w", params)

    def slower(updates: Params, params: Any) -> Params:
        return {**updates, "classifier": jax.tree.map(lambda u: u * 0.1, updates["classifier"])}

    return optax.chain(
        optax.add_decayed_weights(1e-4, mask=weights),
        optax.sgd(optax.linear_schedule(0.01, 0.0, steps), momentum=0.9),
        optax.stateless(slower),
    )


class State(NamedTuple):
    """What an update changes."""

    params: Params
    moments: Any
    key: jax.Array


def make_update(setting: Setting, rule: str, guess: str, steps: int) -> Callable[..., Any]:
    """(State, batch) -> (State, loss) for `jax.jit`; the state may be donated.

    Args:
        setting: see there.
        rule: a key of `RULES`.
        guess: a key of `GUESSES`.
        steps: of the run, for the schedule.
    """
    estimate, draw, transform = RULES[rule], GUESSES[guess], optimizer(steps)

    def update(state: State, batch: Params) -> tuple[State, jax.Array]:
        key, now = jax.random.split(state.key)
        drawn = iter(jax.random.split(now, 3 * len(state.params["blocks"])))

        def noise(name: str, shape: tuple[int, ...]) -> jax.Array:
            return draw(next(drawn), shape, jnp.float32)

        gradient, loss = estimate(setting, state.params, batch, noise)
        updates, moments = transform.update(gradient, state.moments, state.params)
        return State(optax.apply_updates(state.params, updates), moments, key), loss

    return update


def start(params: Params, steps: int, seed: int = 0) -> State:
    """A run's first state."""
    return State(params, optimizer(steps).init(params), jax.random.key(seed))
