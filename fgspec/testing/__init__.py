"""Laws that every method of a kind must obey, for the tests of fgspec and of plugins.

A law is a function that raises an AssertionError with the reason if it is broken. It takes an
instance, or a class, of which it makes an instance by its defaults or its `example`. The class need
not be registered.
"""

from fgspec.testing.baselines import check_baseline
from fgspec.testing.inputs import (
    check_augmentation,
    check_clipping,
    check_engine,
    check_optimizer,
    check_schedule,
    check_source,
    check_tracker,
)
from fgspec.testing.learning import (
    check_backward_weights,
    check_coefficient,
    check_estimator,
    check_granularity,
    check_grouping,
    check_guess,
    check_head,
    check_objective,
    check_prediction,
    check_rule,
    check_sample_set,
    check_scale,
    check_space,
    check_target,
)
from fgspec.testing.networks import (
    check_activation,
    check_architecture,
    check_initialization,
    check_layer,
    check_normalization,
)

__all__ = [
    "check_activation",
    "check_architecture",
    "check_augmentation",
    "check_backward_weights",
    "check_baseline",
    "check_clipping",
    "check_coefficient",
    "check_engine",
    "check_estimator",
    "check_granularity",
    "check_grouping",
    "check_guess",
    "check_head",
    "check_initialization",
    "check_layer",
    "check_normalization",
    "check_objective",
    "check_optimizer",
    "check_prediction",
    "check_rule",
    "check_sample_set",
    "check_scale",
    "check_schedule",
    "check_source",
    "check_space",
    "check_target",
    "check_tracker",
]
