"""Binary cross entropy: of images with several labels, and of classes as one-hot labels."""

from collections.abc import Iterable
from math import log
from typing import ClassVar, Literal

from fgspec.formulas import losses as of
from fgspec.formulas.tree import Equation, Function, Plus, Product, Total
from fgspec.spec.dataset_info import DatasetInfo, LabelKind
from fgspec.spec.objectives import Objective


class BinaryCrossEntropy(Objective):
    """Binary cross entropy of the sigmoid of each output with a label of 0 or 1, summed, in nats.

    For images that may have several labels (`labels: binary` of an `npz`). The answer to a label is
    1 where its output is above 0. Runs are judged by `label_error`, the share of wrong labels;
    `exact_match` is the share of images all of whose labels are right. A class stands for its
    one-hot labels, and the answer is the class of the largest output.
    """

    behaviour: ClassVar[str | None] = "compiler.objectives.binary_cross_entropy:BinaryCrossEntropy"
    takes: ClassVar[tuple[LabelKind, ...]] = ("class", "binary")
    type: Literal["binary_cross_entropy"] = "binary_cross_entropy"

    def for_labels(self, label: LabelKind) -> Objective:
        """Of several labels it has other metrics and another answer."""
        return ManyBinaryCrossEntropy() if label == "binary" else self

    def formulas(self) -> Iterable[Equation]:
        """The negative log likelihood of every label, summed."""
        likely = Function("sigmoid", of.OUTPUT)
        one = Product((of.LABEL, of.log(likely)))
        zero = Product((of.rest(of.LABEL), of.log(of.rest(likely))))
        says = "The loss is the negative log likelihood of all labels, in nats."
        letters = (*of.O_AND_T, "sigmoid(x) = 1/(1 + exp(-x))")
        value = of.minus(Total(("c",), Plus(((1, one), (1, zero)))))
        yield Equation(of.LOSS, value, says, letters=letters)

    def scale(self, data: DatasetInfo) -> float:
        """The loss where every label has the probability 1/2."""
        return data.width * log(2)


class ManyBinaryCrossEntropy(BinaryCrossEntropy):
    """Binary cross entropy of images with several labels."""

    behaviour: ClassVar[str | None] = (
        "compiler.objectives.binary_cross_entropy:ManyBinaryCrossEntropy"
    )
    takes: ClassVar[tuple[LabelKind, ...]] = ("binary",)
    classifies: ClassVar[bool] = False
    reports: ClassVar[tuple[str, ...]] = ("label_error", "exact_match")
    headline: ClassVar[str] = "label_error"
