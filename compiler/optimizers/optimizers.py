"""What stands before and after the learning rate in a step, one class an optimizer."""

from collections.abc import Callable
from typing import Any

import optax

from fgspec.spec import optimizers

Mask = Callable[[Any], Any]
"""Parameters -> a tree of booleans."""

Transformations = list[optax.GradientTransformation]


class Sgd(optimizers.Sgd):
    """The section with what it computes."""

    def before_rate(self, decay: optax.GradientTransformation, weights: Mask) -> Transformations:
        """Decayed weights are part of what the momentum accumulates."""
        return [decay, optax.trace(self.momentum, self.nesterov)]


class Adam(optimizers.Adam):
    """The section with what it computes."""

    def before_rate(self, decay: optax.GradientTransformation, weights: Mask) -> Transformations:
        """Decayed weights are part of what both moments are of."""
        return [decay, optax.scale_by_adam(self.beta1, self.beta2, self.epsilon)]


class AdamW(optimizers.AdamW):
    """The section with what it computes."""

    def before_rate(self, decay: optax.GradientTransformation, weights: Mask) -> Transformations:
        """Decayed weights are added to Adam's direction."""
        return [optax.scale_by_adam(self.beta1, self.beta2, self.epsilon), decay]


class Lars(optimizers.Lars):
    """The section with what it computes."""

    def before_rate(self, decay: optax.GradientTransformation, weights: Mask) -> Transformations:
        """Steps of weights, their decay included, are as long as the weights, times a constant."""
        ratio = optax.scale_by_trust_ratio(trust_coefficient=self.trust_coefficient)
        return [decay, optax.masked(ratio, weights)]

    def after_rate(self) -> Transformations:
        """It accumulates steps, not gradients, so that a change of rate acts on new ones only."""
        return [optax.trace(self.momentum)]
