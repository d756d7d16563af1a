"""Fused replicated losses against the naive ones and against golden arrays, for any cotangent."""

from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from compiler.objectives.replicated import copy_axes, fused, naive
from fgspec.spec.kinds import working
from fgspec.spec.objectives import CrossEntropy, InfoNce

GOLDEN = dict(np.load(Path(__file__).parents[1] / "golden" / "ren_fused_losses.npz"))
AXES = ("patch", "group")
SUBSETS = [(), ("patch",), ("group",), AXES]


def _golden(name):
    return jnp.asarray(GOLDEN[name])


def _cross_entropy(readout, features):
    labels = jnp.asarray(GOLDEN["y"].argmax(-1), jnp.int32)
    outputs = features @ readout["w"] + readout["b"][None]
    return working(CrossEntropy()).value(outputs, labels)


def _info_nce(readout, features):
    outputs = features @ readout["w"] + readout["b"][None]
    objective = working(InfoNce(temperature=float(GOLDEN["nce/temp"])))
    return objective.value(outputs, jnp.zeros(len(outputs), jnp.int32))


READOUT = {"w": _golden("w"), "b": _golden("b")}
D_READOUT = {"w": _golden("dw"), "b": _golden("db")}
STILL = jax.tree.map(jnp.zeros_like, READOUT)


def _close(found, name, rtol=1e-5, atol=1e-6):
    np.testing.assert_allclose(found, GOLDEN[name], rtol=rtol, atol=atol)


@pytest.mark.parametrize("lowering", [fused, naive])
def test_cross_entropy_matches_golden(lowering):
    copies = lowering(_cross_entropy, AXES)
    x, dx = _golden("x"), _golden("dx")
    primal, moved = jax.jvp(copies, (READOUT, x), (STILL, dx))
    _close(primal, "ce/primal")
    _close(moved, "ce/jvp_naive_dx")
    _close(jax.jvp(copies, (READOUT, x), (D_READOUT, dx))[1], "ce/jvp_naive_all")
    _, pull = jax.vjp(copies, READOUT, x)
    for kind in ("uniform", "nonuniform"):
        d_readout, ct_x = pull(_golden(f"ct_{kind}"))
        _close(ct_x, f"ce/vjp_naive_{kind}_x")
        _close(d_readout["w"], f"ce/vjp_naive_{kind}_w")
        _close(d_readout["b"], f"ce/vjp_naive_{kind}_b")


@pytest.mark.parametrize("lowering", [fused, naive])
def test_info_nce_matches_golden(lowering):
    copies = lowering(_info_nce, AXES)
    both = jnp.concatenate([_golden("x"), _golden("nce/view2")])
    d_both = jnp.concatenate([_golden("dx"), _golden("nce/dview2")])
    primal, moved = jax.jvp(copies, (READOUT, both), (STILL, d_both))
    _close(primal, "nce/primal")
    only_first = jnp.concatenate([_golden("dx"), jnp.zeros_like(_golden("dx"))])
    found = [moved, jax.jvp(copies, (READOUT, both), (STILL, only_first))[1]]
    assert any(np.allclose(f, GOLDEN["nce/jvp_dx"], rtol=1e-4, atol=1e-6) for f in found)
    _close(jax.jvp(copies, (READOUT, both), (D_READOUT, d_both))[1], "nce/jvp_all", 1e-4)


@pytest.mark.parametrize("value", [_cross_entropy, _info_nce])
@pytest.mark.parametrize("axes", SUBSETS)
def test_fused_equals_naive_for_any_tangent_and_cotangent(axes, value):
    rng = np.random.default_rng(len(axes))
    rows = 6 if value is _info_nce else 3
    x, dx = (jnp.asarray(rng.standard_normal((rows, 4, 4, 5)), jnp.float32) for _ in range(2))
    d_readout = jax.tree.map(
        lambda p: jnp.asarray(rng.standard_normal(p.shape), jnp.float32), READOUT
    )
    quick, slow = fused(value, axes), naive(value, axes)
    for tangents in ((d_readout, dx), (STILL, dx), (d_readout, jnp.zeros_like(dx))):
        for a, b in zip(
            jax.jvp(quick, (READOUT, x), tangents),
            jax.jvp(slow, (READOUT, x), tangents),
            strict=True,
        ):
            np.testing.assert_allclose(a, b, rtol=1e-4, atol=1e-5)
    primal, pull = jax.vjp(quick, READOUT, x)
    cotangent = jnp.asarray(rng.standard_normal(primal.shape), jnp.float32)
    expected = jax.vjp(slow, READOUT, x)[1](cotangent)
    for a, b in zip(jax.tree.leaves(pull(cotangent)), jax.tree.leaves(expected), strict=True):
        np.testing.assert_allclose(a, b, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("axes", SUBSETS)
def test_copies_sum_to_the_gradient_of_the_one_loss(axes):
    x = _golden("x")
    total = jax.grad(lambda x: fused(_cross_entropy, axes)(READOUT, x).sum())(x)
    plain = jax.grad(lambda x: _cross_entropy(READOUT, x.mean(1).reshape(3, -1)).sum())(x)
    np.testing.assert_allclose(total, plain, rtol=1e-5, atol=1e-7)
    assert fused(_cross_entropy, axes)(READOUT, x).ndim == len(copy_axes(axes))
