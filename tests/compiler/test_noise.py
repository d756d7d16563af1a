"""Perturbations: their moments, and that each is a function of its address alone."""

from functools import partial

import jax
import jax.numpy as jnp
import networks
import numpy as np
import pytest

from compiler.named_arrays.random_streams import address, addresses, key_data, stream_code
from compiler.named_arrays.threefry import THREEFRY
from fgspec.spec.guesses import GUESSES
from fgspec.spec.kinds import working

DRAW = {name: working(GUESSES.kind(name)()).draw for name in networks.drawn_guesses()}
"""Of every guess that is drawn."""


@pytest.mark.parametrize("guess", DRAW)
@pytest.mark.parametrize("shape", [(4, 3, 5, 7), (100, 33), (7, 64)])
def test_zero_mean_unit_variance_uncorrelated(guess, shape):
    draws = 400

    def one(step):
        stream = address(key_data(0), "x", step)
        return DRAW[guess](stream, shape[:1], shape[1:]).reshape(-1)[:64]

    drawn = np.asarray(jax.vmap(one)(jnp.arange(draws)))
    error = 1 / np.sqrt(draws)
    assert drawn.dtype == np.float32
    assert np.abs(drawn.mean(0)).max() < 5 * error
    assert np.abs((drawn**2).mean(0) - 1).max() < 8 * error
    correlation = drawn.T @ drawn / draws - np.diag((drawn**2).mean(0))
    assert np.abs(correlation).max() < 6 * error


def test_rademacher_is_signs_only():
    drawn = DRAW["rademacher"](address(key_data(1), "x"), (11,), (45,))
    assert set(np.unique(drawn)) == {-1.0, 1.0}


def test_on_the_sphere_every_vector_has_the_length_of_its_dimension():
    drawn = DRAW["sphere"](address(key_data(1), "x"), (6,), (3, 4, 5))
    np.testing.assert_allclose(jnp.square(drawn).sum((1, 2, 3)), 60, rtol=1e-5)
    whole = DRAW["sphere"](address(key_data(1), "x"), (), (7,))
    assert float(jnp.square(whole).sum()) == pytest.approx(7, rel=1e-5)


def test_an_address_is_all_that_matters():
    key = key_data(7)
    base = DRAW["normal"](address(key, "a", 3, 1), (), (5,))
    again = jax.jit(lambda k, s: DRAW["normal"](address(k, "a", s, 1), (), (5,)))
    np.testing.assert_array_equal(base, again(key, jnp.asarray(3)))
    for other in [("b", 3, 1), ("a", 4, 1), ("a", 3, 0)]:
        assert not np.array_equal(base, DRAW["normal"](address(key, *other), (), (5,)))
    assert not np.array_equal(base, DRAW["normal"](address(key_data(8), "a", 3, 1), (), (5,)))


def test_addresses_together_are_each_by_itself():
    key, names = key_data(7), ["a", "block0/channel", "b"]
    found = addresses(key, [stream_code(name) for name in names], 3, 1)
    for name, own in zip(names, found, strict=True):
        expected = address(key, name, 3, 1)
        assert jax.random.key_data(own).tolist() == jax.random.key_data(expected).tolist()


@pytest.mark.parametrize("guess", DRAW)
def test_vmap_over_samples_equals_a_loop(guess):
    key = key_data(0)

    def drawn(sample):
        return DRAW[guess](address(key, "a", 0, sample), (3,), (40,))

    together = jax.vmap(drawn)(jnp.arange(4))
    np.testing.assert_array_equal(together, np.stack([drawn(sample) for sample in range(4)]))


@pytest.mark.parametrize("seed", [0, 1, 2**31 + 7])
@pytest.mark.parametrize("shape", [(), (7,), (3, 129), (2, 3, 4, 5), (0, 3)])
def test_bits_are_those_of_jax(seed, shape):
    own, theirs = (jax.random.key(seed, impl=impl) for impl in (THREEFRY, "threefry2x32"))
    for key, other in ((own, theirs), (jax.random.fold_in(own, 9), jax.random.fold_in(theirs, 9))):
        for dtype in (jnp.uint8, jnp.uint16, jnp.uint32):
            bits = partial(jax.random.bits, shape=shape, dtype=dtype)
            np.testing.assert_array_equal(jax.jit(bits)(key), bits(other))
        normal = partial(jax.random.normal, shape=shape)
        np.testing.assert_array_equal(jax.jit(normal)(key), jax.jit(normal)(other))
    keys, others = (jax.random.split(key, (2, 3)) for key in (own, theirs))
    bits = partial(jax.random.bits, shape=shape)
    found, wanted = (jax.vmap(jax.vmap(bits))(k) for k in (keys, others))
    np.testing.assert_array_equal(found, wanted)


def test_words_of_signs_are_made_once():
    """Not for each of 32 signs, nor wherever these are read; XLA would, as rounds seem cheap."""

    def used_twice(key, x):
        u = DRAW["rademacher"](address(key, "x"), (8,), (64,))
        return jnp.tanh(x * u).sum(1) @ (x + u)

    compiled = jax.jit(used_twice).lower(key_data(0), jnp.ones((8, 64))).compile().as_text()
    parts = [part for part in compiled.split("\n\n") if part.count(" xor(") >= 10]
    results = {part.split("->")[1].split("[")[0].strip() for part in parts if "->" in part}
    assert len(parts) == 1
    assert results == {"u32"}
