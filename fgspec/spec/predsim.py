"""Local prediction and similarity: a local loss that compares the examples of a batch."""

from collections.abc import Iterator
from math import log
from typing import Annotated, ClassVar, Literal

from pydantic import Field

from fgspec.problems.problems import Problem
from fgspec.spec.coupling import Coupling
from fgspec.spec.data import Data
from fgspec.spec.dataset_info import DatasetInfo
from fgspec.spec.objectives import Objective
from fgspec.yaml.load import Path


class Predsim(Objective):
    """Local prediction and similarity matching (Nokland and Eidnes 2019, arXiv 1901.06656).

    (1 - beta) times the cross entropy of the head's outputs, plus beta times the mean squared
    difference between two matrices of similarities of all pairs of examples: those of features, and
    those of one-hot labels. The similarity of two rows is their cosine, after each row's own mean
    is subtracted. Rows of features are the outputs of a linear layer, or, if the loss reads a map
    (`aggregation: pooled`), the standard deviations over the map of the channels of a 3x3
    convolution; both have as many outputs as the features have channels, and no bias.
    """

    behaviour: ClassVar[str | None] = "compiler.objectives.predsim:Predsim"
    title: ClassVar[str] = "prediction and similarity loss"
    answers: ClassVar[bool] = False
    compares: ClassVar[bool] = True
    local_only: ClassVar[str] = "predsim is a loss of features inside the network"
    type: Literal["predsim"] = "predsim"
    beta: Annotated[float, Field(ge=0, le=1)] = Field(
        default=0.99,
        description="The weight of the similarity loss; the prediction loss has the rest.",
        examples=[0.5],
    )

    def reading(self) -> str:
        """Similarities are of features."""
        return "a head of its own and the features there"

    def scale(self, data: DatasetInfo) -> float:
        """That of a uniform guess, and of features whose similarities are far from the labels'."""
        return (1 - self.beta) * log(data.classes) + self.beta

    def coupling(self) -> Coupling | None:
        """Similarities are of pairs: each row moves the losses of all."""
        return Coupling("predsim", ("type",))

    def problems(self, at: Path, data: Data) -> Iterator[Problem]:
        """Pairs are of several examples."""
        if data.batch_size == 1:
            message = "predsim has no pairs in a batch of one example; give at least 2"
            yield Problem(("data", "batch_size"), message, others=((*at, "type"),))
