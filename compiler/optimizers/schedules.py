"""Learning-rate schedules: the learning rate of every step, one class each."""

import optax

from fgspec.spec import schedules


class Constant(schedules.Constant):
    """The same rate at every step."""

    def rate(self, peak: float, steps: int, per_epoch: int) -> optax.Schedule:
        """The peak at every step."""
        return optax.constant_schedule(peak)


class Linear(schedules.Linear):
    """A straight line."""

    def rate(self, peak: float, steps: int, per_epoch: int) -> optax.Schedule:
        """From the peak to `end_factor` times it, reached after the last step."""
        return optax.linear_schedule(peak, peak * self.end_factor, steps)


class Staircase(schedules.Staircase):
    """A drop after every so many epochs."""

    def rate(self, peak: float, steps: int, per_epoch: int) -> optax.Schedule:
        """Multiplied by `factor` after every `every_epochs` epochs."""
        interval = self.every_epochs * per_epoch
        return optax.exponential_decay(peak, interval, self.factor, staircase=True)


class MultiStep(schedules.MultiStep):
    """Drops after given epochs."""

    def rate(self, peak: float, steps: int, per_epoch: int) -> optax.Schedule:
        """Multiplied by `factor` after each epoch of `at_epochs`."""
        drops = {epoch * per_epoch: self.factor for epoch in self.at_epochs}
        return optax.piecewise_constant_schedule(peak, drops)


class Exponential(schedules.Exponential):
    """An exponential decay."""

    def rate(self, peak: float, steps: int, per_epoch: int) -> optax.Schedule:
        """The peak at the first step, multiplied by `factor` in each epoch."""
        return optax.exponential_decay(peak, per_epoch, self.factor)


class Cosine(schedules.Cosine):
    """Half a period of a cosine (Loshchilov and Hutter 2017)."""

    def rate(self, peak: float, steps: int, per_epoch: int) -> optax.Schedule:
        """From the peak to `end_factor` times it, reached after the last step."""
        return optax.cosine_decay_schedule(peak, steps, self.end_factor)


class OneCycle(schedules.OneCycle):
    """A rise and a fall (Smith 2018)."""

    def rate(self, peak: float, steps: int, per_epoch: int) -> optax.Schedule:
        """A cosine up to the peak, in the share `rise` of the steps, then a cosine down."""
        down = self.start_factor / self.end_factor
        return optax.cosine_onecycle_schedule(steps, peak, self.rise, 1 / self.start_factor, down)


class WarmupCosine(schedules.WarmupCosine):
    """A linear warm-up, then half a period of a cosine."""

    def rate(self, peak: float, steps: int, per_epoch: int) -> optax.Schedule:
        """From 0 to the peak during the warm-up, then down to `end_factor` times the peak."""
        warmup = min(self.warmup_epochs * per_epoch, steps)
        return optax.warmup_cosine_decay_schedule(0.0, peak, warmup, steps, peak * self.end_factor)
