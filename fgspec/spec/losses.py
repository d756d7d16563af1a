"""`losses:` what is minimised, where the losses sit, and what is isolated from what."""

from collections.abc import Iterator
from typing import Annotated, ClassVar, Literal, NamedTuple

from pydantic import Field

from fgspec.spec.base import PositiveInt, Resume, Section, Unit, Values
from fgspec.spec.coupling import Coupling
from fgspec.spec.heads import HEADS, Head, LinearHead
from fgspec.spec.kinds import OneOf
from fgspec.spec.objectives import OBJECTIVES, CrossEntropy, Objective
from fgspec.spec.predictions import PREDICTIONS, ClassifierPrediction, Prediction
from fgspec.yaml.load import Path

LossAxis = Literal["patch", "group"]
"""A named axis that a local loss can be replicated over, besides the batch."""


class Placed(NamedTuple):
    """An objective that some loss of a spec has.

    Attributes:
        at: its path in the spec.
        objective: itself.
    """

    at: Path
    objective: Objective


class Local(Section):
    """Local losses: losses inside the network, one after every so many blocks.

    Each has a head of its own, which turns the features after the block into outputs (Ren et al.
    2022, section 4; Fournier et al. 2023).
    """

    on_resume: ClassVar = Resume.FORKS
    objective: Annotated[Objective, OneOf(OBJECTIVES)] | None = Field(
        default=None,
        description="The loss function of the local losses. null: that of the final loss, "
        "`losses.objective`.",
        examples=["cross_entropy"],
    )
    # These decide which heads there are, whose parameters are in the state of a run.
    every: Annotated[PositiveInt, Resume.FIXED, Unit("blocks")] = Field(
        default=1,
        description="A local loss stands after every so many blocks. The number of blocks must be "
        "a multiple of it, unless `last` is `final`.",
        examples=[2],
    )
    last: Annotated[
        Literal["local", "final"] | None,
        Resume.FIXED,
        Values(
            {
                "local": "A local loss like the others. The final classifier learns beside it, on "
                "features that no gradient flows back from (Ren et al. 2022).",
                "final": "The final loss. The last block has no local loss and no head (Fournier "
                "et al. 2023).",
                None: "`final` under `target: global` and where the last block takes its exact "
                "gradient, else `local`.",
            }
        ),
    ] = Field(
        default=None,
        description="Which loss closes the last block, that is, which loss it learns from.",
    )
    replicate: Annotated[
        tuple[LossAxis, ...] | None,
        Values(
            {
                "patch": "One copy for each patch (position) of the features.",
                "group": "One copy for each group of channels.",
                None: "Every axis that the architecture has, where all that is perturbed moves "
                "together and the head is not `pooled`; else none.",
            }
        ),
    ] = Field(
        default=None,
        description="Axes along which each local loss is copied. All copies have the same value, "
        "but each lets through the gradient of its own features only, so that forward gradients "
        "have less noise (Ren et al. 2022, equations 4 and 5). Only estimators that perturb read "
        "it: the exact gradient, summed over the copies, stays the same.",
        examples=[["patch"]],
    )
    aggregation: Annotated[
        Literal["replicated", "pooled"],
        Values(
            {
                "replicated": "The head reads features that are averaged over patches and "
                "concatenated over groups, so that the loss can have copies (Ren et al. 2022).",
                "pooled": "The head reads all positions and pools them itself, to 2x2 except in "
                "`next_blocks`. The loss has no copies (Fournier et al. 2023).",
            }
        ),
    ] = Field(default="replicated", description="What the head of a local loss reads.")
    head: Annotated[Head, OneOf(HEADS), Resume.FIXED] = Field(
        default=LinearHead(),
        description="The auxiliary network that turns features into the outputs of the local loss.",
    )


class Losses(Section):
    """What is minimised, where local losses sit, and where gradients stop."""

    on_resume: ClassVar = Resume.FORKS
    objective: Annotated[Objective, OneOf(OBJECTIVES)] = Field(
        default=CrossEntropy(),
        description="The loss function of the final loss, and of the local losses too unless "
        "`local.objective` is given. The classifier is trained and evaluated by it, or by cross "
        "entropy if its outputs are not the answer of the task.",
    )
    local: Annotated[Local | None, Resume.FIXED] = Field(
        default=None, description="Local losses. null: there is only the final loss."
    )
    isolate: Annotated[
        Literal["none", "block", "layer"],
        Values(
            {
                "none": "Nowhere: a block also receives the gradients of later losses.",
                "block": "Between blocks that end in a local loss, so that each learns from its "
                "own loss alone (greedy).",
                "layer": "Between all layers; for direct feedback, which sends the output error to "
                "every layer by itself.",
            }
        ),
    ] = Field(
        default="none",
        description="Where gradients stop.",
    )
    # It decides the shape of the classifier.
    classifier_reads: Annotated[
        Literal["last", "after_first"],
        Resume.FIXED,
        Values(
            {
                "last": "The features after the last block.",
                "after_first": "The features after every block but the first, each averaged over "
                "positions and normalized by itself, then concatenated (Hinton 2022, section 3.3). "
                "No gradient goes from the classifier to them.",
            }
        ),
    ] = Field(
        default="last",
        description="Which features the classifier reads.",
        examples=["after_first"],
    )
    prediction: Annotated[Prediction, OneOf(PREDICTIONS)] = Field(
        default=ClassifierPrediction(),
        description="How the trained model answers, and what evaluation measures. It changes "
        "nothing that is learned.",
        examples=["sum"],
    )

    @property
    def of_local(self) -> Objective:
        """The objective of local losses."""
        own = self.local.objective if self.local is not None else None
        return self.objective if own is None else own

    def placed(self) -> Iterator[Placed]:
        """Every objective that some loss has; that of the classifier alone is not among them."""
        own = self.local.objective if self.local is not None else None
        if own is not None:
            yield Placed(("losses", "local", "objective"), own)
        # The classifier beside a local loss of the last block trains nothing but itself.
        if self.local is None or own is None or self.local.last != "local":
            yield Placed(("losses", "objective"), self.objective)

    @property
    def answering(self) -> Objective:
        """The objective that the classifier is trained and evaluated by."""
        return self.objective.answer()

    def only_answers(self, at: Path) -> bool:
        """Whether the method at a path is an objective that trains the classifier alone."""
        return at == ("losses", "objective") and at not in {own.at for own in self.placed()}

    @property
    def views(self) -> int:
        """How many views of each example a batch has."""
        return max(objective.views for _, objective in self.placed())

    @property
    def preparing(self) -> Objective:
        """The objective that makes the rows of a batch: the one that makes most of an example."""
        return max((own for _, own in self.placed()), key=lambda own: own.variants)

    @property
    def rows(self) -> int:
        """How many rows of a batch each example has."""
        return self.views * self.preparing.variants

    def coupling(self) -> Coupling | None:
        """What makes a row's loss depend, with a gradient, on the outputs of other rows."""
        for at, objective in self.placed():
            coupled = objective.coupling()
            if coupled is not None:
                return coupled._replace(path=(*at, *coupled.path))
        return None
