"""The methods: which transformations come before and after the learning rate; one class each."""

from collections.abc import Callable
from typing import Any

import optax

from fgspec.spec import optimizers

Mask = Callable[[Any], Any]
"""Parameters -> a tree of booleans in their structure."""

Transformations = list[optax.GradientTransformation]


class Sgd(optimizers.Sgd):
    """Stochastic gradient descent with momentum."""

    def before_rate(self, decay: optax.GradientTransformation, weights: Mask) -> Transformations:
        """Weight decay, then momentum: momentum accumulates the decay, too."""
        return [decay, optax.trace(self.momentum, self.nesterov)]


class Adam(optimizers.Adam):
    """Adam with L2 regularization (Kingma and Ba 2015)."""

    def before_rate(self, decay: optax.GradientTransformation, weights: Mask) -> Transformations:
        """Weight decay, then the moments: both moments contain the decay."""
        return [decay, optax.scale_by_adam(self.beta1, self.beta2, self.epsilon)]


class AdamW(optimizers.AdamW):
    """Adam with decoupled weight decay (Loshchilov and Hutter 2019)."""

    def before_rate(self, decay: optax.GradientTransformation, weights: Mask) -> Transformations:
        """The moments, then weight decay: the decay is added to Adam's direction."""
        return [optax.scale_by_adam(self.beta1, self.beta2, self.epsilon), decay]


class Lars(optimizers.Lars):
    """Layer-wise adaptive rate scaling (You et al. 2017)."""

    def before_rate(self, decay: optax.GradientTransformation, weights: Mask) -> Transformations:
        """Weight decay, then a scale for each weight: its step is a constant times its norm."""
        ratio = optax.scale_by_trust_ratio(trust_coefficient=self.trust_coefficient)
        return [decay, optax.masked(ratio, weights)]

    def after_rate(self) -> Transformations:
        """Momentum of steps, not of gradients: a new rate does not change what is accumulated."""
        return [optax.trace(self.momentum)]
