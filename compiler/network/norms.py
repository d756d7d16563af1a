"""Normalizations: moments over named axes, and what they do to an activation."""

from dataclasses import dataclass
from functools import partial
from typing import Any, NamedTuple

import jax
from jax import lax
from jax import numpy as jnp
from jaxtyping import Array, Float

from compiler.named_arrays.axes import ACTIVATION, Axis


class Moments(NamedTuple):
    """Mean and (biased) variance, with axes of length 1 where they were taken."""

    mean: Float[Array, "n p g c"]
    variance: Float[Array, "n p g c"]


@dataclass(frozen=True)
class Norm:
    """Normalization to zero mean and unit variance over the named axes.

    Attributes:
        over: the axes that moments are taken over.
        epsilon: added to the variance.
        affine: whether a learnt scale and shift of every channel follow; they are parameters of
            the layer.
        split: parts that the channels are cut into first, each with moments of its own (Wu and
            He 2018); 1 but for activations without groups.
    """

    over: tuple[Axis, ...]
    epsilon: float
    affine: bool = False
    split: int = 1

    @property
    def running(self) -> bool:
        """Whether it couples examples, and so needs running statistics in evaluation."""
        return "batch" in self.over

    @property
    def mixes(self) -> frozenset[Axis]:
        """The axes that it mixes: those of its moments, and groups that parts may cut across."""
        parts: tuple[Axis, ...] = ("group",) if self.split > 1 else ()
        return frozenset((*self.over, *parts))

    def moments(self, x: Float[Array, "n p g c"]) -> Moments:
        """The moments of `x` that it is normalized by, float32."""
        where, x = tuple(ACTIVATION.index(axis) for axis in self.over), x.astype(jnp.float32)
        mean = x.mean(where, keepdims=True)
        return Moments(mean, jnp.square(x - mean).mean(where, keepdims=True))

    def shape(self, features: tuple[int, int, int]) -> tuple[int, ...]:
        """The shape of the moments of features [p, g, c] of any number of examples."""
        sizes = zip(ACTIVATION, (1, *features), strict=True)
        return tuple(1 if axis in self.over else size for axis, size in sizes)

    def __call__(
        self, x: Float[Array, "n p g c"], known: Moments | None = None
    ) -> Float[Array, "n p g c"]:
        """Normalize `x` by its own moments or by `known` ones, in float32 whatever its dtype."""
        where, dtype = tuple(ACTIVATION.index(axis) for axis in self.over), x.dtype
        x = x.astype(jnp.float32)
        cut = x if self.split == 1 else x.reshape(*x.shape[:2], self.split, -1)
        if known is None:
            out = _normalized(cut, where, self.epsilon)
        else:
            out = (cut - known.mean) * lax.rsqrt(known.variance + self.epsilon)
        return out.reshape(x.shape).astype(dtype)


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
    along = (centred * dx).mean(where, keepdims=True)
    straight = dx * scale - dx.mean(where, keepdims=True) * scale
    return centred * scale, straight - centred * (scale * scale * scale * along)


def _centred(x: Any, where: tuple[int, ...], epsilon: float) -> tuple[Any, Any]:
    centred = x - x.mean(where, keepdims=True)
    return centred, lax.rsqrt((centred * centred).mean(where, keepdims=True) + epsilon)
