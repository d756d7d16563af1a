"""Initial parameters, each drawn from a stream named by its path."""

from collections.abc import Callable
from functools import partial
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, PRNGKeyArray

from compiler.named_arrays.paths import flatten, unflatten
from compiler.named_arrays.random_streams import KeyData, addresses, stream_code
from compiler.network.shapes import ParamSpec


class Scheme(NamedTuple):
    """How parameters begin.

    Attributes:
        weight: (key, shape, fan-in) -> initial weights.
        bias: every bias.
        classifier: whether the classifier is drawn like all others; zero if not.
    """

    weight: Callable[[PRNGKeyArray, tuple[int, ...], int], Float[Array, "..."]]
    bias: float = 0.0
    classifier: bool = False


def _normal(deviation: Callable[[int], float]) -> Scheme:
    def drawn(key: PRNGKeyArray, shape: tuple[int, ...], fan_in: int) -> Float[Array, "..."]:
        return jax.random.normal(key, shape, jnp.float32) * deviation(fan_in)

    return Scheme(drawn)


def _kaiming_uniform(key: PRNGKeyArray, shape: tuple[int, ...], fan_in: int) -> Float[Array, "..."]:
    bound = (6 / fan_in) ** 0.5
    return jax.random.uniform(key, shape, jnp.float32, -bound, bound)


SCHEMES: dict[str, Scheme] = {
    "kaiming": _normal(lambda fan_in: min(2 / fan_in**0.5, 0.1)),
    "lecun": _normal(lambda fan_in: min(1 / fan_in**0.5, 0.1)),
    "normal": _normal(lambda fan_in: 0.1),
    "kaiming_uniform": Scheme(_kaiming_uniform, bias=0.01, classifier=True),
}
"""By `architecture.initialization`: Ren et al. 2022, the last Fournier et al. 2023."""


def initialize(
    specs: dict[str, Any], key: KeyData, scheme: Scheme, stream: str = "initial"
) -> dict[str, Any]:
    """Draw parameters; scales are one, shifts and averages zero.

    Args:
        specs: `ParamSpec` by nested names.
        key: of the run.
        scheme: a row of `SCHEMES`.
        stream: begins the name of each leaf's stream.

    Returns:
        float32 arrays under the same names.
    """
    flat: dict[str, ParamSpec] = flatten(specs)
    constant = {"bias": scheme.bias, "scale": 1.0, "shift": 0.0, "average": 0.0}
    found, weights = {}, dict[str, ParamSpec]()
    for path, spec in flat.items():
        zero = path.startswith("classifier/") and not scheme.classifier and spec.role != "scale"
        if zero or spec.role != "weight":
            value = 0.0 if zero else constant[spec.role]
            found[path] = jnp.full(spec.shape, value, jnp.float32)
        else:
            weights[path] = spec
    found |= _drawn(weights, key, scheme, stream) if weights else {}
    return unflatten({path: found[path] for path in flat})


def _drawn(
    specs: dict[str, ParamSpec], key: KeyData, scheme: Scheme, stream: str
) -> dict[str, Float[Array, "..."]]:
    """Weights by path; those of one shape are drawn together, to be compiled once."""
    keys = addresses(key, [stream_code(f"{stream}/{path}") for path in specs])
    alike: dict[tuple[tuple[int, ...], int], dict[str, int]] = {}
    for index, (path, spec) in enumerate(specs.items()):
        alike.setdefault((spec.shape, spec.fan_in), {})[path] = index
    found: dict[str, Any] = {}
    for (shape, fan_in), own in alike.items():
        one = partial(_weight, scheme, shape, fan_in)
        together = jax.vmap(one)(keys[jnp.asarray(list(own.values()))])
        found |= {path: together[place] for place, path in enumerate(own)}
    return found


def _weight(
    scheme: Scheme, shape: tuple[int, ...], fan_in: int, key: PRNGKeyArray
) -> Float[Array, "..."]:
    return scheme.weight(key, shape, fan_in)
