"""Derivatives as vectors, one per example or one per batch, for projections on guesses.

A projection needs inner products of such vectors and multiples of them, and at the end gradients of
the weights. `View` is this interface. `Arrays` takes the arrays of a space as they are:
pre-activations, outputs of blocks, weights. `Contributions` takes what each example adds to the
gradient of each weight. It computes this layer by layer from derivatives at pre-activations,
because the contributions of all examples to all weights would not fit in memory.
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
"""Derivatives with respect to the arrays that a space perturbs, by name."""

_CHUNK = 8
"""The number of examples whose contributions to a layer's weights are in memory at once."""


@runtime_checkable
class View(Protocol):
    """Derivatives in a space, as one vector per tensor and example, or per tensor and batch."""

    def inner(self, a: Signals, b: Signals) -> dict[str, Float[Array, "..."]]:
        """Inner products of `a` and `b` by tensor: [n], or [] where the batch has one vector."""
        ...

    def rows(self, a: Signals) -> dict[str, Float[Array, "n d"]]:
        """The vectors of all examples [n, d], by tensor."""
        ...

    def size(self, tensor: str) -> int:
        """The length d of one vector."""
        ...

    def times(self, a: Signals, by: Signals) -> Signals:
        """Every vector of `a` multiplied by its coefficient."""
        ...

    def mixed(self, a: Signals, by: Mapping[str, Float[Array, "m n"]]) -> Signals:
        """For every example n, the sum over m of `by[m, n]` times vector m."""
        ...

    def finish(self, estimates: Signals) -> Mapping[str, Any]:
        """The gradient of the weights, from what `times` or `mixed` returned."""
        ...


class Arrays(NamedTuple):
    """The arrays of a space, flattened to vectors; see `View`.

    Attributes:
        space: the space.
        whole: True if the batch has one vector, False if every example has its own.
        at: the unperturbed forward pass.
        shapes: the shapes of the arrays, by name.
    """

    space: Space
    whole: bool
    at: Passed
    shapes: Mapping[str, tuple[int, ...]]

    def inner(self, a: Signals, b: Signals) -> dict[str, Float[Array, "..."]]:
        """Sums of products over the array, or over each example's slice of it."""
        if self.whole:
            return {name: (a[name] * b[name]).sum() for name in a}
        return {name: (a[name] * b[name]).reshape(len(a[name]), -1).sum(1) for name in a}

    def rows(self, a: Signals) -> dict[str, Float[Array, "n d"]]:
        """The arrays, flattened to [n, d]."""
        return {name: array.reshape(len(array), -1) for name, array in a.items()}

    def size(self, tensor: str) -> int:
        """The size of the array, or of one example's slice of it."""
        return prod(self.shapes[tensor] if self.whole else self.shapes[tensor][1:])

    def times(self, a: Signals, by: Signals) -> Signals:
        """The arrays times their coefficients."""
        return {name: _stretch(by[name], array.ndim) * array for name, array in a.items()}

    def mixed(self, a: Signals, by: Mapping[str, Float[Array, "m n"]]) -> Signals:
        """Weighted sums over examples."""
        return {name: jnp.einsum("mn,m...->n...", by[name], array) for name, array in a.items()}

    def finish(self, estimates: Signals) -> Mapping[str, Any]:
        """The gradient of the weights, by the space's own pull-back."""
        return self.space.pull_back(self.at, estimates, True)


class _Behind(NamedTuple):
    """The values around one layer: [n, p, g, c], or [p, g, c] for one example.

    Attributes:
        x: the input of its linear map.
        normed: the normalized output, before scale and shift.
        mapped: the error at the output of the linear map.
        scaled: the error at the pre-activation, after scale and shift.
    """

    x: Any
    normed: Any
    mapped: Any
    scaled: Any


class Contributions(NamedTuple):
    """What every example adds to the gradient of every weight; see `View`.

    The derivatives that it reads are those at pre-activations, by `block/layer`. Its tensors are
    weights, biases, scales and shifts, by `block/layer/name`. Where a normalization couples
    examples, the derivative of the normalization is exact, and an example's contribution is the
    product of the resulting error and its own input.
    """

    at: Passed

    def inner(self, a: Signals, b: Signals) -> dict[str, Float[Array, " n"]]:
        """Inner products of contributions, computed for a few examples at a time."""
        products: dict[str, Any] = {}
        for path, layer in self._layers(a):

            def one_example(pair: Any, layer: Layer = layer, path: str = path) -> Any:
                first, second = (self._contribution(path, layer, behind) for behind in pair)
                return jax.tree.map(lambda p, q: (p * q).sum(), first, second)

            pair = tuple(self._behind(path, layer, of[path]) for of in (a, b))
            products |= _named(path, jax.lax.map(one_example, pair, batch_size=_CHUNK))
        return products

    def rows(self, a: Signals) -> dict[str, Float[Array, "n d"]]:
        """The contributions, flattened to [n, d]."""
        vectors: dict[str, Any] = {}
        for path, layer in self._layers(a):
            behind = self._behind(path, layer, a[path])
            contributions = jax.vmap(partial(self._contribution, path, layer))(behind)
            vectors |= _named(
                path, jax.tree.map(lambda array: array.reshape(len(array), -1), contributions)
            )
        return vectors

    def size(self, tensor: str) -> int:
        """The size of the weight."""
        block, layer, name = tensor.split("/")
        return self.at.params[block][layer][name].size

    def times(self, a: Signals, by: Signals) -> Signals:
        """The error at the output of each tensor, times the tensor's coefficients."""
        errors = {}
        for path, layer in self._layers(a):
            behind = self._behind(path, layer, a[path])
            for name in self.tensors(path):
                tensor = f"{path}/{name}"
                error = behind.scaled if name in layer.norm_params() else behind.mapped
                errors[tensor] = _stretch(by[tensor], error.ndim) * error
        return errors

    def mixed(self, a: Signals, by: Mapping[str, Float[Array, "m n"]]) -> Signals:
        """The gradient sums contributions over n, so only the sum of each row of `by` counts."""
        return self.times(a, {tensor: coefficients.sum(1) for tensor, coefficients in by.items()})

    def finish(self, estimates: Signals) -> Mapping[str, Any]:
        """The gradient of every tensor, from the error that `times` returned for it."""
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
        """The parameters of a layer, by name."""
        block, layer = path.split("/")
        return self.at.params[block][layer]

    def _layers(self, among: Signals) -> Iterator[tuple[str, Layer]]:
        return ((p, layer) for p, layer in layers_in(self.at.segment.blocks) if p in among)

    def _values(self, path: str, layer: Layer) -> tuple[Any, Any, Callable[[Any], Any]]:
        """The map's input, the normalized output, and the normalization's reverse-mode function."""
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
        """Gradients of all the layer's tensors, were `error` the error at the output of each."""
        params = self.tensors(path)
        of_map = jax.vjp(lambda p: mapped(layer, p, x, None), params)[1](error)[0]
        of_scale = jax.vjp(lambda p: scaled(layer, p, normed), params)[1](error)[0]
        affine = layer.norm_params()
        return {name: (of_scale if name in affine else of_map)[name] for name in params}

    def _contribution(self, path: str, layer: Layer, behind: _Behind) -> Mapping[str, Any]:
        """The contribution of one example; its values have no axis of examples."""
        x, normed, behind_map, behind_scale = (array[None] for array in behind)
        of_map = dict(self._pull(path, layer, x, normed, behind_map))
        of_scale = self._pull(path, layer, x, normed, behind_scale)
        windows, affine = layer.kind.windows(x, layer.start), layer.norm_params()
        # As a matrix product: on a CPU, XLA's gradient of a convolution for one example at a time
        # took 20 times as long.
        if windows is not None:
            error = behind_map.reshape(*behind_map.shape[1:2], -1)
            of_map["w"] = (windows[0].T @ error).reshape(of_map["w"].shape)
        return {name: (of_scale if name in affine else of_map)[name] for name in self.tensors(path)}


class Scaled(NamedTuple):
    """Inner products at block outputs, whose coefficients scale the examples' contributions.

    The guess is pulled back unscaled, and then the contribution of each example to the weights is
    multiplied by the example's coefficient. This differs from pulling back the scaled guess only
    where a normalization mixes examples.

    Attributes:
        outputs: the view of the outputs of blocks.
        weights: the view of the examples' contributions to the weights of all blocks.
    """

    outputs: Arrays
    weights: Contributions

    def inner(self, a: Signals, b: Signals) -> dict[str, Float[Array, " n"]]:
        """Inner products at the outputs of blocks."""
        return self.outputs.inner(a, b)

    def rows(self, a: Signals) -> dict[str, Float[Array, "n d"]]:
        """The vectors at the outputs of blocks."""
        return self.outputs.rows(a)

    def size(self, tensor: str) -> int:
        """The size of one example's output."""
        return self.outputs.size(tensor)

    def times(self, a: Signals, by: Signals) -> Signals:
        """The errors at the outputs of all tensors, times the coefficients of their block."""
        inside = self._pulled_back(a)
        tensors = {
            f"{path}/{name}": by[path.split("/")[0]]
            for path in inside
            for name in self.weights.tensors(path)
        }
        return self.weights.times(inside, tensors)

    def mixed(self, a: Signals, by: Mapping[str, Float[Array, "m n"]]) -> Signals:
        """The gradient sums contributions over n, so only the sum of each row of `by` counts."""
        return self.times(a, {name: coefficients.sum(1) for name, coefficients in by.items()})

    def finish(self, estimates: Signals) -> Mapping[str, Any]:
        """The gradient of every tensor, from the error that `times` returned for it."""
        return self.weights.finish(estimates)

    def _pulled_back(self, outputs: Signals) -> Signals:
        """Errors at pre-activations, from errors at outputs, through each block separately."""
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
