"""Predictions: which outputs of a trained network are its answer, one class each."""

from collections.abc import Iterator, Mapping
from typing import Any, ClassVar, Literal

from fgspec.problems.problems import Problem
from fgspec.spec.base import Resume
from fgspec.spec.data import Data
from fgspec.spec.kinds import Kind, table
from fgspec.yaml.load import Path

PREDICTIONS = table("prediction", "predictions")


class Prediction(Kind):
    """How a trained model answers.

    Evaluation, `predict` and exported outputs read what it gives, by the objective that the
    classifier is trained with.

    Attributes:
        says: how the model answers, in a sentence; empty if the classifier does it.
        short: the same in at most 50 letters, for a picture.
        reads_classifier: whether the outputs of the classifier are among what it reads.
        needs: fields of a spec with local losses that it can stand in, nested, such as an
            objective; its law is tested there.
    """

    table: ClassVar = PREDICTIONS
    on_resume: ClassVar = Resume.FORKS
    says: ClassVar[str] = ""
    short: ClassVar[str] = ""
    reads_classifier: ClassVar[bool] = True
    needs: ClassVar[Mapping[str, Any]] = {}

    def outputs(self, trained: Any, image: Any) -> Any:
        """The outputs [n, k] that the answer is read from, each row from its own image alone.

        Args:
            trained: `compiler.update.forward_passes.Trained`: features of images, outputs of heads
                and of the classifier. It may be asked several times, for changed images too.
            image: [n, h, w, colours], integers in 0..255 or floats in [0, 1].
        """
        raise self.lacks("outputs")


class ClassifierPrediction(Prediction):
    """The outputs of the classifier."""

    behaviour: ClassVar[str | None] = "compiler.update.predictions:ClassifierPrediction"
    type: Literal["classifier"] = "classifier"


class SumPrediction(Prediction):
    """The sum of the outputs of all readouts that some block learns from.

    These are the heads of the local losses, and the classifier if the last block learns from the
    final loss. Mono-Forward predicts so (Gong et al. 2025, arXiv 2501.09238).
    """

    behaviour: ClassVar[str | None] = "compiler.update.predictions:SumPrediction"
    says: ClassVar[str] = (
        "The answer is read from the sum of the outputs of all readouts that a block learns from."
    )
    short: ClassVar[str] = "the sum of the outputs of these heads"
    type: Literal["sum"] = "sum"

    def problems(self, at: Path, losses: Any, architecture: Any, data: Data) -> Iterator[Problem]:
        """There are heads that score classes, and their outputs do not depend on the batch."""
        if losses.local is None:
            message = "there are no local losses, so nothing to sum; use classifier"
            yield Problem((*at, "type"), message)
            return
        kind = data.source.label_kind()
        for objective in (losses.of_local, losses.objective):
            if not (objective.answers and objective.for_labels(kind).classifies):
                message = f"outputs under {objective} are no scores of classes; use classifier"
                yield Problem((*at, "type"), message)
                break
        coupled = architecture.head_coupling(losses.local)
        if coupled is not None:
            # Heads keep no running statistics, so their outputs would depend on the batch.
            message = f"heads keep no running statistics of {coupled.name}; use classifier"
            yield Problem((*at, "type"), message, others=(coupled.path,))
