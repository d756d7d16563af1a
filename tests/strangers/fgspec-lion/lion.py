"""Lion (Chen et al. 2023), from optax."""

from typing import ClassVar, Literal

import optax

import fgspec


class Lion(fgspec.Optimizer):
    """The sign of an interpolated momentum."""

    type: Literal["lion"] = "lion"
    moments: ClassVar[int] = 1
    b1: float = fgspec.Field(default=0.9, ge=0, lt=1, description="Of the step.")
    b2: float = fgspec.Field(default=0.99, ge=0, lt=1, description="Of the momentum.")

    def before_rate(self, decay, weights):
        return [optax.scale_by_lion(self.b1, self.b2), decay]
