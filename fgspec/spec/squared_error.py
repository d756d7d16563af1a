"""Squared error, of classes as one-hot vectors and of vectors: regression."""

from collections.abc import Iterable
from typing import ClassVar, Literal

from fgspec.formulas import losses as of
from fgspec.formulas.tree import Equation, Number, Product, Total
from fgspec.spec.dataset_info import DatasetInfo, LabelKind
from fgspec.spec.objectives import Objective


class SquaredError(Objective):
    """Half the squared distance of the outputs from the label.

    A class stands for its one-hot vector, and the answer is the class of the largest output. Of
    labels that are vectors (`labels: vector` of an `npz`) it is regression: the outputs are the
    answer, and runs are judged by `mean_squared_error`, the mean over the numbers of a label. The
    loss of an example is the sum over the outputs, halved, so that its gradient is the difference.
    """

    behaviour: ClassVar[str | None] = "compiler.objectives.squared_error:SquaredError"
    takes: ClassVar[tuple[LabelKind, ...]] = ("class", "vector")
    type: Literal["squared_error"] = "squared_error"

    def for_labels(self, label: LabelKind) -> Objective:
        """Of vectors it has other metrics and another answer."""
        return VectorSquaredError() if label == "vector" else self

    def formulas(self) -> Iterable[Equation]:
        """Half the squared distance."""
        half = Number(1 / 2, r"\tfrac12", "1/2")
        distance = Total(("c",), of.square(of.difference(of.OUTPUT, of.LABEL)))
        says = "The loss is half the squared distance of the outputs from the label."
        yield Equation(of.LOSS, Product((half, distance)), says, letters=of.O_AND_T)

    def scale(self, data: DatasetInfo) -> float:
        """The loss of outputs that are all zero."""
        return 0.5


class VectorSquaredError(SquaredError):
    """Squared error of vectors."""

    behaviour: ClassVar[str | None] = "compiler.objectives.squared_error:VectorSquaredError"
    takes: ClassVar[tuple[LabelKind, ...]] = ("vector",)
    classifies: ClassVar[bool] = False
    reports: ClassVar[tuple[str, ...]] = ("mean_squared_error",)
    headline: ClassVar[str] = "mean_squared_error"

    def scale(self, data: DatasetInfo) -> float:
        """The mean loss of outputs that are random, of variance 1, as those of a new network."""
        return 0.5 * (data.label_square + data.numbers)
