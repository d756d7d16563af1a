"""The multi-class hinge loss of outputs and labels."""

from typing import Literal

import jax
import jax.numpy as jnp

import fgspec


class Hinge(fgspec.Objective):
    """By how much the label's output does not lead all others by 1 (Crammer and Singer 2001)."""

    type: Literal["hinge"] = "hinge"

    def value(self, outputs, targets, others=None):
        label = jax.nn.one_hot(targets, outputs.shape[-1])
        own = (outputs * label).sum(-1)
        other = jnp.where(label > 0, -jnp.inf, outputs).max(-1)
        return jnp.maximum(0, 1 + other - own)

    def metrics(self, outputs, targets):
        right = self.predict(outputs) == targets
        return {"error": ~right, "accuracy": right}

    def predict(self, outputs):
        return outputs.argmax(-1)

    def scale(self, data):
        return 1.0
