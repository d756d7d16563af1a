"""Momentum-guided samples: one along the average of past estimates, the others across it."""

from collections.abc import Iterator
from typing import Annotated, Any, ClassVar, Literal

from pydantic import Field

from fgspec.formulas.notation import LOSS, drawn, noise
from fgspec.formulas.tree import (
    Domain,
    Equation,
    Expr,
    Function,
    Inner,
    Number,
    Over,
    Plus,
    Product,
    Ratio,
    Symbol,
    Total,
)
from fgspec.spec.sample_sets import SampleSet

ROOT = Symbol("length", r"\sqrt{D}", "√D", (LOSS,))
FIRST = Symbol("first sample", r"\mathbf 1[k=1]", "1{k=1}", (), ("k",), bare=True)
OTHERS = Symbol("other samples", r"\mathbf 1[k>1]", "1{k>1}", (), ("k",), bare=True)


class Guided(SampleSet):
    """The first sample follows the average of past estimates, the others are drawn across it.

    The average m is over the estimates of past updates. The first direction is that of m; the K - 1
    others are draws without their part along m. The part of the gradient along m is thus exact, and
    only the rest is estimated from noise, so the estimate is unbiased whatever m is. The better m
    predicts the gradient, the less variance is left.

    Taking the last estimate as one of several directions is due to Meier et al. 2019 (arXiv
    1910.05268), who project the gradient on them. Here the K - 1 other samples are averaged as
    independent ones are, which keeps the mean; and m is a moving average instead of the last
    estimate, which is what `momentum: 0` makes of it. In the first update m is zero, and the K - 1
    others are plain draws. Guided evolution strategies (arXiv 1806.10230) stretch the distribution
    of the noise along such a direction instead, which biases the estimate.
    """

    behaviour: ClassVar[str | None] = "compiler.estimators.guided:Guided"
    keeps: ClassVar[str] = "its directions follow an average of past estimates of all blocks"
    type: Literal["guided"] = "guided"
    momentum: Annotated[float, Field(ge=0, lt=1)] = Field(
        default=0.9,
        description="Share of the moving average of estimates that an update keeps. The average "
        "starts at zero.",
        examples=[0.99],
    )

    def misfits(self, perturbation: Any, estimator: Any) -> Iterator[tuple[str, str, str]]:
        """Past estimates are of arrays that stay; and one sample alone would never explore."""
        if not perturbation.space.of_weights:
            message = "only weights have past estimates to follow; use weight"
            yield "space", message, "set"
        elif perturbation.perturbed_space.rows:
            message = "the average is of the whole batch; use batch"
            yield "sharing", message, "set"
        elif perturbation.samples == 1:
            message = "must be at least 2: the first sample follows the average, others are drawn"
            yield "samples", message, "set"

    def summed(self, slope: Expr, array: Symbol, samples: int) -> Expr:
        """The slope along the average, and the mean of the others."""
        own = Product((FIRST, slope, Ratio(way(array), ROOT)))
        other = Product((OTHERS, slope, noise(array)))
        mean = Number(1 / (samples - 1), r"\frac{1}{K-1}", "1/(K-1)")
        return Plus(((1, Total(("k",), own)), (1, Product((mean, Total(("k",), other))))))

    def equations(self, array: Symbol, moves: Domain, rows: int) -> tuple[Equation, ...]:
        """The unit vector of the average, and the directions."""
        average = Symbol("average", "m", "m", array.at)
        length = Symbol("average length", r"\lVert m\rVert", "|m|", (LOSS,))
        part = Symbol("average part", "a", "a", (LOSS,), ("k",))

        def over(left: Expr, right: Expr, kept: tuple[str, ...]) -> Expr:
            return Over(array.at[0], moves, Inner(left, right, kept))

        across = Plus(((1, drawn(array)), (-1, Product((part, way(array))))))
        says = "The first direction is that of the average; the others are draws without their "
        says += "part along it. All are about as long: D is how many numbers move together."
        return (
            Equation(
                length,
                Function("root", over(average, average, ())),
                "The length of the average of past estimates, over all that moves together.",
            ),
            Equation(
                way(array),
                Ratio(average, length),
                "Its direction; zero in the first update. Afterwards the average keeps a share "
                f"{self.momentum:g} of itself and takes {1 - self.momentum:g} of the estimate.",
            ),
            Equation(part, over(drawn(array), way(array), ("k",)), "The part of a draw along it."),
            Equation(
                noise(array),
                Plus(((1, Product((FIRST, ROOT, way(array)))), (1, Product((OTHERS, across))))),
                says,
            ),
        )

    def variance(self, samples: int) -> str:
        """Of what the average leaves."""
        rest = f"1/{samples - 1} of " if samples > 2 else ""
        return (
            f"The first sample is exact along the average m, so the {samples - 1} others have "
            f"{rest}it with t replaced by its part across m."
        )


def way(array: Symbol) -> Symbol:
    """The unit vector of the average at an array."""
    return Symbol("average way", r"\hat m", "m̂", array.at)
