"""`losses:` what is minimised, where the losses sit, and what is isolated from what."""

from typing import Annotated, ClassVar, Literal

from pydantic import Field

from fgspec.spec.base import PositiveInt, Resume, Section
from fgspec.spec.heads import HEADS, Head, LinearHead
from fgspec.spec.kinds import OneOf
from fgspec.spec.objectives import OBJECTIVES, CrossEntropy, Objective

LossAxis = Literal["patch", "group"]
"""A named axis that a local loss can be replicated over, besides the batch."""


class Local(Section):
    """Local losses, one after every so many blocks."""

    on_resume: ClassVar = Resume.FORKS
    # These decide which heads there are, whose parameters are in the state of a run.
    every: Annotated[PositiveInt, Resume.FIXED] = Field(
        default=1, description="A loss after every so many blocks."
    )
    last: Annotated[Literal["local", "final"] | None, Resume.FIXED] = Field(
        default=None,
        description="What closes the last block. local: a local loss like the others; the final "
        "classifier reads stopped features (Ren et al. 2022). final: the final loss (Fournier et "
        "al. 2023). Default: final under target global and where guesses are made from the "
        "network, else local.",
    )
    replicate: tuple[LossAxis, ...] | None = Field(
        default=None,
        description="Axes that each loss is replicated over: any of patch, group; each copy lets "
        "through the gradient of its own features only (Ren et al. 2022, equations 4 and 5). "
        "Default: every axis the architecture has. Only forward estimators read it: summed over "
        "its copies, the exact gradient is the same.",
    )
    aggregation: Literal["replicated", "pooled"] = Field(
        default="replicated",
        description="replicated: the head reads features averaged over patches and concatenated "
        "over groups. pooled: it reads all positions and does its own pooling (to 2x2 but for "
        "next_blocks), and the loss has no copies.",
    )
    head: Annotated[Head, OneOf(HEADS), Resume.FIXED] = Field(
        default=LinearHead(), description="What turns features into the loss's outputs."
    )


class Losses(Section):
    """What is minimised and where."""

    on_resume: ClassVar = Resume.FORKS
    objective: Annotated[Objective, OneOf(OBJECTIVES)] = Field(
        default=CrossEntropy(), description="The loss of every site."
    )
    local: Annotated[Local | None, Resume.FIXED] = Field(
        default=None, description="Local losses; without them there is only the final loss."
    )
    isolate: Literal["none", "block", "layer"] = Field(
        default="none",
        description="Where gradients stop: nowhere, between the blocks that end in a local loss "
        "(greedy), or between all layers (direct feedback).",
    )
