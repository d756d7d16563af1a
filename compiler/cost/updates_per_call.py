"""How many updates a call of the compiled program makes, and where its examples come from."""

from math import gcd, prod
from typing import NamedTuple

import jax
import numpy as np

from compiler.cost.update_flops import update_flops
from compiler.plan.loops import written_out
from compiler.plan.plan import Plan

LIGHT = {"cpu": 2e8}
"""By backend, the FLOPs of an update below which the overhead of a call matters.

Measured on two cores: 26 updates per call are 6 % faster at 160 million FLOPs, and slower at 230
million, because operations inside a loop use several cores less well.
"""

MOST = 32
"""The most updates per call that `auto` chooses: a run that is stopped ends its call first."""

RESIDENT = 256 * 2**20
"""The largest training set, in bytes, that `auto` keeps on the device."""

STACKED = 32 * 2**20
"""The most bytes of batches that `auto` sends for one call."""


class Calls(NamedTuple):
    """One call of the compiled program.

    Attributes:
        steps: the number of updates in it.
        resident: whether the training set is on the device, so that a call needs only indices.
    """

    steps: int
    resident: bool


def calls_of(plan: Plan) -> Calls:
    """The calls of a run, by the spec or what is fastest."""
    compile, source = plan.experiment.compile, plan.experiment.data.source
    images = prod(plan.data.image_shape) * np.dtype(plan.data.pixels).itemsize
    resident = compile.input == "device"
    if compile.input == "auto":
        small = images * plan.data.train_examples <= RESIDENT
        resident = small and not source.decoded
    if compile.steps_per_call != "auto":
        return Calls(compile.steps_per_call, resident)
    # Each call fills and drains a pipeline, so it should have many updates, whatever they cost.
    if plan.experiment.mesh.stage == 1 and (
        written_out(plan) or update_flops(plan) >= LIGHT.get(jax.default_backend(), 1e10)
    ):
        return Calls(1, resident)
    most = MOST
    if not resident:
        most = max(1, min(MOST, STACKED // (images * plan.experiment.data.batch_size)))
    between = gcd(*stops(plan))
    return Calls(max(count for count in range(1, most + 1) if between % count == 0), resident)


def stops(plan: Plan) -> list[int]:
    """The run's intervals of logging, evaluation and checkpoints, and its length, in updates."""
    training, checkpoint = plan.experiment.training, plan.experiment.checkpoint
    intervals = (training.log_every, training.evaluate_every, checkpoint.every)
    return [plan.steps, *(plan.steps_of(interval) for interval in intervals)]
