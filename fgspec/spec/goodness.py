"""Prediction by goodness: the label that fits an image best, of all that are tried."""

from collections.abc import Iterator, Mapping
from typing import Any, ClassVar, Literal

from fgspec.problems.problems import Problem
from fgspec.spec.predictions import Prediction
from fgspec.yaml.load import Path


class GoodnessPrediction(Prediction):
    """The label with the largest sum of goodness over all local losses but the first.

    Every label is written into the image in turn, so an answer takes a forward pass for each class.
    The outputs are these sums (Hinton 2022, arXiv 2212.13345, section 3.3). The loss and the
    probabilities that evaluation and `predict` report are those of their softmax.
    """

    behaviour: ClassVar[str | None] = "compiler.update.goodness:GoodnessPrediction"
    needs: ClassVar[Mapping[str, Any]] = {"losses": {"local": {"objective": "forward_forward"}}}
    says: ClassVar[str] = (
        "To answer, the network is run once for every label, which is written into the image. The "
        "answer is the label with the largest sum of goodness after all blocks but the first."
    )
    short: ClassVar[str] = "the label of the largest goodness, of all tried"
    reads_classifier: ClassVar[bool] = False
    type: Literal["goodness"] = "goodness"

    def problems(self, at: Path, losses: Any, architecture: Any) -> Iterator[Problem]:
        """There are two local losses that have a goodness, which does not depend on the batch."""
        own, local, kind = losses.of_local, losses.local, (*at, "type")
        objective: Path = ("losses", "local", "objective")
        if local is None or not own.writes_labels:
            message = "no local loss has a goodness; use losses.local.objective: forward_forward"
            yield Problem(kind, message, others=(objective,))
            return
        count = architecture.block_count()
        if count is not None and count[0] <= local.every:
            message = "the first loss does not count, and there is no other; use more blocks"
            yield Problem(kind, message, others=(count[1],))
