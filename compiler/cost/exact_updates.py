"""The cost of updates that take the exact gradient, where others estimate it."""

from dataclasses import replace
from typing import NamedTuple

from compiler.cost.update_flops import update_flops
from compiler.plan.plan import Plan


class ExactUpdates(NamedTuple):
    """Exact updates of a plan.

    Attributes:
        every: one update in so many is exact.
        estimated: FLOPs of an update that estimates.
        exact: FLOPs of an exact one.
    """

    every: int
    estimated: int
    exact: int


def exact_updates(plan: Plan) -> ExactUpdates | None:
    """The exact updates of a plan, with their cost; None if there are none.

    Of a run in phases they are those of the spec's own gradient.
    """
    every = plan.experiment.gradient.exact_every
    if every is None:
        return None
    return ExactUpdates(every, update_flops(_every(plan, None)), update_flops(_every(plan, 1)))


def _every(plan: Plan, every: int | None) -> Plan:
    gradient = plan.experiment.gradient.model_copy(update={"exact_every": every})
    update = {"gradient": gradient, "phases": ()}
    return replace(plan, experiment=plan.experiment.model_copy(update=update))
