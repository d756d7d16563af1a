"""The layers of transformers, on activations [n, p, g, c]: position p, head g."""

from collections.abc import Mapping

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float

from compiler.named_arrays.precision import precise
from fgspec.spec import attention
from fgspec.spec.shapes import Extent

Params = Mapping[str, Float[Array, "..."]]
X = Float[Array, "n p g c"]


class Attention(attention.AttentionLayer):
    """Scaled dot-product attention between positions, every channel group by itself."""

    def apply(self, params: Params, x: X, start: Extent) -> Float[Array, "n p g d"]:
        """Softmax over positions q of (query p . key q) / sqrt(d), times the values of q.

        The softmax is computed in float32 at least.
        """
        query, key, value = jnp.split(x, 3, axis=-1)
        scores = jnp.einsum("npgd,nqgd->ngpq", query, key) / key.shape[-1] ** 0.5
        weights = jax.nn.softmax(precise(scores), axis=-1).astype(x.dtype)
        return jnp.einsum("ngpq,nqgd->npgd", weights, value)


class Embedding(attention.EmbeddingLayer):
    """A linear map of every patch, a class token, and a vector for every position."""

    def apply(self, params: Params, x: X, start: Extent) -> Float[Array, "n q h d"]:
        """One matrix product; then what is the same for all examples is put before and added."""
        end, flat = self.ends(start), x.reshape(*x.shape[:2], -1)
        tokens = (flat @ params["w"].reshape(flat.shape[-1], -1)).reshape(
            *x.shape[:2], *end.features[1:]
        )
        if self.class_token:
            first = jnp.broadcast_to(params["token"], (len(x), 1, *end.features[1:]))
            tokens = jnp.concatenate([first, tokens], 1)
        if self.positions == "learned":
            return tokens + params["positions"][None]
        if self.positions == "sinusoidal":
            waves = sinusoids(end.features[0], end.width).reshape(1, *end.features)
            return tokens + jnp.asarray(waves, x.dtype)
        return tokens


def sinusoids(positions: int, channels: int) -> np.ndarray:
    """Fixed vectors [positions, channels] that tell positions apart (Vaswani et al. 2017, 3.5).

    Channels 2 i and 2 i + 1 of position p, counted from 0, are the sine and the cosine of
    p / 10000^(2 i / channels).
    """
    pairs = np.arange(channels) // 2
    angles = np.arange(positions)[:, None] / 10000.0 ** (2 * pairs / channels)
    return np.where(np.arange(channels) % 2, np.cos(angles), np.sin(angles))


class FirstPosition(attention.FirstPositionLayer):
    """The first position alone."""

    def apply(self, params: Params, x: X, start: Extent) -> Float[Array, "n 1 g c"]:
        """The first position."""
        return x[:, :1]
