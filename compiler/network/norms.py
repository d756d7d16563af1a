"""Normalizations: means and variances over named axes, and their use on an activation."""

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
    """Mean and biased variance; the axes that they were taken over have length 1."""

    mean: Float[Array, "n p g c"]
    variance: Float[Array, "n p g c"]


@dataclass(frozen=True)
class Norm:
    """A normalization at one place of a network.

    Attributes:
        over: the axes that mean and variance are taken over.
        epsilon: added to the variance before the division.
        affine: whether a learnt scale and shift per channel follow; the layer has them as
            parameters.
        split: the number of parts that channels are divided into, each with its own mean and
            variance (group norm, Wu and He 2018). More than 1 only for activations without groups.
        how: the computation; see `Normalization`. By default mean zero and variance one.
    """

    over: tuple[Axis, ...]
    epsilon: float
    affine: bool = False
    split: int = 1
    how: Normalization = field(default_factory=lambda: LayerNorm())

    @property
    def running(self) -> bool:
        """Whether it couples examples and so needs running statistics for evaluation."""
        return "batch" in self.over

    @property
    def mixes(self) -> frozenset[Axis]:
        """The axes that it mixes; the parts of a group norm may cut across channel groups."""
        parts: tuple[Axis, ...] = ("group",) if self.split > 1 else ()
        return frozenset((*self.over, *parts))

    @property
    def _where(self) -> tuple[int, ...]:
        return tuple(ACTIVATION.index(axis) for axis in self.over)

    @in_full
    def moments(self, x: Float[Array, "n p g c"]) -> Moments:
        """The moments that `x` is normalized with, in float32 at least."""
        return Moments(*self.how.moments(precise(x), self._where))

    def shape(self, features: tuple[int, int, int]) -> tuple[int, ...]:
        """The shape of the moments, for features [p, g, c] and any number of examples."""
        sizes = zip(ACTIVATION, (1, *features), strict=True)
        return tuple(1 if axis in self.over else size for axis, size in sizes)

    def values(self, features: tuple[int, int, int], rows: int) -> int:
        """How many values are normalized together, for features [p, g, c] and so many examples."""
        positions, groups, channels = features
        if self.split > 1:
            groups, channels = self.split, groups * channels // self.split
        sizes = zip(ACTIVATION, (rows, positions, groups, channels), strict=True)
        return prod(size for axis, size in sizes if axis in self.over)

    @in_full
    def __call__(
        self, x: Float[Array, "n p g c"], running: Moments | None = None
    ) -> Float[Array, "n p g c"]:
        """Normalize `x` with its own moments, or with `running` ones, in float32 at least."""
        dtype = x.dtype
        x = precise(x)
        cut = x if self.split == 1 else x.reshape(*x.shape[:2], self.split, -1)
        out = self.how.apply(cut, self._where, self.epsilon, running)
        return out.reshape(x.shape).astype(dtype)


class _Standardizing:
    """Standardization to mean zero and variance one."""

    def apply(
        self,
        x: Float[Array, "n p g c"],
        axes: tuple[int, ...],
        epsilon: float,
        moments: tuple[Any, Any] | None = None,
    ) -> Float[Array, "n p g c"]:
        """(x - mean) / sqrt(variance + epsilon), with the moments of `x` if none are given."""
        if moments is None:
            return _normalized(x, axes, epsilon)
        mean, variance = moments
        return (x - mean) * lax.rsqrt(variance + epsilon)

    def moments(self, x: Float[Array, "n p g c"], axes: tuple[int, ...]) -> Moments:
        """Mean and biased variance over the axes."""
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
    """The tangent in two means and one pass; JAX's own rules would take six passes."""
    (x,), (dx,) = primals, tangents
    centred, scale = _centred(x, where, epsilon)
    projection = (centred * dx).mean(where, keepdims=True)
    centred_tangent = dx * scale - dx.mean(where, keepdims=True) * scale
    return centred * scale, centred_tangent - centred * (scale * scale * scale * projection)


def _centred(x: Any, where: tuple[int, ...], epsilon: float) -> tuple[Any, Any]:
    # The mean is taken of differences to the first value, so that equal values become exactly 0, in
    # whatever order they are summed. Rounding errors of 1e-8 instead would switch on half of the
    # rectifiers of a blank patch.
    first = x[tuple(slice(1) if axis in where else slice(None) for axis in range(x.ndim))]
    centred = x - (first + (x - first).mean(where, keepdims=True))
    return centred, lax.rsqrt((centred * centred).mean(where, keepdims=True) + epsilon)


class LocalLayerNorm(_Standardizing, normalizations.LocalLayerNorm):
    """Layer norm within each patch and channel group (Ren et al. 2022)."""


class LayerNorm(_Standardizing, normalizations.LayerNorm):
    """Layer norm over all of an example (Ba et al. 2016)."""


class BatchNorm(_Standardizing, normalizations.BatchNorm):
    """Batch norm over examples and positions (Ioffe and Szegedy 2015)."""


class GroupNorm(_Standardizing, normalizations.GroupNorm):
    """Group norm within an example and part of the channels (Wu and He 2018)."""
