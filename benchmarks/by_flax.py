"""LocalMixer under backprop as Flax modules, in linen and in NNX; see `peers.py`.

Parameters are those of `by_hand.py` under other names, so that gradients can be compared.
"""

from collections.abc import Callable, Mapping
from typing import Any

import by_hand
import jax
import jax.numpy as jnp
import optax
from flax import linen, nnx

Params = Mapping[str, Any]

EINSUMS = {
    "token": "npgc,pq->nqgc",
    "channel": "npd,dgc->npgc",
    "group": "npgc,gcd->npgd",
    "classifier": "nf,fk->nk",
}
"""What a layer computes, by its name."""


def _entering(name: str, x: jax.Array) -> jax.Array:
    return x.reshape(*x.shape[:2], -1) if name == "channel" else x


# linen


def _linen_norm(axes: tuple[int, ...], x: jax.Array) -> jax.Array:
    norm = linen.LayerNorm(
        epsilon=by_hand.EPSILON, use_bias=False, use_scale=False, reduction_axes=axes
    )
    return norm(x)


class Linen(linen.Module):
    """The network.

    Attributes:
        shapes: of every layer's kernel, by block and name.
    """

    shapes: Mapping[str, Mapping[str, tuple[int, ...]]]
    classes: int

    @linen.compact
    def __call__(self, x: jax.Array) -> jax.Array:
        """The logits of patches."""
        for number, (block, layers) in enumerate(self.shapes.items()):
            entered = x
            for name in by_hand.LAYERS:
                if name not in layers:
                    continue
                axes = by_hand.LAYERS[name][1]
                apply = linen.Einsum(layers[name], EINSUMS[name], name=f"{block}_{name}")
                x = _linen_norm(axes, apply(_entering(name, _linen_norm(axes, x))))
                x = linen.relu(x + entered if name == "group" and number else x)
        pooled = _linen_norm(by_hand.IN_POSITION, x.mean(1, keepdims=True)).reshape(len(x), -1)
        return linen.Dense(self.classes, name="classifier")(pooled)


def linen_params(params: Params) -> Params:
    """Parameters of `by_hand.py` as linen names them."""
    found = {
        f"{block}_{name}": {"kernel": own["w"], "bias": own["b"]}
        for block, layers in params["blocks"].items()
        for name, own in layers.items()
    }
    last = params["classifier"]
    return found | {"classifier": {"kernel": last["w"], "bias": last["b"]}}


def make_linen(setting: by_hand.Setting, params: Params) -> Callable[..., Any]:
    """(linen's parameters, batch) -> the mean loss."""
    shapes = {
        block: {name: tuple(own["w"].shape) for name, own in layers.items()}
        for block, layers in params["blocks"].items()
    }
    network = Linen(linen.FrozenDict(shapes), params["classifier"]["w"].shape[1])

    def loss(params: Params, batch: Params) -> jax.Array:
        x = by_hand.patches_of(setting, batch["image"])
        logits = network.apply({"params": params}, x)
        return by_hand.cross_entropy(logits, batch["label"]).mean()

    return loss


def optimizer(steps: int) -> optax.GradientTransformation:
    """That of `by_hand.py`, for the names here."""

    def weights(params: Any) -> Any:
        return jax.tree_util.tree_map_with_path(lambda path, _: _named(path, "kernel"), params)

    def slower(updates: Any, params: Any) -> Any:
        return jax.tree_util.tree_map_with_path(
            lambda path, u: u * 0.1 if _named(path, "classifier") else u, updates
        )

    return optax.chain(
        optax.add_decayed_weights(1e-4, mask=weights),
        optax.sgd(optax.linear_schedule(0.01, 0.0, steps), momentum=0.9),
        optax.stateless(slower),
    )


def _named(path: tuple[Any, ...], name: str) -> bool:
    return any(getattr(part, "key", getattr(part, "name", None)) == name for part in path)


def linen_update(setting: by_hand.Setting, params: Params, steps: int) -> Callable[..., Any]:
    """((parameters, moments), batch) -> the same after a step, and the loss."""
    loss, transform = make_linen(setting, params), optimizer(steps)

    def update(state: Any, batch: Params) -> Any:
        own, moments = state
        value, gradient = jax.value_and_grad(loss)(own, batch)
        updates, moments = transform.update(gradient, moments, own)
        return (optax.apply_updates(own, updates), moments), value

    return update


# NNX


class Nnx(nnx.Module):
    """The network, with the parameters it is given."""

    def __init__(self, params: Params) -> None:
        rngs = nnx.Rngs(0)
        self.blocks = nnx.List(
            [
                nnx.Dict(
                    {
                        name: nnx.Einsum(EINSUMS[name], own["w"].shape, own["b"].shape, rngs=rngs)
                        for name, own in layers.items()
                    }
                )
                for layers in params["blocks"].values()
            ]
        )
        width, classes = params["classifier"]["w"].shape
        self.classifier = nnx.Linear(width, classes, rngs=rngs)
        of_blocks = zip(self.blocks, params["blocks"].values(), strict=True)
        for layer, own in (
            (self.classifier, params["classifier"]),
            *((made[name], layers[name]) for made, layers in of_blocks for name in layers),
        ):
            layer.kernel[...], layer.bias[...] = own["w"], own["b"]

    def __call__(self, x: jax.Array) -> jax.Array:
        """The logits of patches."""
        for number, block in enumerate(self.blocks):
            entered = x
            for name, (_, axes) in by_hand.LAYERS.items():
                if name not in block:
                    continue
                z = block[name](_entering(name, by_hand.normed(x, axes)))
                z = by_hand.normed(z, axes)
                x = nnx.relu(z + entered if name == "group" and number else z)
        pooled = by_hand.normed(x.mean(1, keepdims=True), by_hand.IN_POSITION)
        return self.classifier(pooled.reshape(len(x), -1))


def nnx_gradient(setting: by_hand.Setting, network: Nnx, batch: Params) -> Any:
    """The mean loss, and its gradient as NNX has it."""

    def loss(network: Nnx) -> jax.Array:
        logits = network(by_hand.patches_of(setting, batch["image"]))
        return by_hand.cross_entropy(logits, batch["label"]).mean()

    return nnx.value_and_grad(loss)(network)


def nnx_update(setting: by_hand.Setting, params: Params, steps: int) -> Callable[..., Any]:
    """Batch -> loss, of a network that is changed in place."""
    network = Nnx(jax.tree.map(jnp.copy, params))
    moments = nnx.Optimizer(network, optimizer(steps), wrt=nnx.Param)

    @nnx.jit
    def update(network: Nnx, moments: nnx.Optimizer, batch: Params) -> jax.Array:
        value, gradient = nnx_gradient(setting, network, batch)
        moments.update(network, gradient)
        return value

    return lambda batch: update(network, moments, batch)


def nnx_named(gradient: Any, like: Params) -> Params:
    """A gradient of NNX in the names of `by_hand.py`."""
    found = nnx.to_pure_dict(gradient)

    def own(layer: Any) -> Params:
        return {"w": layer["kernel"], "b": layer["bias"]}

    blocks = {
        block: {name: own(found["blocks"][number][name]) for name in layers}
        for number, (block, layers) in enumerate(like["blocks"].items())
    }
    return {"blocks": blocks, "classifier": own(found["classifier"])}
