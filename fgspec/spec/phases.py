"""`phases:` what a run begins with: updates under another gradient than the spec's own."""

from collections.abc import Iterator, Sequence
from typing import Annotated, Any, ClassVar, Literal

from pydantic import Field

from fgspec.spec.architectures import Architecture
from fgspec.spec.base import Like, PositiveInt, Resume, Section, Unit
from fgspec.spec.gradient import Gradient
from fgspec.spec.losses import Local, LossAxis, Losses


class Phase(Section):
    """Updates at the beginning of a run, under a gradient of their own.

    The state of the run is carried over: parameters, the optimizer's state, averages. Backward
    weights are those of an estimator: they begin as in a run that has no phases, and rest while
    another estimator trains. Give `epochs` or `steps`, not both.
    """

    on_resume: ClassVar = Resume.FORKS
    shown: ClassVar[tuple[str, ...]] = ("epochs",)
    epochs: Annotated[PositiveInt | None, Unit("epochs")] = Field(
        default=None,
        description="How many passes over the training set it lasts. null: give `steps` instead.",
        examples=[5],
    )
    steps: Annotated[PositiveInt | None, Unit("updates")] = Field(
        default=None,
        description="How many updates it lasts. null: give `epochs` instead.",
        examples=[1000],
    )
    gradient: Annotated[Gradient, Like("gradient")] = Field(
        default=Gradient(),
        description="The section `gradient` of this phase. Where gradients stop follows from it, "
        "not from `losses.isolate`.",
    )

    def length(self, per_epoch: int) -> int:
        """How many updates it lasts, if an epoch has so many."""
        return self.steps or (self.epochs or 0) * per_epoch


def spans(phases: Sequence[Phase], per_epoch: int) -> Iterator[range]:
    """The updates of each phase, counted from 0; all later ones have the spec's own gradient."""
    start = 0
    for phase in phases:
        yield range(start, start + phase.length(per_epoch))
        start += phase.length(per_epoch)


def last_loss(local: Local, gradient: Gradient) -> Literal["local", "final"]:
    """Which loss closes the last block where the spec does not say it.

    The final one, where something is estimated of it.
    """
    how = gradient.perturbation
    exact = how is not None and how.last_block == "exact"
    guided = how is not None and how.last_block is None and bool(how.guides)
    final = exact or guided or not gradient.target.reads_local
    return local.last or ("final" if final else "local")


def copied_over(
    local: Local, gradient: Gradient, architecture: Architecture
) -> tuple[LossAxis, ...] | None:
    """The axes of copies of local losses where the spec does not say it.

    Losses are replicated over every axis, where all that is perturbed moves together.
    """
    how = gradient.perturbation
    if how is None or local.replicate is not None:
        return local.replicate
    whole = how.projects or local.aggregation == "pooled"
    return () if whole else architecture.loss_axes


def losses_in(
    phase: Phase, losses: Losses, gradient: Gradient, architecture: Architecture | None = None
) -> Losses:
    """The section `losses` as it is in a phase.

    Args:
        phase: the phase.
        losses: the section of the spec.
        gradient: the spec's own gradient. It decides which loss closes the last block, and so which
            heads there are.
        architecture: fills in the axes of copies; None leaves them open.
    """
    own, local = phase.gradient, losses.local
    isolate = "layer" if own.estimator.isolates_layers else "none"
    updates: dict[str, Any] = {"isolate": "block" if own.target.inside else isolate}
    if local is not None:
        # Copies change nothing that is exact, and a projection moves no copy by itself.
        reads = own.estimator.perturbs and not (own.perturbation and own.perturbation.projects)
        replicate = local.replicate if reads else None
        local = local.model_copy(
            update={"last": last_loss(local, gradient), "replicate": replicate}
        )
        if architecture is not None:
            axes = copied_over(local, own, architecture)
            local = local.model_copy(update={"replicate": axes})
        updates["local"] = local
    return losses.model_copy(update=updates)


def as_in(phase: Phase, experiment: Any) -> Any:
    """An `Experiment` as it is in one of its phases: the same without phases."""
    losses = losses_in(phase, experiment.losses, experiment.gradient, experiment.architecture)
    return experiment.model_copy(
        update={"gradient": phase.gradient, "losses": losses, "phases": ()}
    )
