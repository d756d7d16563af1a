"""Normalizations: moments over named axes, and what they do to an activation."""

from dataclasses import dataclass, field
from functools import partial
from math import prod
from typing import Any, NamedTuple

import jax
from jax import lax
from jax import numpy as jnp
from jaxtyping import Array, Float

from compiler.named_arrays.axes import ACTIVATION, Axis
from compiler.named_arrays.precision import in_full, precise
from fgspec.spec import normalizations
from fgspec.spec.normalizations import Normalization


class Moments(NamedTuple):
    """Mean and (biased) variance, with axes of length 1 where they were taken."""

    mean: Float[Array, "n p g c"]
    variance: Float[Array, "n p g c"]


@dataclass(frozen=True)
class Norm:
    """A normalization at one place of a network.

    Attributes:
        over: the axes that statistics are taken over.
        epsilon: added to what is divided by.
        affine: whether a learnt scale and shift of every channel follow; they are parameters of
            the layer.
        split: parts that the channels are cut into first, each with statistics of its own (Wu and
            He 2018); 1 but for activations without groups.
        how: what is computed; see `Normalization`. By default zero mean and unit variance.
    """

    over: tuple[Axis, ...]
    epsilon: float
    affine: bool = False
    split: int = 1
    how: Normalization = field(default_factory=lambda: LayerNorm())

    @property
    def running(self) -> bool:
        """Whether it couples examples, and so needs running statistics in evaluation."""
        return "batch" in self.over

    @property
    def mixes(self) -> frozenset[Axis]:
        """The axes that it mixes: those of its statistics, and groups that parts may cut across."""
        parts: tuple[Axis, ...] = ("group",) if self.split > 1 else ()
        return frozenset((*self.over, *parts))

    @property
    def _where(self) -> tuple[int, ...]:
        return tuple(ACTIVATION.index(axis) for axis in self.over)

    @in_full
    def moments(self, x: Float[Array, "n p g c"]) -> Moments:
        """The moments of `x` that it is normalized by, in float32 at least."""
        return Moments(*self.how.moments(precise(x), self._where))

    def shape(self, features: tuple[int, int, int]) -> tuple[int, ...]:
        """The shape of the moments of features [p, g, c] of any number of examples."""
        sizes = zip(ACTIVATION, (1, *features), strict=True)
        return tuple(1 if axis in self.over else size for axis, size in sizes)

    def values(self, features: tuple[int, int, int], rows: int) -> int:
        """How many values of features [p, g, c] of so many examples are normalized together."""
        positions, groups, channels = features
        if self.split > 1:
            groups, channels = self.split, groups * channels // self.split
        sizes = zip(ACTIVATION, (rows, positions, groups, channels), strict=True)
        return prod(size for axis, size in sizes if axis in self.over)

    @in_full
    def __call__(
        self, x: Float[Array, "n p g c"], known: Moments | None = None
    ) -> Float[Array, "n p g c"]:
        """Normalize `x` by its own moments or by `known` ones, in float32 at least."""
        dtype = x.dtype
        x = precise(x)
        cut = x if self.split == 1 else x.reshape(*x.shape[:2], self.split, -1)
        out = self.how.apply(cut, self._where, self.epsilon, known)
        return out.reshape(x.shape).astype(dtype)


class _Standardizing:
    """Zero mean and unit variance."""

    def apply(
        self,
        x: Float[Array, "n p g c"],
        axes: tuple[int, ...],
        epsilon: float,
        moments: tuple[Any, Any] | None = None,
    ) -> Float[Array, "n p g c"]:
        """See the base."""
        if moments is None:
            return _normalized(x, axes, epsilon)
        mean, variance = moments
        return (x - mean) * lax.rsqrt(variance + epsilon)

    def moments(self, x: Float[Array, "n p g c"], axes: tuple[int, ...]) -> Moments:
        """Mean and biased variance."""
        mean = x.mean(axes, keepdims=True)
        return Moments(mean, jnp.square(x - mean).mean(axes, keepdims=True))


@partial(jax.custom_jvp, nondiff_argnums=(1, 2))
def _normalized(
    x: Float[Array, "..."], where: tuple[int, ...], epsilon: float
) -> Float[Array, "..."]:
    centred, scale = _centred(x, where, epsilon)
    return centred * scale


@_normalized.defjvp
def _moved(where: tuple[int, ...], epsilon: float, primals: Any, tangents: Any) -> tuple[Any, Any]:
    """Two means and one pass instead of the six passes of the tangents of every operation."""
    (x,), (dx,) = primals, tangents
    centred, scale = _centred(x, where, epsilon)
    projection = (centred * dx).mean(where, keepdims=True)
    centred_tangent = dx * scale - dx.mean(where, keepdims=True) * scale
    return centred * scale, centred_tangent - centred * (scale * scale * scale * projection)


def _centred(x: Any, where: tuple[int, ...], epsilon: float) -> tuple[Any, Any]:
    # By what all differ from the first: the mean of equal values is exactly theirs, in whatever
    # order it is summed, and they become 0. Behind a rectifier 1e-8 is not 0: half of the units of
    # a blank patch would have a derivative.
    first = x[tuple(slice(1) if axis in where else slice(None) for axis in range(x.ndim))]
    centred = x - (first + (x - first).mean(where, keepdims=True))
    return centred, lax.rsqrt((centred * centred).mean(where, keepdims=True) + epsilon)


class LocalLayerNorm(_Standardizing, normalizations.LocalLayerNorm):
    """The section with what it computes."""


class LayerNorm(_Standardizing, normalizations.LayerNorm):
    """The section with what it computes."""


class BatchNorm(_Standardizing, normalizations.BatchNorm):
    """The section with what it computes."""


class GroupNorm(_Standardizing, normalizations.GroupNorm):
    """The section with what it computes."""
