"""The optimizer of a spec as one optax transformation; a table row for each type."""

from collections.abc import Callable
from typing import Any

import optax

from compiler.named_arrays.paths import flatten, unflatten
from fgspec.spec.optimizer import (
    Adam,
    AdamW,
    Constant,
    Lars,
    Linear,
    Optimizer,
    Sgd,
    Staircase,
    WarmupCosine,
)


def _constant(spec: Constant, rate: float, steps: int, per_epoch: int) -> optax.Schedule:
    return optax.constant_schedule(rate)


def _linear(spec: Linear, rate: float, steps: int, per_epoch: int) -> optax.Schedule:
    return optax.linear_schedule(rate, rate * spec.end_factor, steps)


def _staircase(spec: Staircase, rate: float, steps: int, per_epoch: int) -> optax.Schedule:
    interval = spec.every_epochs * per_epoch
    return optax.exponential_decay(rate, interval, spec.factor, staircase=True)


def _warmup_cosine(spec: WarmupCosine, rate: float, steps: int, per_epoch: int) -> optax.Schedule:
    warmup = min(spec.warmup_epochs * per_epoch, steps)
    return optax.warmup_cosine_decay_schedule(0.0, rate, warmup, steps, rate * spec.end_factor)


SCHEDULES: dict[str, Callable[[Any, float, int, int], optax.Schedule]] = {
    "constant": _constant,
    "linear": _linear,
    "staircase": _staircase,
    "warmup_cosine": _warmup_cosine,
}
"""(spec, peak rate, steps of the run, steps of an epoch) -> rate by step."""


def named(tree: Any, function: Callable[[str], Any]) -> Any:
    """A tree like `tree` with `function` of each leaf's path, such as `heads/block0/w`."""
    return unflatten({path: function(path) for path in flatten(tree)})


def is_weight(path: str) -> bool:
    """Whether a parameter is a weight rather than a bias, a scale or a shift."""
    return path.endswith("/w")


def _decay(spec: Any) -> optax.GradientTransformation:
    return optax.add_decayed_weights(spec.weight_decay, mask=lambda p: named(p, is_weight))


def _sgd(spec: Sgd) -> list[optax.GradientTransformation]:
    return [_decay(spec), optax.trace(spec.momentum, spec.nesterov)]


def _adam(spec: Adam) -> list[optax.GradientTransformation]:
    return [_decay(spec), optax.scale_by_adam(spec.beta1, spec.beta2, spec.epsilon)]


def _adamw(spec: AdamW) -> list[optax.GradientTransformation]:
    return [optax.scale_by_adam(spec.beta1, spec.beta2, spec.epsilon), _decay(spec)]


def _lars(spec: Lars) -> list[optax.GradientTransformation]:
    ratio = optax.scale_by_trust_ratio(trust_coefficient=spec.trust_coefficient)
    masked = optax.masked(ratio, lambda p: named(p, is_weight))
    return [_decay(spec), masked]


OPTIMIZERS: dict[str, Callable[[Any], list[optax.GradientTransformation]]] = {
    "sgd": _sgd,
    "adam": _adam,
    "adamw": _adamw,
    "lars": _lars,
}
"""The transformations before the learning rate, by `optimizer.type`."""


def make_optimizer(spec: Optimizer, steps: int, per_epoch: int) -> optax.GradientTransformation:
    """Transform, then the learning rate of the step, then the factors of the readouts.

    Args:
        spec: the section `optimizer`.
        steps: updates of the whole run.
        per_epoch: updates of one epoch.
    """
    schedule = SCHEDULES[spec.schedule.type](spec.schedule, spec.learning_rate, steps, per_epoch)
    factors = {"heads": spec.factors.heads, "classifier": spec.factors.classifier}

    def factor(updates: optax.Updates, params: optax.Params | None = None) -> optax.Updates:
        return named_scale(updates, lambda path: factors.get(path.split("/")[0], 1.0))

    parts = [*OPTIMIZERS[spec.type](spec), optax.scale_by_learning_rate(schedule)]
    # LARS accumulates steps, not gradients, so that a change of rate acts on new ones only.
    parts += [optax.trace(spec.momentum)] if isinstance(spec, Lars) else []
    return optax.chain(*parts, optax.stateless(factor))


def named_scale(tree: Any, scale: Callable[[str], float]) -> Any:
    """Each leaf multiplied by `scale` of its path; untouched where that is 1."""
    flat = flatten(tree)
    scaled = {p: leaf if scale(p) == 1.0 else leaf * scale(p) for p, leaf in flat.items()}
    return unflatten(scaled)
