"""Cross entropy with labels that are smoothed."""

from collections.abc import Iterable
from math import log
from typing import ClassVar, Literal

from pydantic import Field

from fgspec.formulas import losses as of
from fgspec.formulas.tree import Equation, Mean, Number, Plus, Product, Total
from fgspec.spec.base import Fraction
from fgspec.spec.dataset_info import DatasetInfo
from fgspec.spec.objectives import Objective


class LabelSmoothing(Objective):
    """Cross entropy with smoothed labels, in nats (Szegedy et al. 2016, arXiv 1512.00567).

    With K classes, the right class has the probability 1 - smoothing + smoothing / K, and every
    other class smoothing / K. The losses of evaluations are smoothed too.
    """

    behaviour: ClassVar[str | None] = "compiler.objectives.label_smoothing:LabelSmoothing"
    title: ClassVar[str] = "smoothed cross entropy"
    type: Literal["label_smoothing"] = "label_smoothing"
    smoothing: Fraction = Field(
        default=0.1,
        description="Share of the probability that is spread over all classes evenly, from 0 to "
        "below 1. 0 is cross entropy.",
        examples=[0.2],
    )

    def formulas(self) -> Iterable[Equation]:
        """The softmax, then the loss."""
        yield of.softmax()
        share = Number(self.smoothing, r"\epsilon", "ε")
        right = Total(("c",), Product((of.LABEL, of.log(of.P))))
        every = Mean(("c",), of.log(of.P))
        yield Equation(
            of.LOSS,
            Plus(((-1, Product((of.rest(share), right))), (-1, Product((share, every))))),
            "The loss is the cross entropy with a label of which a share is spread over all "
            "classes, in nats.",
            letters=(of.ONE_HOT, f"ε the share, {self.smoothing:g}"),
        )

    def scale(self, data: DatasetInfo) -> float:
        """The loss of a uniform guess."""
        return log(data.classes)
