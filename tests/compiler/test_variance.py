"""The bias and variance that docs/estimators.md states, by Monte Carlo with z-scores, or exactly.

Every law is of the noise alone, for one fixed batch.
"""

from dataclasses import replace

import jax
import jax.numpy as jnp
import networks
import numpy as np
import pytest

from compiler.estimators.projections import Group
from compiler.named_arrays.random_streams import address, key_data
from compiler.update.diagnose import flat, moments
from fgspec.spec.guesses import GUESSES
from fgspec.spec.guided import Guided
from fgspec.spec.kinds import working
from fgspec.spec.low_rank import LowRank
from fgspec.spec.projections import COEFFICIENTS, SCALES
from fgspec.spec.sample_sets import SAMPLE_SETS

D = 8
TRIALS = 40_000
GRADIENT = np.random.default_rng(5).standard_normal(D)
SIZE = GRADIENT @ GRADIENT
INFO = replace(networks.INFO, image_shape=(1, 1, 4), mean=(0.0,) * 4, std=(1.0,) * 4)
ONE = "{type: mlp, hidden: [5]}"
TWO = "{type: mlp, hidden: [5, 4]}"


DRAWN = {name: working(kind()) for name, kind in GUESSES.kinds().items() if not kind.made}
"""The guesses that are drawn, by name."""


def _of(table, name):
    """A method of a table, by its defaults."""
    return working(table.kind(name)())


def _z(sample, expected):
    """How many standard errors the mean of a sample is from what is expected."""
    sample = np.asarray(sample, np.float64)
    return (sample.mean() - expected) / (sample.std(ddof=1) / len(sample) ** 0.5)


def _drawn(guess, samples=1):
    """[K, trials, d]."""
    keys = [address(key_data(3), "law", 0, k) for k in range(samples)]
    return jnp.stack([DRAWN[guess].draw(key, (TRIALS,), (D,)) for key in keys])


def _along(directions, partners):
    """The estimates, [trials, d]: the sum of derivatives along directions times partners."""
    u, v = (np.asarray(part, np.float64) for part in (directions, partners))
    return np.einsum("ktd,d,kte->te", u, GRADIENT, v)


@pytest.mark.parametrize("guess", DRAWN)
def test_one_sample_has_d_plus_kurtosis_minus_two_times_the_gradient_as_variance(guess):
    found = _along(*[_drawn(guess)] * 2)
    assert abs(_z(found @ GRADIENT, SIZE)) < 4
    second = (D + DRAWN[guess].kurtosis - 1) * SIZE
    assert abs(_z(np.square(found).sum(1), second)) < 4


SECOND_MOMENTS = {
    "independent": (1, lambda k: 1 + (D + 1) / k),
    "antithetic": (1, lambda k: 1 + (D + 1) / (k / 2)),
    "orthogonal": (1, lambda k: D / k),
    "coordinates": (1, lambda k: D / k),
    "guided": (1, lambda k: 1 + (D + 1) / (k - 1)),
}
"""By set: E<g, t> / |t|^2 and E|g|^2 / |t|^2 of K normal draws; `projected` is K / D for both."""


@pytest.mark.parametrize("samples", [2, 6])
@pytest.mark.parametrize("kind", [*SECOND_MOMENTS, "projected"])
def test_mean_and_second_moment_of_sets(kind, samples):
    draws = _drawn("normal", samples)
    parts = {"a": draws[..., :5], "b": draws[..., 5:]}
    u, v = (jnp.concatenate([p["a"], p["b"]], -1) for p in _of(SAMPLE_SETS, kind).spread(parts, 1))
    found = _along(u, v)
    share = samples / D
    mean, power = (share, share) if kind == "projected" else (1, SECOND_MOMENTS[kind][1](samples))
    assert abs(_z(found @ GRADIENT, mean * SIZE)) < 4
    assert abs(_z(np.square(found).sum(1), power * SIZE)) < 4


@pytest.mark.parametrize("rank", [1, 3])
@pytest.mark.parametrize("shape", [(2, 4), (4, 2, 1)])
def test_variance_of_low_rank_guesses(rank, shape):
    """d + 1 + 2 (m + n + 1) / r times the square of the gradient, whatever the gradient is."""
    m, n = shape[-2:]
    guess = working(LowRank(rank=rank))
    u = guess.draw(address(key_data(3), "law"), (TRIALS,), shape)
    assert u.shape == (TRIALS, *shape)
    matrices = np.asarray(u, np.float64).reshape(-1, m, n)
    assert (np.linalg.matrix_rank(matrices[:50], tol=1e-4) == min(rank, m, n)).all()
    flat_u = np.asarray(u, np.float64).reshape(1, TRIALS, D)
    found = _along(flat_u, flat_u)
    assert abs(_z(found @ GRADIENT, SIZE)) < 4
    expected = (D + 2 + 2 * (m + n + 1) / rank) * SIZE
    assert abs(_z(np.square(found).sum(1), expected)) < 4
    assert guess.kurtosis_of(shape) == 3 + 2 * (m + n + 1) / rank


@pytest.mark.parametrize("samples", [2, 6])
def test_what_lies_along_the_average_is_exact(samples):
    """And across it there are K - 1 normal samples in a space of D - 1."""
    draws, average = _drawn("normal", samples), np.random.default_rng(6).standard_normal(D)
    kept = {"a": jnp.asarray(average[:5], jnp.float32), "b": jnp.asarray(average[5:], jnp.float32)}
    parts = {"a": draws[..., :5], "b": draws[..., 5:]}
    pairs = working(Guided()).spread_around(parts, 1, kept)
    u, v = (np.concatenate([np.asarray(p["a"]), np.asarray(p["b"])], -1) for p in pairs)
    found, way = _along(u, v), average / np.linalg.norm(average)
    along = GRADIENT @ way
    np.testing.assert_allclose(found @ way, along, rtol=1e-4, atol=1e-4)
    across = SIZE - along**2
    assert abs(_z(found @ GRADIENT, SIZE)) < 4
    assert abs(_z(np.square(found).sum(1), along**2 + across * (1 + D / (samples - 1)))) < 4
    np.testing.assert_allclose(np.linalg.norm(u[0], axis=-1), D**0.5, rtol=1e-5)


@pytest.mark.parametrize("guess", ["normal", "rademacher"])
@pytest.mark.parametrize("samples", [1, 4])
def test_the_optimal_scale_has_the_least_error_for_any_number_of_samples(guess, samples):
    u = _drawn(guess, samples)
    raw = _along(u, u / samples)
    group = Group(jnp.zeros(()), jnp.zeros(()), D)
    scale = float(_of(SCALES, "optimal").scale(group, samples, DRAWN[guess].kurtosis))

    def errors(by):
        return np.square(by * raw - GRADIENT).sum(1)

    assert abs(_z(errors(scale), (1 - scale) * SIZE)) < 4
    for other in (0.8 * scale, 1.25 * scale):
        gap = errors(other) - errors(scale)
        assert _z(gap, 0) > 4


@pytest.mark.parametrize(
    ("coefficient", "scale", "mean", "power"),
    [
        ("raw", "squared_norm", SIZE / D, SIZE / D),
        ("raw", "dimension", SIZE / D, (D + 2) * SIZE / D**2),
        ("sign", "none", (2 * SIZE / np.pi) ** 0.5, D),
        ("coin", "none", 0, D),
    ],
)
def test_mean_and_second_moment_of_projections_on_normal_noise(coefficient, scale, mean, power):
    u = _drawn("normal")[0]
    along = u @ jnp.asarray(GRADIENT, jnp.float32)
    coin = DRAWN["rademacher"].draw(address(key_data(4), "coin"), (TRIALS,), ())
    group = Group(along, jnp.square(u).sum(1), D)
    value = _of(COEFFICIENTS, coefficient).coefficient(along, coin)
    factor = _of(SCALES, scale).scale(group, 1, DRAWN["normal"].kurtosis)
    found = np.asarray((value * factor)[:, None] * u, np.float64)
    assert abs(_z(found @ GRADIENT, mean)) < 4
    assert abs(_z(np.square(found).sum(1), power)) < 4


def _batch():
    rng = np.random.default_rng(2)
    image = jnp.asarray(rng.standard_normal((4, 1, 1, 4)), jnp.float32)
    return {**networks.batch_of(), "image": image}


def _program(perturbation, architecture, target="global", estimator="forward", heads=""):
    own = f", perturbation: {{{perturbation}}}" if perturbation else ""
    isolate = "" if target == "global" else "losses: {local: {every: 1}, isolate: block}\n"
    gradient = f"gradient: {{target: {target}, estimator: {{type: {estimator}}}{own}}}"
    more = heads + isolate + gradient
    return networks.program("", architecture=architecture, info=INFO, more=more)


def _state(made, architecture):
    """Of any program on the architecture, the same parameters where it has them."""
    local = _program("", architecture, "local", "exact")
    params = networks.state_of(local).params
    own = {
        name: {k: params[name][k] for k in part} if name == "heads" else params[name]
        for name, part in made.plan.parameters().items()
    }
    return networks.state_of(made)._replace(params=own)


def _exact(target, architecture):
    made = _program("", architecture, target, "exact")
    return made.gradient(_state(made, architecture), _batch())[0]["blocks"]


def _variances(made, architecture, rounds=20, draws=200):
    """Total variance of the estimate of every block, by rounds of draws."""
    state, batch = _state(made, architecture), _batch()
    still = {block: jnp.zeros(flat(own).shape) for block, own in state.params["blocks"].items()}

    def draw(step):
        blocks = made.gradient(state._replace(step=step), batch)[0]["blocks"]
        return {block: flat(own) for block, own in blocks.items()}

    steps = jnp.arange(rounds * draws, dtype=jnp.int32).reshape(rounds, draws)
    found = jax.jit(lambda s: jax.lax.map(lambda own: moments(draw, still, own), s))(steps)
    return {block: np.asarray(own.variance) for block, own in found.items()}


def _squares(tree):
    return {name: float(jnp.square(part).sum()) for name, part in tree.items()}


@pytest.mark.parametrize("guess", ["normal", "rademacher"])
@pytest.mark.parametrize("grouping", ["net", "tensor"])
def test_variance_of_perturbed_weights(guess, grouping):
    """d + kurtosis - 2 times the square of the gradient of all that shares a derivative."""
    how = f"space: weight, guess: {{type: {guess}}}, projection: {{grouping: {grouping}}}"
    found = _variances(_program(how, ONE), ONE)["block0"]
    squares, sizes = _squares(_exact("global", ONE)["block0"]["dense"]), {"w": 20, "b": 5}
    extra = DRAWN[guess].kurtosis - 2
    together = (sum(sizes.values()) + extra) * sum(squares.values())
    apart = sum((sizes[name] + extra) * squares[name] for name in sizes)
    expected, other = (together, apart) if grouping == "net" else (apart, together)
    assert abs(_z(found, expected)) < 4
    assert abs(_z(found, other)) > 4


def _layer(params, block, inputs):
    """Weights and biases as float64, [inputs, units] and [units]."""
    dense = params["blocks"][block]["dense"]
    w, b = (np.asarray(dense[name], np.float64) for name in "wb")
    return w.reshape(inputs, -1), b.reshape(-1)


def _images(batch):
    return np.asarray(batch["image"], np.float64).reshape(4, -1)


def _final_error(params, hidden, labels):
    """By hand the gradient of the mean final loss at the features `hidden`, [n, units]."""
    weights, bias = (np.asarray(params["classifier"][name], np.float64) for name in "wb")
    weights = weights.reshape(hidden.shape[1], -1)
    logits = hidden @ weights + bias
    shares = np.exp(logits - logits.max(1, keepdims=True))
    shares /= shares.sum(1, keepdims=True)
    shares[np.arange(len(hidden)), np.asarray(labels)] -= 1
    return shares @ weights.T / len(hidden)


@pytest.mark.parametrize("guess", ["normal", "rademacher"])
@pytest.mark.parametrize("sharing", ["example", "batch"])
def test_variance_of_perturbed_activations(guess, sharing):
    """Only the a_nm units that fire for both examples n, m carry noise (Ren et al., table 1).

    The sum over n, m (n = m if every example draws its own noise) of
    (<x_n, x_m> + 1) <g_n, g_m> (a_nm + kurtosis - 1), less the square of the mean.
    """
    made = _program(f"guess: {{type: {guess}}}, sharing: {sharing}", ONE)
    params, x = _state(made, ONE).params, _images(_batch())
    w, b = _layer(params, "block0", 4)
    fires = x @ w + b > 0
    g = fires * _final_error(params, fires * (x @ w + b), _batch()["label"])
    inputs, errors = x @ x.T + 1, g @ g.T
    both = fires.astype(float) @ fires.T
    second = inputs * errors * (both + DRAWN[guess].kurtosis - 1)
    mean = inputs * errors
    total = (second - mean).trace() if sharing == "example" else (second - mean).sum()
    exact = sum(_squares(_exact("global", ONE)["block0"]["dense"]).values())
    np.testing.assert_allclose(mean.sum(), exact, rtol=1e-4)
    assert abs(_z(_variances(made, ONE)["block0"], total)) < 4


HEADS = "losses: {local: {every: 1}}\n"


@pytest.mark.parametrize("guess", ["normal", "rademacher"])
def test_around_a_control_variate_only_the_difference_has_variance(guess):
    how = f"space: weight, guess: {{type: {guess}}}, control_variate: local"
    found = _variances(_program(how, TWO, heads=HEADS), TWO)
    target, predicted = (_exact(name, TWO)["block0"]["dense"] for name in ("global", "local"))
    left = jax.tree.map(jnp.subtract, target, predicted)
    factor = 25 + DRAWN[guess].kurtosis - 2
    assert abs(_z(found["block0"], factor * sum(_squares(left).values()))) < 4
    assert abs(_z(found["block0"], factor * sum(_squares(target).values()))) > 4
    assert found["block1"].max() < 1e-10


def test_a_target_projected_on_a_guess_loses_what_is_orthogonal_to_it():
    how = "space: weight, guess: {type: local}, projection: {granularity: batch}"
    made = _program(how, TWO, heads=HEADS)
    found = made.gradient(_state(made, TWO), _batch())[0]["blocks"]["block0"]["dense"]
    target, guess = (_exact(name, TWO)["block0"]["dense"] for name in ("global", "local"))
    for name in ("w", "b"):
        t, g, own = (np.asarray(part[name], np.float64).ravel() for part in (target, guess, found))
        cosine = t @ g / np.linalg.norm(t) / np.linalg.norm(g)
        np.testing.assert_allclose(((own - t) ** 2).sum(), (1 - cosine**2) * (t @ t), rtol=1e-3)
        assert 0.01 < cosine**2 < 0.99


def test_guesses_pulled_through_the_next_block_average_to_its_jacobian():
    """Over a basis of directions v: the sum of <T, G> G, G = J'v / n, is J'J T / n^2."""
    how = "space: block_output, guess: {type: jacobian}, projection: {type: none}"
    made = _program(how, TWO)
    state, batch = _state(made, TWO), _batch()
    total = np.zeros((4, 5))
    for direction in np.eye(4, dtype=np.float32):
        noise = jnp.broadcast_to(jnp.asarray(direction), (1, 4, 1, 1, 4))
        found = made.gradient(state, batch, {"jacobian/block1": noise})[0]["blocks"]
        total += np.asarray(found["block0"]["dense"]["w"], np.float64).reshape(4, 5)
    x, (w, b) = _images(batch), _layer(state.params, "block0", 4)
    below, (weights, bias) = x @ w + b, _layer(state.params, "block1", 5)
    above = np.maximum(below, 0) @ weights + bias
    error = (above > 0) * _final_error(state.params, np.maximum(above, 0), batch["label"])
    expected = np.zeros((4, 5))
    for n in range(4):
        jacobian = (above[n] > 0)[:, None] * weights.T
        pulled = jacobian.T @ jacobian @ (weights @ error[n])
        expected += np.outer(x[n], pulled * (below[n] > 0))
    np.testing.assert_allclose(total, expected / 4**2, rtol=1e-4, atol=1e-7)


SMOOTH = "{type: chain, patches: 1, blocks: [[{type: dense, channels: 4, activation: none}]]}"


@pytest.mark.parametrize(("kind", "order"), [("independent", 1), ("antithetic", 2)])
def test_opposite_differences_cancel_what_is_even_in_the_step(kind, order):
    """Half the step leaves half the error of one-sided differences, a quarter of central ones."""
    rng = np.random.default_rng(3)
    once = rng.standard_normal((1, 4, 1, 1, 4))
    noise = {"block0/dense0": jnp.asarray(np.concatenate([once, once]), jnp.float32)}
    how = f"space: activation, samples: 2, guess: {{type: normal, set: {kind}}}"
    plain = _program(how.replace(kind, "independent"), SMOOTH)
    state, batch = networks.state_of(plain), _batch()
    tangent = flat(plain.gradient(state, batch, noise)[0]["blocks"])
    gaps = []
    for epsilon in (0.2, 0.1):
        estimator = f"finite_difference, epsilon: {epsilon}"
        made = _program(how, SMOOTH, estimator=estimator)
        found = flat(made.gradient(state, batch, noise)[0]["blocks"])
        gaps.append(float(jnp.linalg.norm(found - tangent)))
    assert gaps[0] / gaps[1] == pytest.approx(2**order, rel=0.15)
