"""What the built-in activations compute: outputs and their derivatives."""

from math import pi

import jax
import jax.numpy as jnp
from jaxtyping import Array, Bool, Float

from fgspec.spec import activations

Z = Float[Array, "..."]


class Relu(activations.Relu):
    """The section with what it computes."""

    def apply(self, z: Z) -> tuple[Z, Bool[Array, "..."]]:
        """See the base."""
        # Its derivative at 0 is 0, as the mask has it, that of a maximum 1/2; blank patches do have
        # pre-activations that are exactly 0.
        out = jax.nn.relu(z)
        return out, out > 0


class NoActivation(activations.NoActivation):
    """The section with what it computes."""

    def apply(self, z: Z) -> tuple[Z, Bool[Array, "..."]]:
        """See the base."""
        return z, jnp.ones(z.shape, bool)


class Gelu(activations.Gelu):
    """The section with what it computes."""

    def apply(self, z: Z) -> tuple[Z, Z]:
        """The products z Phi(z) and Phi(z) + z phi(z), with the normal density phi."""
        below = jax.lax.erfc(-(0.5**0.5) * z) / 2
        density = jnp.exp(-jnp.square(z) / 2) / (2 * pi) ** 0.5
        return z * below, below + z * density


class Silu(activations.Silu):
    """The section with what it computes."""

    def apply(self, z: Z) -> tuple[Z, Z]:
        """The products z s(z) and s(z) (1 + z (1 - s(z))), with the logistic function s."""
        logistic = jax.nn.sigmoid(z)
        return z * logistic, logistic * (1 + z * (1 - logistic))


class Tanh(activations.Tanh):
    """The section with what it computes."""

    def apply(self, z: Z) -> tuple[Z, Z]:
        """The output t and 1 - t^2."""
        out = jnp.tanh(z)
        return out, 1 - jnp.square(out)


class LeakyRelu(activations.LeakyRelu):
    """The section with what it computes."""

    def apply(self, z: Z) -> tuple[Z, Z]:
        """The product of z and the derivative, and that."""
        derivative = jnp.where(z > 0, jnp.ones_like(z), jnp.full_like(z, self.slope))
        return z * derivative, derivative
