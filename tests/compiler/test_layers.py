"""Maps over grids against plain NumPy; normalizations with scale and shift; graphs of layers."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from compiler.network.block import Block, apply_block
from compiler.network.extend import averaging, conv, largest
from compiler.network.layers import apply_layer, pre_activation
from compiler.network.norms import Norm
from compiler.network.shapes import Layer
from fgspec.spec import layers
from fgspec.spec.activations import NoActivation
from fgspec.spec.kinds import working
from fgspec.spec.shapes import INPUT, Extent

RNG = np.random.default_rng(0)


def _drawn(*shape):
    return jnp.asarray(RNG.standard_normal(shape), jnp.float32)


def _params(layer):
    return {name: _drawn(*s.shape) for name, s in layer.params().items()}


def _windows(x, layer, outside):
    """What every window of a layer sees, [n, rows, columns, size, size, c], one at a time."""
    pad = (layer.kind.size - 1) // 2
    image = np.asarray(x).reshape(len(x), *layer.start[:2], -1)
    padded = np.pad(image, ((0, 0), (pad, pad), (pad, pad), (0, 0)), constant_values=outside)
    step, size = layer.kind.stride, layer.kind.size
    return np.stack(
        [
            np.stack(
                [
                    padded[:, i * step : i * step + size, j * step : j * step + size]
                    for j in range(layer.end.columns)
                ],
                1,
            )
            for i in range(layer.end.rows)
        ],
        1,
    )


WINDOWS = [(3, 1), (3, 2), (1, 2), (7, 2), (2, 2)]


@pytest.mark.parametrize(("size", "stride"), WINDOWS)
def test_convolution(size, stride):
    layer = conv("conv", Extent(5, 7, 1, 3), 4, None, size=size, stride=stride)
    params, x = _params(layer), _drawn(2, 35, 1, 3)
    seen = _windows(x, layer, 0.0)
    weight, bias = np.asarray(params["w"])[..., 0, :], np.asarray(params["b"])[0]
    expected = np.einsum("nijhwc,hwcd->nijd", seen, weight) + bias
    found = layer.map(params, x)
    np.testing.assert_allclose(found, expected.reshape(found.shape), rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize(("size", "stride"), WINDOWS[:2])
def test_depthwise_convolution(size, stride):
    start = Extent(5, 7, 2, 3)
    layer = Layer("d", working(layers.DepthwiseLayer(size=size, stride=stride)), start)
    params, x = _params(layer), _drawn(2, 35, 2, 3)
    seen = _windows(x, layer, 0.0)
    weight = np.asarray(params["w"]).reshape(size, size, -1)
    expected = np.einsum("nijhwc,hwc->nijc", seen, weight) + np.asarray(params["b"]).reshape(-1)
    found = layer.map(params, x)
    np.testing.assert_allclose(found, expected.reshape(found.shape), rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize(("size", "stride"), WINDOWS[:2])
def test_max_pooling(size, stride):
    layer = largest("pool", Extent(5, 7, 2, 3), size, stride)
    x = _drawn(2, 35, 2, 3)
    expected = _windows(x, layer, -np.inf).max((3, 4))
    found = layer.map({}, x)
    np.testing.assert_array_equal(found, expected.reshape(found.shape))


@pytest.mark.parametrize(
    ("before", "after"), [((4, 4), (2, 2)), ((5, 7), (2, 3)), ((1, 1), (2, 2))]
)
def test_adaptive_average_pooling(before, after):
    """Part i of k of n goes from floor(i n / k) to ceil((i + 1) n / k), as in PyTorch."""
    layer = averaging("pool", Extent(*before, 1, 3), after)
    x = _drawn(2, before[0] * before[1], 1, 3)
    image = np.asarray(x).reshape(2, *before, 3)
    found = np.asarray(layer.map({}, x)).reshape(2, *after, 3)
    for i in range(after[0]):
        for j in range(after[1]):
            rows = slice(
                int(i * before[0] / after[0]), int(np.ceil((i + 1) * before[0] / after[0]))
            )
            columns = slice(
                int(j * before[1] / after[1]), int(np.ceil((j + 1) * before[1] / after[1]))
            )
            expected = image[:, rows, columns].mean((1, 2))
            np.testing.assert_allclose(found[:, i, j], expected, rtol=1e-5, atol=1e-6)


def test_flops_of_a_convolution_are_those_inside_the_grid():
    for size, stride in WINDOWS:
        layer = conv("conv", Extent(5, 7, 1, 3), 4, None, size=size, stride=stride)
        inside = (_windows(np.ones((1, 35, 1, 3)), layer, 0.0) > 0).sum()
        assert layer.flops() == 2 * inside * 4


def test_group_norm_normalizes_every_part():
    norm = Norm(("patch", "channel"), 1e-5, split=2)
    out = np.asarray(norm(3 + 2 * _drawn(2, 9, 1, 8))).reshape(2, 9, 2, 4)
    np.testing.assert_allclose(out.mean((1, 3)), 0, atol=1e-5)
    np.testing.assert_allclose(out.std((1, 3)), 1, atol=1e-3)


def test_scale_and_shift_follow_the_normalization():
    norm = Norm(("batch", "patch"), 1e-5, affine=True)
    layer = conv("conv", Extent(3, 3, 1, 2), 4, norm)
    params, x = _params(layer), _drawn(5, 9, 1, 2)
    assert params.keys() == {"w", "scale", "shift"}
    plain = norm(layer.map(params, x))
    expected = plain * params["scale"][None, None] + params["shift"][None, None]
    out, trace = apply_layer(layer, params, x)
    np.testing.assert_allclose(out, np.maximum(expected, 0), rtol=1e-5, atol=1e-6)
    assert trace.moments.keys() == {"after"}


def test_past_a_normalization_scale_and_shift_keep_their_exact_gradient():
    layer = conv("conv", Extent(3, 3, 1, 2), 4, Norm(("batch", "patch"), 1e-5, affine=True))
    params, x, error = _params(layer), _drawn(5, 9, 1, 2), _drawn(5, 9, 1, 4)
    pulls = [
        jax.vjp(lambda p, go=go: pre_activation(layer, p, x, through_norm=go), params)[1](error)[0]
        for go in (True, False)
    ]
    for name in ("scale", "shift"):
        np.testing.assert_allclose(pulls[0][name], pulls[1][name], rtol=1e-5)
    sent = error * params["scale"][None, None]
    past = jax.vjp(lambda w: layer.map({"w": w}, x), params["w"])[1](sent)[0]
    np.testing.assert_allclose(pulls[1]["w"], past, rtol=1e-4, atol=1e-5)


def test_layers_read_and_add_what_they_name():
    start = Extent(2, 2, 1, 3)
    dense = working(layers.DenseLayer(channels=3))
    a = Layer("a", dense, start)
    b = Layer("b", dense, start, source=INPUT, activation=working(NoActivation()))
    c = Layer("c", dense, start, source="a", adds=("b", INPUT))
    params, x = {name: _params(a) for name in "abc"}, _drawn(2, 4, 1, 3)
    tap = _drawn(1, 4, 1, 3)
    out, traces = apply_block(Block("block", (a, b, c)), params, x, {"c": tap})

    def linear(name, x):
        return a.map(params[name], x)

    expected = linear("c", jnp.maximum(linear("a", x), 0)) + tap + linear("b", x) + x
    np.testing.assert_allclose(out, np.maximum(expected, 0), rtol=1e-5, atol=1e-6)
    assert bool(traces["b"].derivative.all())
    np.testing.assert_array_equal(traces["c"].derivative, expected > 0)


@pytest.mark.parametrize(("size", "stride"), [(3, 1), (3, 2), (1, 1), (1, 2), (7, 2)])
def test_windows_times_the_weight_are_the_convolution(size, stride):
    start = Extent(7, 6, 1, 3)
    layer = conv("conv", start, 5, None, size=size, stride=stride, bias=False)
    params, x = _params(layer), _drawn(2, *layer.inputs)
    product = layer.kind.windows(x, layer.start) @ params["w"].reshape(-1, 5)
    found = product.reshape(2, *layer.outputs)
    np.testing.assert_allclose(found, layer.map(params, x), rtol=1e-5, atol=1e-5)
