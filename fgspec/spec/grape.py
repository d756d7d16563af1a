"""Gradient-aligned projected error: an estimator, and the rule that is named after it.

Caillon, Fagnou, Delattre and Allauzen, "Scaling direct feedback learning with Jacobian alignment
guarantees", ICLR 2026.
"""

from collections.abc import Iterator
from typing import ClassVar, Literal

from pydantic import Field

from fgspec.formulas import notation as of
from fgspec.formulas.facts import Facts
from fgspec.formulas.tree import (
    Equation,
    Expr,
    Function,
    Inner,
    Number,
    Plus,
    Product,
    Ratio,
    Symbol,
)
from fgspec.spec.base import PositiveFloat
from fgspec.spec.estimators import (
    NEXT_FEEDBACK,
    Estimator,
    jacobian_sample,
    moved_outputs,
    output_error,
    sent_to_layers,
)
from fgspec.spec.rules import LAYERS, Rule, reverse


class Grape(Estimator):
    """Gradient-aligned projected error: direct feedback, aligned with Jacobians (Caillon 2026).

    A layer's matrix begins at random. In every update, normal noise moves all layers at once; the
    change of the outputs times that noise is one sample of the layer's Jacobian. The matrix takes a
    gradient step on 1 - cos, its cosine with the sample, and then sends the error of the same
    update. The steps turn a matrix and leave its size nearly as it was.

    The paper has one exact update in an epoch besides: `gradient.exact_every`, with the number of
    updates in an epoch.
    """

    behaviour: ClassVar[str | None] = "compiler.estimators.grape:Grape"
    learns_backward: ClassVar[bool] = True
    isolates_layers: ClassVar[bool] = True
    couples_blocks: ClassVar[str] = "its noise moves all layers at once"
    bias: ClassVar[str] = (
        "the output error goes to every layer through a matrix that is turned towards its Jacobian"
    )
    tells: ClassVar[str] = (
        "It is approximated: the error at the outputs goes to every layer directly, through a "
        "matrix of that layer, which is turned towards samples of its Jacobian."
    )
    arrives: ClassVar[str] = "output error through its matrix B"
    type: Literal["grape"] = "grape"
    # The paper's rate was not at hand. The gradient of a cosine falls with the length of a matrix
    # B, whose square is at first about twice the number of the layer's outputs, so that a step
    # turns it by less than rate / |B|^2 radians. Three layers of 128 units, 30 epochs of `digits`:
    # training loss 0.095 with a rate of 0.1, 0.073 with 1, 0.057 with 10, 0.060 with 30, 0.076
    # with 100.
    alignment_rate: PositiveFloat = Field(
        default=10.0,
        description="How long the matrices' gradient steps on 1 - cos are: the factor of that "
        "gradient. It does not follow the optimizer's schedule.",
        examples=[1.0],
    )

    def equations(self, facts: Facts) -> Iterator[Equation]:
        """The output error through matrices, after their step."""
        sample = Symbol("jacobian sample", r"\hat J", "Ĵ", (of.LAYER,), ("o",))
        cosine = Symbol("cosine", "c", "c", (of.LAYER,))
        yield moved_outputs()
        yield Equation(
            sample,
            Product(jacobian_sample(facts)),
            "A sample of the Jacobian: what the outputs of layer l do to those of the network.",
            letters=("Ĵ a sample of the Jacobian",),
        )
        lengths = Product((_length(of.FEEDBACK), _length(sample)))
        yield Equation(
            cosine,
            Ratio(Inner(of.FEEDBACK, sample, ()), lengths),
            "The cosine of the layer's matrix with the sample, over all their elements.",
            letters=("c the cosine of B and Ĵ",),
        )
        rate = Number(self.alignment_rate, r"\eta", "η")
        own = Ratio(Product((cosine, of.FEEDBACK)), _length(of.FEEDBACK))
        uphill = Plus(((1, Ratio(sample, _length(sample))), (-1, own)))
        step = Product((Ratio(rate, _length(of.FEEDBACK)), uphill))
        yield Equation(
            NEXT_FEEDBACK,
            Plus(((1, of.FEEDBACK), (1, step))),
            "The matrix takes a gradient step on 1 - c. The next update begins with it.",
            letters=("η the alignment rate",),
        )
        yield output_error()
        yield from sent_to_layers("its matrix B, after that step", NEXT_FEEDBACK)

    def variance(self, facts: Facts, dimension: int) -> str:
        """Of the matrices."""
        return (
            "For given noise it has none. The noise of an update turns the matrices, by little if "
            "their alignment rate is small."
        )


def _length(of_matrix: Symbol) -> Expr:
    return Function("root", Inner(of_matrix, of_matrix, ()))


class GradientAlignedProjectedError(Rule):
    """Direct feedback through random matrices that turn towards Jacobians (Caillon et al. 2026)."""

    title: ClassVar = "gradient-aligned projected error"
    settings: ClassVar = {"losses": LAYERS, "gradient": reverse("global", "grape")}
    type: Literal["grape"] = "grape"
