"""Derivatives seen as vectors, one for each example or one for all, and how they become weights'.

`Arrays` are vectors as they stand: pre-activations, outputs of blocks, weights. `Contributions`
are what each example adds to the gradient of each weight; they are made from the derivatives at
pre-activations layer by layer and never all at once.
"""

from collections.abc import Callable, Mapping
from math import prod
from typing import Any, NamedTuple, Protocol, runtime_checkable

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float

from compiler.gradient.spaces import SPACES, Passed
from compiler.network.layers import Layer, pre_activation
from compiler.network.network import layers_in

Signals = Mapping[str, Float[Array, "..."]]
"""Derivatives at what a space perturbs, by name."""

_CHUNK = 8
"""Examples whose contributions to a layer's weights are held at once."""


@runtime_checkable
class View(Protocol):
    """Vectors of a space at one granularity; a tensor is what has a vector of its own."""

    def inner(self, a: Signals, b: Signals) -> dict[str, Float[Array, "..."]]:
        """Inner products by tensor: [n], or [] where the batch has one vector."""
        ...

    def rows(self, a: Signals) -> dict[str, Float[Array, "n d"]]:
        """The vector of every example, by tensor."""
        ...

    def size(self, tensor: str) -> int:
        """Numbers of one vector."""
        ...

    def times(self, a: Signals, by: Signals) -> Signals:
        """`a` with every vector multiplied by its coefficient."""
        ...

    def mixed(self, a: Signals, by: Mapping[str, Float[Array, "m n"]]) -> Signals:
        """For example n the sum over m of `by[m, n]` times vector m."""
        ...

    def finish(self, estimates: Signals) -> Mapping[str, Any]:
        """Gradient of the weights from what `times` or `mixed` returned."""
        ...


class Arrays(NamedTuple):
    """The arrays of a space; see `View`.

    Attributes:
        space: a row of `SPACES`.
        whole: whether the batch has one vector instead of every example its own.
        at: the unperturbed pass.
        shapes: of the arrays by name.
    """

    space: str
    whole: bool
    at: Passed
    shapes: Mapping[str, tuple[int, ...]]

    def inner(self, a: Signals, b: Signals) -> dict[str, Float[Array, "..."]]:
        """Sums of products."""
        if self.whole:
            return {name: (a[name] * b[name]).sum() for name in a}
        return {name: (a[name] * b[name]).reshape(len(a[name]), -1).sum(1) for name in a}

    def rows(self, a: Signals) -> dict[str, Float[Array, "n d"]]:
        """Arrays flattened."""
        return {name: part.reshape(len(part), -1) for name, part in a.items()}

    def size(self, tensor: str) -> int:
        """Of the array, or of its part of one example."""
        return prod(self.shapes[tensor] if self.whole else self.shapes[tensor][1:])

    def times(self, a: Signals, by: Signals) -> Signals:
        """Products."""
        return {name: _stretch(by[name], part.ndim) * part for name, part in a.items()}

    def mixed(self, a: Signals, by: Mapping[str, Float[Array, "m n"]]) -> Signals:
        """Sums over examples."""
        return {name: jnp.einsum("mn,m...->n...", by[name], part) for name, part in a.items()}

    def finish(self, estimates: Signals) -> Mapping[str, Any]:
        """The space's pull-back."""
        return SPACES[self.space].pull_back(self.at, estimates, True)


class Contributions(NamedTuple):
    """What every example adds to the gradient of every weight; see `View`.

    The derivatives are those at pre-activations, by `block/layer`; tensors are weights and biases,
    by `block/layer/name`. Where a normalization couples examples, its derivative is exact and an
    example's contribution is what its own linear map makes of it.
    """

    at: Passed

    def inner(self, a: Signals, b: Signals) -> dict[str, Float[Array, " n"]]:
        """Inner products of contributions, a few examples at a time."""
        found: dict[str, Any] = {}
        for path, layer, back in self._layers(a):

            def one(parts: Any, layer: Layer = layer, path: str = path) -> Any:
                x, first, second = parts
                pull = self._contribution(path, layer)
                return jax.tree.map(lambda p, q: (p * q).sum(), pull(x, first), pull(x, second))

            x = self.at.trace.layers[path].input
            found |= _named(
                path, jax.lax.map(one, (x, back(a[path]), back(b[path])), batch_size=_CHUNK)
            )
        return found

    def rows(self, a: Signals) -> dict[str, Float[Array, "n d"]]:
        """Contributions flattened."""
        found: dict[str, Any] = {}
        for path, layer, back in self._layers(a):
            x = self.at.trace.layers[path].input
            every = jax.vmap(self._contribution(path, layer))(x, back(a[path]))
            found |= _named(path, jax.tree.map(lambda part: part.reshape(len(part), -1), every))
        return found

    def size(self, tensor: str) -> int:
        """Of the weight."""
        block, layer, name = tensor.split("/")
        return self.at.params[block][layer][name].size

    def times(self, a: Signals, by: Signals) -> Signals:
        """The derivative behind the linear map, once for each of the layer's tensors."""
        found = {}
        for path, _, back in self._layers(a):
            behind = back(a[path])
            for name in self._params(path):
                tensor = f"{path}/{name}"
                found[tensor] = _stretch(by[tensor], behind.ndim) * behind
        return found

    def mixed(self, a: Signals, by: Mapping[str, Float[Array, "m n"]]) -> Signals:
        """Contributions add up over examples, so only the sum over n counts."""
        return self.times(a, {tensor: part.sum(1) for tensor, part in by.items()})

    def finish(self, estimates: Signals) -> Mapping[str, Any]:
        """Every tensor from its own scaled derivative."""
        grads: dict[str, Any] = {block.name: {} for block in self.at.segment.blocks}
        for path, layer in layers_in(self.at.segment.blocks):
            block, name = path.split("/")
            x = self.at.trace.layers[path].input
            grads[block][name] = {
                tensor: self._pull(path, layer, x, estimates[f"{path}/{tensor}"])[tensor]
                for tensor in self._params(path)
            }
        return grads

    def _params(self, path: str) -> Mapping[str, Any]:
        block, layer = path.split("/")
        return self.at.params[block][layer]

    def _layers(self, among: Signals) -> Any:
        """Layers and the way of a derivative back through the normalization behind each."""
        for path, layer in layers_in(self.at.segment.blocks):
            if path not in among:
                continue
            x = self.at.trace.layers[path].input
            raw = pre_activation(layer, self._params(path), x, through_norm=False)
            yield path, layer, _before(layer, raw)

    def _pull(self, path: str, layer: Layer, x: Any, behind: Any) -> Mapping[str, Any]:
        def run(params: Any) -> Any:
            return pre_activation(layer, params, x, through_norm=False)

        return jax.vjp(run, self._params(path))[1](behind)[0]

    def _contribution(self, path: str, layer: Layer) -> Callable[[Any, Any], Any]:
        return lambda x, behind: self._pull(path, layer, x[None], behind[None])


def _before(layer: Layer, raw: Float[Array, "n p g c"]) -> Callable[[Any], Any]:
    if layer.after is None:
        return lambda error: error
    pull = jax.vjp(layer.after, raw)[1]
    return lambda error: pull(error)[0]


def _named(path: str, parts: Mapping[str, Any]) -> dict[str, Any]:
    return {f"{path}/{name}": part for name, part in parts.items()}


def _stretch(by: Float[Array, "..."], ndim: int) -> Float[Array, "..."]:
    return by.reshape(by.shape + (1,) * (ndim - by.ndim)) if by.ndim else by
