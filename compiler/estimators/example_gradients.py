"""Derivatives seen as vectors, one for each example or one for all, and how they become weights'.

`Arrays` are vectors as they stand: pre-activations, outputs of blocks, weights. `Contributions`
are what each example adds to the gradient of each weight; they are made from the derivatives at
pre-activations layer by layer and never all at once.
"""

from collections.abc import Callable, Iterator, Mapping
from functools import partial
from math import prod
from typing import Any, NamedTuple, Protocol, runtime_checkable

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float

from compiler.estimators.spaces import Passed
from compiler.named_arrays.precision import precise_type
from compiler.network.layers import mapped, scaled
from compiler.network.network import forward, layers_in
from compiler.network.shapes import Layer
from fgspec.spec.spaces import Space

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
        space: whose arrays they are.
        whole: whether the batch has one vector instead of every example its own.
        at: the unperturbed pass.
        shapes: of the arrays by name.
    """

    space: Space
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
        return {name: array.reshape(len(array), -1) for name, array in a.items()}

    def size(self, tensor: str) -> int:
        """Of the array, or of its part of one example."""
        return prod(self.shapes[tensor] if self.whole else self.shapes[tensor][1:])

    def times(self, a: Signals, by: Signals) -> Signals:
        """Products."""
        return {name: _stretch(by[name], array.ndim) * array for name, array in a.items()}

    def mixed(self, a: Signals, by: Mapping[str, Float[Array, "m n"]]) -> Signals:
        """Sums over examples."""
        return {name: jnp.einsum("mn,m...->n...", by[name], array) for name, array in a.items()}

    def finish(self, estimates: Signals) -> Mapping[str, Any]:
        """The space's pull-back."""
        return self.space.pull_back(self.at, estimates, True)


class _Behind(NamedTuple):
    """A layer's input and normalized output, the error behind its map and before its activation."""

    x: Any
    normed: Any
    mapped: Any
    scaled: Any


class Contributions(NamedTuple):
    """What every example adds to the gradient of every weight; see `View`.

    The derivatives are those at pre-activations, by `block/layer`; tensors are weights, biases,
    scales and shifts, by `block/layer/name`. Where a normalization couples examples, its
    derivative is exact and an example's contribution is what its own linear map makes of it.
    """

    at: Passed

    def inner(self, a: Signals, b: Signals) -> dict[str, Float[Array, " n"]]:
        """Inner products of contributions, a few examples at a time."""
        products: dict[str, Any] = {}
        for path, layer in self._layers(a):

            def one_example(pair: Any, layer: Layer = layer, path: str = path) -> Any:
                first, second = (self._contribution(path, layer, behind) for behind in pair)
                return jax.tree.map(lambda p, q: (p * q).sum(), first, second)

            pair = tuple(self._behind(path, layer, of[path]) for of in (a, b))
            products |= _named(path, jax.lax.map(one_example, pair, batch_size=_CHUNK))
        return products

    def rows(self, a: Signals) -> dict[str, Float[Array, "n d"]]:
        """Contributions flattened."""
        vectors: dict[str, Any] = {}
        for path, layer in self._layers(a):
            behind = self._behind(path, layer, a[path])
            contributions = jax.vmap(partial(self._contribution, path, layer))(behind)
            vectors |= _named(
                path, jax.tree.map(lambda array: array.reshape(len(array), -1), contributions)
            )
        return vectors

    def size(self, tensor: str) -> int:
        """Of the weight."""
        block, layer, name = tensor.split("/")
        return self.at.params[block][layer][name].size

    def times(self, a: Signals, by: Signals) -> Signals:
        """The error behind each of the layer's tensors, multiplied by its coefficients."""
        errors = {}
        for path, layer in self._layers(a):
            behind = self._behind(path, layer, a[path])
            for name in self.tensors(path):
                tensor = f"{path}/{name}"
                error = behind.scaled if name in layer.norm_params() else behind.mapped
                errors[tensor] = _stretch(by[tensor], error.ndim) * error
        return errors

    def mixed(self, a: Signals, by: Mapping[str, Float[Array, "m n"]]) -> Signals:
        """Contributions add up over examples, so only the sum over n counts."""
        return self.times(a, {tensor: coefficients.sum(1) for tensor, coefficients in by.items()})

    def finish(self, estimates: Signals) -> Mapping[str, Any]:
        """Every tensor from its own multiplied error."""
        grads: dict[str, Any] = {block.name: {} for block in self.at.segment.blocks}
        for path, layer in layers_in(self.at.segment.blocks):
            block, name = path.split("/")
            x, normed = self._values(path, layer)[:2]
            grads[block][name] = {
                tensor: self._pull(path, layer, x, normed, estimates[f"{path}/{tensor}"])[tensor]
                for tensor in self.tensors(path)
            }
        return grads

    def tensors(self, path: str) -> Mapping[str, Any]:
        """The parameters of a layer."""
        block, layer = path.split("/")
        return self.at.params[block][layer]

    def _layers(self, among: Signals) -> Iterator[tuple[str, Layer]]:
        return ((p, layer) for p, layer in layers_in(self.at.segment.blocks) if p in among)

    def _values(self, path: str, layer: Layer) -> tuple[Any, Any, Callable[[Any], Any]]:
        """The map's input, the normalized output, and the way back through the normalization."""
        x = self.at.trace.layers[path].input
        raw = mapped(layer, self.tensors(path), x, None)
        normed, pull = jax.vjp(lambda z: z if layer.after is None else layer.after(z), raw)
        return x, normed, lambda error: pull(error)[0]

    def _behind(self, path: str, layer: Layer, error: Float[Array, "n p g c"]) -> _Behind:
        x, normed, pull = self._values(path, layer)
        params = self.tensors(path)
        (through,) = jax.vjp(lambda z: scaled(layer, params, z), normed)[1](error)
        return _Behind(x, normed, pull(through), error)

    def _pull(self, path: str, layer: Layer, x: Any, normed: Any, error: Any) -> Mapping[str, Any]:
        """Gradients of the layer's tensors from an error that stands behind each of them."""
        params = self.tensors(path)
        of_map = jax.vjp(lambda p: mapped(layer, p, x, None), params)[1](error)[0]
        of_scale = jax.vjp(lambda p: scaled(layer, p, normed), params)[1](error)[0]
        affine = layer.norm_params()
        return {name: (of_scale if name in affine else of_map)[name] for name in params}

    def _contribution(self, path: str, layer: Layer, behind: _Behind) -> Mapping[str, Any]:
        """Of one example, whose values have no axis of examples."""
        x, normed, behind_map, behind_scale = (array[None] for array in behind)
        of_map = dict(self._pull(path, layer, x, normed, behind_map))
        of_scale = self._pull(path, layer, x, normed, behind_scale)
        windows, affine = layer.kind.windows(x, layer.start), layer.norm_params()
        # On a CPU XLA's gradient of a convolution, one example at a time, took 20 times as long.
        if windows is not None:
            error = behind_map.reshape(*behind_map.shape[1:2], -1)
            of_map["w"] = (windows[0].T @ error).reshape(of_map["w"].shape)
        return {name: (of_scale if name in affine else of_map)[name] for name in self.tensors(path)}


class Scaled(NamedTuple):
    """Slopes at the outputs of blocks that multiply what each example adds to the weights.

    The guess is pulled back as it is, and its contributions are scaled example by example. That is
    another estimate than the scaled guess pulled back only where a normalization mixes examples.

    Attributes:
        outputs: the arrays at the outputs of blocks.
        weights: contributions of examples to the weights of all blocks.
    """

    outputs: Arrays
    weights: Contributions

    def inner(self, a: Signals, b: Signals) -> dict[str, Float[Array, " n"]]:
        """At the outputs."""
        return self.outputs.inner(a, b)

    def rows(self, a: Signals) -> dict[str, Float[Array, "n d"]]:
        """At the outputs."""
        return self.outputs.rows(a)

    def size(self, tensor: str) -> int:
        """Of an output."""
        return self.outputs.size(tensor)

    def times(self, a: Signals, by: Signals) -> Signals:
        """The errors behind the tensors of every block, multiplied by its coefficients."""
        inside = self._pulled_back(a)
        tensors = {
            f"{path}/{name}": by[path.split("/")[0]]
            for path in inside
            for name in self.weights.tensors(path)
        }
        return self.weights.times(inside, tensors)

    def mixed(self, a: Signals, by: Mapping[str, Float[Array, "m n"]]) -> Signals:
        """Contributions add up over examples, so only the sum over n counts."""
        return self.times(a, {name: coefficients.sum(1) for name, coefficients in by.items()})

    def finish(self, estimates: Signals) -> Mapping[str, Any]:
        """Every tensor from its own multiplied error."""
        return self.weights.finish(estimates)

    def _pulled_back(self, outputs: Signals) -> Signals:
        """Errors at pre-activations from errors at the outputs of blocks, each by itself."""
        at, x, errors = self.outputs.at, self.outputs.at.x, {}
        for block in at.segment.blocks:
            if block.name in outputs:
                shapes = {p: (len(x), *layer.outputs) for p, layer in layers_in((block,))}
                zeros = {path: jnp.zeros(s, precise_type(x)) for path, s in shapes.items()}
                block_params = {block.name: at.params[block.name]}

                def run(
                    by: Any, block: Any = block, block_params: Any = block_params, x: Any = x
                ) -> Any:
                    return forward((block,), block_params, x, by).output

                out, pull = jax.vjp(run, zeros)
                errors |= pull(outputs[block.name].astype(out.dtype))[0]
            x = at.trace.features[block.name]
        return errors


def _named(path: str, tensors: Mapping[str, Any]) -> dict[str, Any]:
    return {f"{path}/{name}": array for name, array in tensors.items()}


def _stretch(by: Float[Array, "..."], ndim: int) -> Float[Array, "..."]:
    return by.reshape(by.shape + (1,) * (ndim - by.ndim)) if by.ndim else by
