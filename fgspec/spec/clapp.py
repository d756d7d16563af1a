"""CLAPP: each patch predicts the patch below it, against one of another image."""

from collections.abc import Iterable, Iterator
from typing import Annotated, ClassVar, Literal

from pydantic import Field

from fgspec.formulas import losses as of
from fgspec.formulas.notation import one_over
from fgspec.formulas.tree import (
    Domain,
    Equation,
    Expr,
    Function,
    Index,
    Mean,
    Number,
    Over,
    Plus,
    Product,
    Symbol,
    Total,
)
from fgspec.problems.problems import Problem
from fgspec.spec.base import PositiveInt, Unit
from fgspec.spec.coupling import Coupling
from fgspec.spec.data import Data
from fgspec.spec.dataset_info import DatasetInfo, LabelKind
from fgspec.spec.objectives import Objective
from fgspec.yaml.load import Path


class AgainstAnotherImage(Objective):
    """A loss of features inside the network that compares them with those of another image.

    No label is read.
    """

    takes: ClassVar[tuple[LabelKind, ...]] = ("class", "vector", "binary")
    needs_labels: ClassVar[bool] = False
    classifies: ClassVar[bool] = False
    answers: ClassVar[bool] = False
    compares: ClassVar[bool] = True
    reports: ClassVar[tuple[str, ...]] = ()
    reads_head: ClassVar[bool] = False

    def coupling(self) -> Coupling | None:
        """The features of each image are compared with those of another."""
        return Coupling(str(self), ("type",))

    def problems(self, at: Path, data: Data) -> Iterator[Problem]:
        """There is another image."""
        if data.batch_size == 1:
            message = f"{self} has no other image in a batch of one example; give at least 2"
            yield Problem(("data", "batch_size"), message, others=((*at, "type"),))


class Clapp(AgainstAnotherImage):
    """Contrastive local predictive hinge loss (CLAPP; Illing et al. 2021, arXiv 2010.08262).

    The score of a patch's features z for the features c of a patch above it is u = z W c, with a
    learned matrix W for each layer and each distance. The loss is half of max(0, 1 - u) where both
    are of one image, plus half of max(0, 1 + u) where z is of another image at the same place,
    averaged over patches and distances. No label is read.
    """

    behaviour: ClassVar[str | None] = "compiler.objectives.clapp:Clapp"
    title: ClassVar[str] = "CLAPP hinge loss"
    reads_grid: ClassVar[str] = "clapp compares patches"
    local_only: ClassVar[str] = "clapp is a loss of features inside the network"
    type: Literal["clapp"] = "clapp"
    steps: Annotated[PositiveInt, Unit("rows")] = Field(
        default=1,
        description="How far below a patch the predicted ones are: 1, 2, up to so many rows.",
        examples=[2],
    )

    def formulas(self) -> Iterable[Equation]:
        """Hinge losses of scores, averaged over patches and distances."""
        step, axes = Index("k"), ("n", "p", "c")
        expected = Symbol("v", "v", "v", (step,), axes)
        half = Number(1 / 2, r"\tfrac12", "1/2")
        hinges: list[tuple[int, Expr]] = []
        for key, letters, sign in (("z", ("z", "z"), -1), ("other z", (r"\tilde z", "z̃"), 1)):
            below = Symbol(key, *letters, (step,), axes)
            score = Total(("c",), Product((below, expected)))
            hinge = Function("positive part", Plus(((1, Number(1)), (sign, score))))
            hinges.append((1, Product((half, hinge))))
        over = Over(step, Domain("steps", "k", "k"), Mean(("p",), Plus(tuple(hinges))))
        yield Equation(
            of.LOSS,
            Product((one_over(self.steps, "K"), over)),
            "A patch must predict the one below it, and not that of another image.",
            letters=(
                "z the features of row n that are k rows below patch p",
                "z̃ those of another image at the same place",
                "v what patch p predicts of them, W_k times its features",
                f"K how far below, {self.steps}",
            ),
        )

    def scale(self, data: DatasetInfo) -> float:
        """That of scores of zero."""
        return 1.0
