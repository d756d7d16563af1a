"""Cross entropy with labels that are smoothed."""

from math import log
from typing import ClassVar, Literal

from pydantic import Field

from fgspec.spec.base import Fraction
from fgspec.spec.dataset_info import DatasetInfo
from fgspec.spec.objectives import Objective


class LabelSmoothing(Objective):
    """Cross entropy with smoothed labels, in nats (Szegedy et al. 2016, arXiv 1512.00567).

    With K classes, the right class has the probability 1 - smoothing + smoothing / K, and every
    other class smoothing / K (their section 7). The losses of evaluations are smoothed too.
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

    def scale(self, data: DatasetInfo) -> float:
        """The loss of a uniform guess."""
        return log(data.classes)
