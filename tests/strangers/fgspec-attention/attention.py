"""Multi-head self-attention over positions."""

from typing import ClassVar, Literal

import jax
import jax.numpy as jnp

import fgspec


class Attention(fgspec.TrainedLayer):
    """Every position reads all positions, weighted by how its query fits their keys."""

    type: Literal["my_attention"] = "my_attention"
    linear: ClassVar[bool] = False
    heads: int = fgspec.Field(default=2, ge=1, description="Heads, which divide the channels.")

    def end(self, start):
        if start.width % self.heads:
            return fgspec.Misfit("heads", f"must divide the {start.width} channels that enter")
        return start

    def weights(self, start):
        d, g, c = start.width, start.groups, start.channels
        into = fgspec.ParamSpec((d, d), (None, None), d)
        out = fgspec.ParamSpec((d, g, c), (None, "group", None), d)
        return {"wq": into, "wk": into, "wv": into, "wo": out}

    def mixes(self, start):
        return frozenset({"patch", "group", "channel"})

    def apply(self, params, x, start):
        n, p = x.shape[:2]
        flat = x.reshape(n, p, start.width)
        q, k, v = (
            (flat @ params[name]).reshape(n, p, self.heads, -1) for name in ("wq", "wk", "wv")
        )
        scores = jnp.einsum("nphe,nqhe->nhpq", q, k) / q.shape[-1] ** 0.5
        read = jnp.einsum("nhpq,nqhe->nphe", jax.nn.softmax(scores), v)
        return jnp.einsum("npd,dgc->npgc", read.reshape(n, p, -1), params["wo"])

    def flops(self, start):
        p, d = start.features[0], start.width
        return 8 * p * d * d + 4 * p * p * d

    def width(self):
        return None
