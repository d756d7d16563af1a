"""Every activation, layer, normalization, initialization and architecture obeys its laws."""

from typing import ClassVar, Literal

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from compiler.network.norms import Norm
from fgspec.spec.activations import ACTIVATIONS, Activation
from fgspec.spec.architectures import ARCHITECTURES
from fgspec.spec.attention import EmbeddingLayer
from fgspec.spec.initializations import INITIALIZATIONS
from fgspec.spec.kinds import working
from fgspec.spec.layers import LAYERS, TokenLayer, TrainedLayer
from fgspec.spec.normalizations import NORMALIZATIONS, Normalization
from fgspec.spec.shapes import ParamSpec
from fgspec.testing import networks


@pytest.mark.parametrize("name", ACTIVATIONS.names())
def test_activation(name):
    networks.check_activation(ACTIVATIONS.kind(name))


@pytest.mark.parametrize("name", LAYERS.names())
def test_layer(name):
    networks.check_layer(LAYERS.kind(name))


@pytest.mark.parametrize(
    "layer",
    [
        EmbeddingLayer(channels=4, groups=2, class_token=True),
        EmbeddingLayer(channels=3, class_token=True, positions="sinusoidal"),
        TokenLayer(grid=(1, 3)),
    ],
    ids=["class token", "sinusoidal", "grid"],
)
def test_layer_with_its_options(layer):
    networks.check_layer(layer)


@pytest.mark.parametrize("name", NORMALIZATIONS.names())
def test_normalization(name):
    networks.check_normalization(NORMALIZATIONS.kind(name))


@pytest.mark.parametrize("name", INITIALIZATIONS.names())
def test_initialization(name):
    networks.check_initialization(INITIALIZATIONS.kind(name))


@pytest.mark.parametrize("name", ARCHITECTURES.names())
def test_architecture(name):
    networks.check_architecture(ARCHITECTURES.kind(name))


class Attention(TrainedLayer):
    """One head of attention between positions, a layer of several weights that is not linear."""

    linear: ClassVar[bool] = False
    bias_axes: ClassVar[tuple[str, ...]] = ("channel",)
    type: Literal["attention"] = "attention"

    def end(self, start):
        return start.grouped(start.width)

    def weights(self, start):
        square = ParamSpec((start.width, start.width), (None, None), start.width)
        return dict.fromkeys(("wq", "wk", "wv", "wo"), square)

    def mixes(self, start):
        return frozenset({"patch", "group", "channel"})

    def apply(self, params, x, start):
        rows = x.reshape(*x.shape[:2], -1)
        q, k, v = (rows @ params[name] for name in ("wq", "wk", "wv"))
        mixed = jax.nn.softmax(jnp.einsum("npc,nqc->npq", q, k)) @ v
        return (mixed @ params["wo"])[:, :, None]


class RmsNorm(Normalization):
    """Root mean square one over the channels of a position, the mean as it is."""

    on_tokens: ClassVar[bool] = True
    over: ClassVar[tuple[str, ...]] = ("group", "channel")
    type: Literal["rms_norm"] = "rms_norm"

    def apply(self, x, axes, epsilon, moments=None):
        return x * jax.lax.rsqrt(jnp.square(x).mean(axes, keepdims=True) + epsilon)


class Sloppy(Attention):
    """It forgets that it mixes positions."""

    def mixes(self, start):
        return frozenset({"group", "channel"})


class Cube(Activation):
    """With a derivative that is not its own."""

    type: Literal["cube"] = "cube"

    def apply(self, z):
        return z**3, 2 * z**2


class Nothing(Activation):
    """A section that nobody gave a function."""

    type: Literal["nothing"] = "nothing"


class Said(Attention):
    """It says that it ends in a linear map."""

    linear_last: ClassVar[bool] = True


def test_a_layer_of_a_package_with_several_weights():
    networks.check_layer(Attention)


def test_a_normalization_of_a_package():
    networks.check_normalization(RmsNorm)


def test_what_is_wrong_is_said():
    with pytest.raises(AssertionError, match=r"mixes patch, but mixes\(\) does not name it"):
        networks.check_layer(Sloppy)
    with pytest.raises(AssertionError, match="is not linear in its weights"):
        networks.check_layer(Said)
    with pytest.raises(AssertionError, match="derivative that apply\\(\\) gives"):
        networks.check_activation(Cube)
    with pytest.raises(AssertionError, match="has no apply"):
        networks.check_activation(Nothing)


def test_built_in_normalizations_have_mean_square_one_or_length_one():
    x = jnp.asarray(np.random.default_rng(0).normal(1, 3, (4, 6, 2, 8)), jnp.float32)
    for kind in NORMALIZATIONS.kinds().values():
        made = working(kind())
        if made.normalizes:
            norm = Norm(made.over, 1e-9, how=made)
            places = tuple(["batch", "patch", "group", "channel"].index(axis) for axis in norm.over)
            squares = jnp.square(norm(x))
            told = squares.sum(places) if made.unit_length else squares.mean(places)
            np.testing.assert_allclose(told, 1, rtol=1e-3)
