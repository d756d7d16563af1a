"""A small vision transformer (Dosovitskiy et al. 2021) without a class token."""

from typing import ClassVar, Literal

import jax
import jax.numpy as jnp

import fgspec

EVERYTHING = frozenset({"patch", "group", "channel"})


class _Embedding(fgspec.TrainedLayer):
    """A linear map of every patch; its bias is a vector of every place."""

    type: Literal["embedding"] = "embedding"
    bias_axes: ClassVar = ("patch", "channel")
    channels: int = fgspec.Field(default=4, ge=1)

    def end(self, start):
        return start.grouped(self.channels)

    def weights(self, start):
        shape = (start.width, self.channels)
        return {"w": fgspec.ParamSpec(shape, (None, None), start.width)}

    def mixes(self, start):
        return frozenset({"group", "channel"})

    def apply(self, params, x, start):
        flat = x.reshape(*x.shape[:2], start.width)
        return (flat @ params["w"])[:, :, None]


class _Attention(fgspec.TrainedLayer):
    """Self-attention of several heads over all positions."""

    type: Literal["self_attention"] = "self_attention"
    linear: ClassVar[bool] = False
    heads: int = fgspec.Field(default=2, ge=1)

    def end(self, start):
        return start

    def weights(self, start):
        square = fgspec.ParamSpec((start.width,) * 2, (None, None), start.width)
        return dict.fromkeys(("wq", "wk", "wv", "wo"), square)

    def mixes(self, start):
        return EVERYTHING

    def apply(self, params, x, start):
        n, p = x.shape[:2]
        x = x.reshape(n, p, start.width)
        q, k, v = ((x @ params[w]).reshape(n, p, self.heads, -1) for w in ("wq", "wk", "wv"))
        scores = jnp.einsum("nphe,nqhe->nhpq", q, k) / q.shape[-1] ** 0.5
        read = jnp.einsum("nhpq,nqhe->nphe", jax.nn.softmax(scores), v)
        return (read.reshape(n, p, -1) @ params["wo"]).reshape(n, *start.features)


class Vit(fgspec.Architecture):
    """Patches, then blocks of self-attention and a two-layer perceptron, each with a residual."""

    type: Literal["my_vit"] = "my_vit"
    loss_axes: ClassVar = ("patch",)
    blocks: int = fgspec.Field(default=2, ge=1, description="After the patches' embedding.")
    patches: int = fgspec.Field(default=4, ge=1, description="Per side.")
    channels: int = fgspec.Field(default=32, ge=1, description="Of every position.")
    heads: int = fgspec.Field(default=4, ge=1, description="Of attention; they divide channels.")
    activation: fgspec.AnyActivation = fgspec.Field(
        default=fgspec.Activation.of("gelu"), description="Between the layers of the perceptron."
    )
    initialization: fgspec.AnyInitialization = fgspec.Field(
        default=fgspec.Initialization.of("lecun"), description="Distribution of initial weights."
    )

    @classmethod
    def example(cls):
        return cls(blocks=1, patches=2, channels=4, heads=2)

    def block_count(self):
        return self.blocks + 1, ("architecture", "blocks")

    def nonlinear(self):
        return ("architecture", "type")

    def axis_sizes(self, axis):
        if axis == "patch":
            yield ("architecture", "patches"), self.patches**2

    def problems(self, at):
        if self.channels % self.heads:
            yield fgspec.Problem((*at, "heads"), f"must divide {self.channels} channels")

    def data_problems(self, at, info):
        if info.image_shape[0] % self.patches or info.image_shape[1] % self.patches:
            yield fgspec.Problem((*at, "patches"), f"must divide images of {info.image_shape[:2]}")

    def network(self, image, outputs):
        side, none = self.patches, fgspec.Activation.of("none")
        norm = fgspec.Norm(("group", "channel"), 1e-5)
        cut = fgspec.Extent(side, side, 1, image[0] // side * (image[1] // side) * image[2])
        embedding = _Embedding(channels=self.channels)
        first = fgspec.PlannedLayer("embed", embedding, cut, activation=none)
        x, wide = first.end, 2 * self.channels
        dense = {c: fgspec.Layer.of("dense", channels=c) for c in (wide, self.channels)}

        def layer(name, kind, start, activation=none, **options):
            return fgspec.PlannedLayer(name, kind, start, activation=activation, **options)

        attend = _Attention(heads=self.heads)
        hidden = layer("hidden", dense[wide], x, self.activation, before=norm)
        later = (
            layer("attention", attend, x, before=norm, adds=("input",)),
            hidden,
            layer("out", dense[self.channels], hidden.end, adds=("attention",)),
        )
        names = [f"block{i + 1}" for i in range(self.blocks)]
        last = fgspec.full("linear", fgspec.flat(self.channels), outputs, before=norm)
        return fgspec.Network(
            blocks=(fgspec.Block("embed", (first,)), *(fgspec.Block(n, later) for n in names)),
            head_norm=None,
            auxiliary_norm=None,
            classifier=fgspec.Readout((last,)),
            initialization=self.initialization,
            activation=self.activation,
        )
