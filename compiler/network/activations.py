"""The built-in activation functions: outputs and derivatives, element by element."""

from math import pi

import jax
import jax.numpy as jnp
from jaxtyping import Array, Bool, Float

from fgspec.spec import activations

Z = Float[Array, "..."]


class Relu(activations.Relu):
    """The rectified linear unit."""

    def apply(self, z: Z) -> tuple[Z, Bool[Array, "..."]]:
        """max(z, 0), and whether z > 0."""
        # Blank patches have pre-activations of exactly 0. The derivative there is 0, as in the
        # mask; jnp.maximum would have 1/2.
        out = jax.nn.relu(z)
        return out, out > 0


class NoActivation(activations.NoActivation):
    """The identity."""

    def apply(self, z: Z) -> tuple[Z, Bool[Array, "..."]]:
        """z, and true everywhere."""
        return z, jnp.ones(z.shape, bool)


class Gelu(activations.Gelu):
    """The Gaussian error linear unit, in its exact form."""

    def apply(self, z: Z) -> tuple[Z, Z]:
        """Z Phi(z) and Phi(z) + z phi(z), with the normal distribution Phi and density phi."""
        below = jax.lax.erfc(-(0.5**0.5) * z) / 2
        density = jnp.exp(-jnp.square(z) / 2) / (2 * pi) ** 0.5
        return z * below, below + z * density


class Silu(activations.Silu):
    """The sigmoid linear unit (swish)."""

    def apply(self, z: Z) -> tuple[Z, Z]:
        """Z s(z) and s(z) (1 + z (1 - s(z))), with the logistic function s."""
        logistic = jax.nn.sigmoid(z)
        return z * logistic, logistic * (1 + z * (1 - logistic))


class Tanh(activations.Tanh):
    """The hyperbolic tangent."""

    def apply(self, z: Z) -> tuple[Z, Z]:
        """tanh(z) and 1 - tanh(z)^2."""
        out = jnp.tanh(z)
        return out, 1 - jnp.square(out)


class LeakyRelu(activations.LeakyRelu):
    """The rectified linear unit with a slope below 0."""

    def apply(self, z: Z) -> tuple[Z, Z]:
        """D z and d, where d is 1 for z > 0, else the slope."""
        derivative = jnp.where(z > 0, jnp.ones_like(z), jnp.full_like(z, self.slope))
        return z * derivative, derivative
