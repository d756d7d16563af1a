"""The goodness of Forward-Forward: a local loss of a block's own activations (Hinton 2022)."""

from collections.abc import Iterable, Iterator
from math import log, prod
from typing import Annotated, Any, ClassVar, Literal

from pydantic import Field

from fgspec.formulas import losses as of
from fgspec.formulas.tree import Equation, Function, Mean, Number, Product, Symbol, Total
from fgspec.problems.problems import Problem
from fgspec.spec.base import PositiveFloat, Values
from fgspec.spec.dataset_info import DatasetInfo
from fgspec.spec.gradient import Gradient
from fgspec.spec.objectives import Objective
from fgspec.yaml.load import Path


class ForwardForward(Objective):
    """Goodness: high on images with their own label, low with another (Hinton 2022).

    The label is written into the first pixels of the image, one pixel a class (arXiv 2212.13345,
    section 3.3). Every example has two rows: its image with its label (positive), and the same
    image with another label, drawn at every step (negative). The goodness G of a row after a block
    is the sum of squares of the block's activations. The loss is softplus(threshold - G) for a
    positive row, softplus(G - threshold) for a negative one, averaged over both. It has no head.

    Only local losses can have it: `losses.local.objective`. The classifier learns beside it by the
    final objective, from images with a neutral label, in which all classes have an equal share.
    """

    behaviour: ClassVar[str | None] = "compiler.objectives.forward_forward:ForwardForward"
    title: ClassVar[str] = "goodness loss"
    makes: ClassVar[str] = (
        "Every example has two rows: its image with its own label written into it, and the same "
        "image with a wrong label."
    )
    variants: ClassVar[int] = 2
    answers: ClassVar[bool] = False
    reads_head: ClassVar[bool] = False
    reads_features: ClassVar[bool] = True
    writes_labels: ClassVar[bool] = True
    local_only: ClassVar[str] = "every block has a goodness of its own, and no final loss has any"
    reports: ClassVar[tuple[str, ...]] = ()
    type: Literal["forward_forward"] = "forward_forward"
    threshold: PositiveFloat = Field(
        default=2.0,
        description="The goodness above which an image counts as positive. The paper gives no "
        "value; it must fit the width of the layers where the goodness is a sum.",
        examples=[10.0],
    )
    goodness: Annotated[
        Literal["sum", "mean"],
        Values(
            {
                "sum": "The sum of the squares of a block's activations (Hinton 2022).",
                "mean": "Their mean, so that the threshold does not depend on the width.",
            }
        ),
    ] = Field(default="sum", description="How the squares of a block's activations are added up.")

    def formulas(self) -> Iterable[Equation]:
        """The goodness, then the loss."""
        good = Symbol("goodness", "G", "G", (), ("n",))
        active = Symbol("h", "h", "h", (), ("n", "c"))
        sign = Symbol("sign of row", "s", "s", (), ("n",))
        threshold = Number(self.threshold, r"\theta", "θ")
        added, what = (Total, "sum") if self.goodness == "sum" else (Mean, "mean")
        yield Equation(
            good,
            added(("c",), of.square(active)),
            f"The goodness of a row is the {what} of the squares of the block's activations.",
            letters=("h activation c of row n",),
        )
        yield Equation(
            of.LOSS,
            Function("softplus", Product((sign, of.difference(threshold, good)))),
            "The loss is low if the goodness is above the threshold for an image with its own "
            "label, and below it for one with another label.",
            letters=(
                "s 1 for a row with its own label, -1 with another",
                f"θ the threshold, {self.threshold:g}",
                "softplus(x) = log(1 + exp(x))",
            ),
        )

    def outputs(self, data: DatasetInfo) -> int:
        """Never read: the loss reads features, however many there are."""
        return data.classes

    def scale(self, data: DatasetInfo) -> float:
        """That of a network which keeps the scale of its input, and so has squares of about 1."""
        units = prod(data.image_shape) if self.goodness == "sum" else 1
        return log(2) + self.threshold + units

    def problems(self, at: Path, losses: Any, gradient: Gradient) -> Iterator[Problem]:
        """Every loss is a local one."""
        perturbation = gradient.perturbation
        exact = perturbation is not None and (
            bool(perturbation.guides) or perturbation.last_block == "exact"
        )
        if losses.local is None:
            return  # it stands where `local_only` is refused
        if losses.local.last == "final" or exact or not gradient.target.reads_local:
            message = (
                "the last block would learn from the final loss on images that hold labels; use "
                "gradient.target: local and losses.local.last: local"
            )
            yield Problem((*at, "type"), message, others=(("losses", "local", "last"),))

    def data_problems(self, at: Path, info: DatasetInfo) -> Iterator[Problem]:
        """There is a wrong label, and a pixel for every class."""
        height, width, _ = info.image_shape
        if info.classes < 2:
            message = f"needs a wrong label, but {info.name} has {info.classes} classes"
            yield Problem((*at, "type"), f"{message}; use another objective")
        elif info.classes > height * width:
            message = (
                f"writes the label into one pixel a class, but images of {info.name} have "
                f"{height * width} pixels for {info.classes} classes; use another objective"
            )
            yield Problem((*at, "type"), message)
