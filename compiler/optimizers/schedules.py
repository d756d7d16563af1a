"""The learning rate of every step."""

import optax

from fgspec.spec import schedules


class Constant(schedules.Constant):
    """The section with what it computes."""

    def rate(self, peak: float, steps: int, per_epoch: int) -> optax.Schedule:
        """The peak."""
        return optax.constant_schedule(peak)


class Linear(schedules.Linear):
    """The section with what it computes."""

    def rate(self, peak: float, steps: int, per_epoch: int) -> optax.Schedule:
        """The end is reached when all steps are done."""
        return optax.linear_schedule(peak, peak * self.end_factor, steps)


class Staircase(schedules.Staircase):
    """The section with what it computes."""

    def rate(self, peak: float, steps: int, per_epoch: int) -> optax.Schedule:
        """Drops after whole epochs."""
        interval = self.every_epochs * per_epoch
        return optax.exponential_decay(peak, interval, self.factor, staircase=True)


class WarmupCosine(schedules.WarmupCosine):
    """The section with what it computes."""

    def rate(self, peak: float, steps: int, per_epoch: int) -> optax.Schedule:
        """The first step has the rate 0 if there is a warm-up."""
        warmup = min(self.warmup_epochs * per_epoch, steps)
        return optax.warmup_cosine_decay_schedule(0.0, peak, warmup, steps, peak * self.end_factor)
