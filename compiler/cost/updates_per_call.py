"""How many updates one call of the compiled program makes, and where its examples come from."""

from math import gcd, prod
from typing import NamedTuple

import jax
import numpy as np

from compiler.cost.update_flops import update_flops
from compiler.plan.loops import written_out
from compiler.plan.plan import Plan

LIGHT = {"cpu": 2e8}
"""FLOPs of an update below which what a call costs by itself counts, by backend.

Measured on two cores: at 160 million 26 updates a call are 6 % quicker, at 230 million slower, as
operations inside a loop share cores less well.
"""

MOST = 32
"""Updates in one call that `auto` takes: a run that is told to stop ends its call first."""

RESIDENT = 256 * 2**20
"""Bytes of a training set that `auto` keeps on the device."""

STACKED = 32 * 2**20
"""Bytes of the batches of one call that `auto` stacks."""


class Calls(NamedTuple):
    """What one call of the compiled program is.

    Attributes:
        steps: updates in it.
        resident: whether the training set lives on the device, so that a call names examples only.
    """

    steps: int
    resident: bool


def calls_of(plan: Plan) -> Calls:
    """The calls of a run, as its spec says or as is best."""
    compile, source = plan.experiment.compile, plan.experiment.data.source
    images = prod(plan.data.image_shape) * np.dtype(plan.data.pixels).itemsize
    resident = compile.input == "device"
    if compile.input == "auto":
        small = images * plan.data.train_examples <= RESIDENT
        resident = small and not source.decoded
    if compile.steps_per_call != "auto":
        return Calls(compile.steps_per_call, resident)
    # Each call of a pipeline fills and drains it, so that it takes many updates whatever they cost.
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
    """After how many updates the run is looked at, in each of its intervals and in all."""
    training, checkpoint = plan.experiment.training, plan.experiment.checkpoint
    intervals = (training.log_every, training.evaluate_every, checkpoint.every)
    return [plan.steps, *(plan.steps_of(interval) for interval in intervals)]
