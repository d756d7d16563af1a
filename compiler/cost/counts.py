"""Counts of one update that need no trace: parameters, loss copies, perturbed elements."""

from dataclasses import dataclass
from math import prod

from compiler.named_arrays.paths import flatten
from compiler.plan.plan import Plan
from compiler.plan.segment import Segment


@dataclass(frozen=True)
class Counts:
    """Counts of one update over a whole batch.

    Attributes:
        parameters: the number of parameters.
        head_parameters: the number of parameters in the heads of local losses.
        losses: the number of loss copies, over the batch.
        perturbed: the number of perturbed elements, over the batch and all samples.
    """

    parameters: int
    head_parameters: int
    losses: int
    perturbed: int


def counts(plan: Plan) -> Counts:
    """The counts of one update of a plan."""
    sizes = {path: prod(spec.shape) for path, spec in flatten(plan.parameters()).items()}
    return Counts(
        parameters=sum(sizes.values()),
        head_parameters=sum(size for path, size in sizes.items() if path.startswith("heads/")),
        losses=sum(_copies(plan, segment) for segment in plan.segments),
        perturbed=sum(_perturbed(plan, segment) for segment in plan.segments),
    )


def _copies(plan: Plan, segment: Segment) -> int:
    total = 0
    for site in segment.sites:
        patches, groups, _ = plan.network.block(site.block).end.features
        sizes = {"batch": plan.rows, "patch": patches, "group": groups}
        total += prod(sizes[axis] for axis in site.axes)
    return total


def _perturbed(plan: Plan, segment: Segment) -> int:
    samples = plan.perturbation.samples if plan.perturbation is not None else 0
    return samples * sum(prod(element.shape) for element in plan.perturbed(segment).values())
