"""The variance of forward gradients of one layer: in theory, and simulated (Ren et al. 2022, 10).

A layer [p, q] whose inputs and losses come in batches of N examples. V is the variance of an
example's gradient and S the squared mean gradient, both averaged over the layer's weights.
"""

from functools import partial
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, PRNGKeyArray

from compiler.named_arrays.random_streams import address, key_data
from fgspec.spec.guesses import GUESSES
from fgspec.spec.kinds import working

EXAMPLES = 4096
"""Of the finite set that batches are drawn from, with replacement, so that V and S are exact."""

MOST, FEWEST = 20_000, 5000
"""Batches, each with noise of its own, that a variance is measured on; the paper takes 5,000.

The fourth power of normal noise makes variances of small batches scatter by several per cent.
"""

_NUMBERS = 2**26
"""Of noise that a variance is measured on, unless that were fewer batches than `FEWEST`."""

_CHUNK = 2**21
"""Numbers of noise that are held at once."""


class Kind(NamedTuple):
    """An estimator of the layer's gradient: what is perturbed, who shares noise, which noise."""

    space: str
    sharing: str
    guess: str

    def __str__(self) -> str:
        """As a legend has it."""
        return f"{self.space}, {self.sharing}, {self.guess}"


KINDS = tuple(
    Kind(space, sharing, guess)
    for guess in ("normal", "rademacher")
    for space in ("weight", "activation")
    for sharing in ("batch", "example")
)
"""The eight laws: two spaces, noise of the batch or of each example, two kinds of noise."""


class Layer(NamedTuple):
    """Sizes of one point of the figure.

    Attributes:
        batch: N.
        fan_in: p.
        fan_out: q.
    """

    batch: int
    fan_in: int
    fan_out: int


class Point(NamedTuple):
    """Average variance of one estimator at one point."""

    theory: float
    simulated: float


def law(kind: Kind, layer: Layer, spread: float, signal: float) -> float:
    """The average variance of an estimator's weights (Ren et al. 2022, propositions 3 and 4).

    With noise of kurtosis k that moves m numbers, m = p q for weights and q for activations,

        (m + k - 1) / N V + (m + k - 2) S [/ N if each example has its own noise].

    The paper has normal noise, k = 3; signs have k = 1.

    Args:
        kind: of the estimator.
        layer: sizes.
        spread: V.
        signal: S.
    """
    moved = layer.fan_out * (layer.fan_in if kind.space == "weight" else 1)
    excess = moved + GUESSES.kind(kind.guess)().kurtosis - 2
    shared = 1 if kind.sharing == "batch" else layer.batch
    return (excess + 1) / layer.batch * spread + excess / shared * signal


class Network(NamedTuple):
    """A perceptron of two layers with tanh and squared error, and examples for it."""

    inputs: Float[Array, "d p"]
    targets: Float[Array, " d"]
    first: Float[Array, "p q"]
    second: Float[Array, " q"]

    def losses(self, index: Any, hidden: Float[Array, "n q"]) -> Float[Array, " n"]:
        """Of examples by their first layer's outputs before the nonlinearity."""
        return jnp.square(jnp.tanh(hidden) @ self.second - self.targets[index])


def network(fan_in: int, fan_out: int) -> Network:
    """A random one; everything is uniform, as the tails of what is normal take more samples."""
    keys = (address(key_data(0), name) for name in Network._fields)
    shapes = ((EXAMPLES, fan_in), (EXAMPLES,), (fan_in, fan_out), (fan_out,))
    bounds = (3**0.5, 1.0, (3 / fan_in) ** 0.5, (3 / fan_out) ** 0.5)
    return Network(
        *(
            jax.random.uniform(key, shape, minval=-bound, maxval=bound)
            for key, shape, bound in zip(keys, shapes, bounds, strict=True)
        )
    )


def moments(net: Network) -> tuple[float, float]:
    """V and S of the first layer, by reverse mode over all examples."""

    def total(hidden: Any) -> Any:
        return net.losses(slice(None), hidden).sum()

    errors = jax.grad(total)(net.inputs @ net.first)
    grads = net.inputs[:, :, None] * errors[:, None, :]
    return float(grads.var(0).mean()), float(jnp.square(grads.mean(0)).mean())


def estimate(net: Network, kind: Kind, batch: int, key: PRNGKeyArray) -> Float[Array, "p q"]:
    """The forward gradient of the first layer on a random batch, with noise of its own."""
    chosen, noise = jax.random.split(key)
    index = jax.random.randint(chosen, (batch,), 0, EXAMPLES)
    inputs = net.inputs[index]
    shape = net.first.shape if kind.space == "weight" else net.first.shape[1:]
    rows = () if kind.sharing == "batch" else (batch,)
    drawn = jnp.broadcast_to(
        working(GUESSES.kind(kind.guess)()).draw(noise, rows, shape), (batch, *shape)
    )
    # Sums of products, which XLA fuses with the noise; its small batched dots are much slower.
    moved = (inputs[:, :, None] * drawn).sum(1) if kind.space == "weight" else drawn
    _, slopes = jax.jvp(partial(net.losses, index), (inputs @ net.first,), (moved,))
    if kind.space == "weight":
        return (slopes[:, None, None] * drawn).mean(0)
    return (inputs * slopes[:, None]).T @ drawn / batch


def simulate(layer: Layer) -> dict[Kind, Point]:
    """Theory and simulation of all laws at one point."""
    net = network(layer.fan_in, layer.fan_out)
    numbers = layer.batch * layer.fan_in * layer.fan_out
    samples = min(max(_NUMBERS // numbers, FEWEST), MOST)
    chunk = min(max(_CHUNK // numbers, 1), samples)
    keys = jax.random.split(address(key_data(1), "samples"), samples)

    @jax.jit
    def variances(net: Network, keys: Any) -> list[Any]:
        estimates = (partial(estimate, net, kind, layer.batch) for kind in KINDS)
        return [jax.lax.map(one, keys, batch_size=chunk).var(0).mean() for one in estimates]

    measured, (spread, signal) = jax.device_get(variances(net, keys)), moments(net)
    return {
        kind: Point(law(kind, layer, spread, signal), float(found))
        for kind, found in zip(KINDS, measured, strict=True)
    }
