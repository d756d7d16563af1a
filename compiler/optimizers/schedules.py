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


class MultiStep(schedules.MultiStep):
    """The section with what it computes."""

    def rate(self, peak: float, steps: int, per_epoch: int) -> optax.Schedule:
        """Drops after whole epochs."""
        drops = {epoch * per_epoch: self.factor for epoch in self.at_epochs}
        return optax.piecewise_constant_schedule(peak, drops)


class Exponential(schedules.Exponential):
    """The section with what it computes."""

    def rate(self, peak: float, steps: int, per_epoch: int) -> optax.Schedule:
        """The first step has the peak."""
        return optax.exponential_decay(peak, per_epoch, self.factor)


class Cosine(schedules.Cosine):
    """The section with what it computes."""

    def rate(self, peak: float, steps: int, per_epoch: int) -> optax.Schedule:
        """The end is reached when all steps are done."""
        return optax.cosine_decay_schedule(peak, steps, self.end_factor)


class OneCycle(schedules.OneCycle):
    """The section with what it computes."""

    def rate(self, peak: float, steps: int, per_epoch: int) -> optax.Schedule:
        """The peak is reached after the share of the steps in which it rises."""
        down = self.start_factor / self.end_factor
        return optax.cosine_onecycle_schedule(steps, peak, self.rise, 1 / self.start_factor, down)


class WarmupCosine(schedules.WarmupCosine):
    """The section with what it computes."""

    def rate(self, peak: float, steps: int, per_epoch: int) -> optax.Schedule:
        """The first step has the rate 0 if there is a warm-up."""
        warmup = min(self.warmup_epochs * per_epoch, steps)
        return optax.warmup_cosine_decay_schedule(0.0, peak, warmup, steps, peak * self.end_factor)
