"""Local prediction and similarity: a local loss that compares the examples of a batch."""

from collections.abc import Iterable, Iterator
from math import log
from typing import Annotated, ClassVar, Literal

from pydantic import Field

from fgspec.formulas import losses as of
from fgspec.formulas.tree import Equation, Mean, Number, Plus, Product, Ratio, Symbol, Total
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

    def formulas(self) -> Iterable[Equation]:
        """The softmax, similarities of features and of labels, then the loss."""
        features = Symbol("f", "f", "f", (), ("n", "d"))
        beta = Number(self.beta, r"\beta", "β")
        yield of.softmax()
        alike: list[Symbol] = []
        for of_what, rows, letter, another, name in (
            ("features", features, "a", "e", "S"),
            ("labels", of.LABEL, "b", "d", "R"),
        ):
            each, over = rows.axes
            centred = Symbol(f"centred {of_what}", letter, letter, (), (each, over))
            mean = Mean((another,), of.replaced_axes(rows, (each, another)))
            yield Equation(
                centred,
                of.difference(rows, mean),
                f"The mean of a row of {of_what} is subtracted from it.",
                letters=("f feature d of row n",) if rows is features else (),
            )
            found = Symbol(f"similarity of {of_what}", name, name, (), ("n", "m"))
            lengths = Product(tuple(of.length(of.of_row(centred, row), another) for row in "nm"))
            says = f"The similarity of two rows of {of_what} is their cosine."
            yield Equation(found, Ratio(of.inner(centred), lengths), says)
            alike.append(found)
        likeness = Mean(("m",), of.square(of.difference(*alike)))
        prediction = Product((of.rest(beta), Total(("c",), Product((of.LABEL, of.log(of.P))))))
        yield Equation(
            of.LOSS,
            Plus(((-1, prediction), (1, Product((beta, likeness))))),
            "The loss is the cross entropy, and the mean squared difference between the "
            "similarities of features and of labels.",
            letters=(of.ONE_HOT, f"β the weight of similarities, {self.beta:g}"),
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
