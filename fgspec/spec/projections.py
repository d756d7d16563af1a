"""What becomes of the derivative along a guess: scales, coefficients, granularities, groupings."""

from collections.abc import Iterator, Mapping
from typing import Any, ClassVar, Literal

from fgspec.formulas.notation import (
    COIN,
    DIMENSION,
    GROUP,
    along_group,
    coefficient,
    over_group,
    replaced_axes,
    square,
)
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
    Total,
)
from fgspec.spec.base import Resume
from fgspec.spec.kinds import Kind, table
from fgspec.spec.spaces import Space

SCALES = table("scale", "scales")
COEFFICIENTS = table("coefficient", "coefficients")
GRANULARITIES = table("granularity", "granularities")
GROUPINGS = table("grouping", "groupings")


class Scale(Kind):
    """What multiplies the product of derivative and guess.

    Attributes:
        joint: whether it is that of noise that moves all at once.
        of_unit_noise: whether it is that of noise of unit variance, and of no other guess.
        projects: whether it makes the product the projection on the guess.
        bias: what is estimated with it, if not the target.
        varies: what it does to the variance of an estimate along noise, in a sentence.
        reads_square: whether it reads the squared length of the guess.
        reads_kurtosis: whether it reads the kurtosis of the guess, one for all arrays.
    """

    table: ClassVar = SCALES
    on_resume: ClassVar = Resume.FORKS
    joint: ClassVar[bool] = False
    of_unit_noise: ClassVar[bool] = False
    projects: ClassVar[bool] = False
    bias: ClassVar[str] = ""
    varies: ClassVar[str] = ""
    reads_square: ClassVar[bool] = False
    reads_kurtosis: ClassVar[bool] = False

    def scale(self, group: Any, samples: int, kurtosis: float) -> Any:
        """The factor of one group, in the shape of its derivatives.

        Args:
            group: `compiler.estimators.projections.Group`.
            samples: K, that are averaged.
            kurtosis: of one number of the guess.
        """
        raise self.lacks("scale")

    def expression(self, square: Expr, samples: int, kurtosis: float) -> Expr | None:
        """The factor in formulas; None if there is none.

        Args:
            square: the squared length of the guess.
            samples: K, that are averaged.
            kurtosis: of one number of the guess.
        """
        raise self.lacks("expression")


class NoScale(Scale):
    """No scale, that is 1. Unbiased for guesses of zero mean and unit variance."""

    behaviour: ClassVar[str | None] = "compiler.estimators.projections:NoScale"
    joint: ClassVar[bool] = True
    type: Literal["none"] = "none"

    def expression(self, square: Expr, samples: int, kurtosis: float) -> Expr | None:
        """None."""
        return None


class SquaredNorm(Scale):
    """1/|G|^2, so that the estimate is the projection of the target on the guess G."""

    behaviour: ClassVar[str | None] = "compiler.estimators.projections:SquaredNorm"
    projects: ClassVar[bool] = True
    bias: ClassVar[str] = "estimates the projection of the target on the guess"
    reads_square: ClassVar[bool] = True
    varies: ClassVar[str] = "Divided by the squared length, it is about 1/D² of that."
    type: Literal["squared_norm"] = "squared_norm"

    def expression(self, square: Expr, samples: int, kurtosis: float) -> Expr | None:
        """1/|G|^2."""
        return Ratio(Number(1), square)


class Dimension(Scale):
    """1/d, where d numbers share a coefficient. The mean is 1/d of the target."""

    behaviour: ClassVar[str | None] = "compiler.estimators.projections:Dimension"
    of_unit_noise: ClassVar[bool] = True
    bias: ClassVar[str] = "estimates 1/d of the target"
    varies: ClassVar[str] = "Divided by D, it is 1/D² of that."
    type: Literal["dimension"] = "dimension"

    def expression(self, square: Expr, samples: int, kurtosis: float) -> Expr | None:
        """1/D."""
        return Ratio(Number(1), DIMENSION)


class Optimal(Scale):
    """K/(K + d + kurtosis - 2): the scale of least mean squared error (arXiv 2310.14168).

    K samples are averaged, d numbers share a coefficient, and the kurtosis is that of one number of
    the guess: 3 for `normal`, 1 for `rademacher` and `sphere`. The estimate is biased: too short.
    """

    behaviour: ClassVar[str | None] = "compiler.estimators.projections:Optimal"
    of_unit_noise: ClassVar[bool] = True
    reads_kurtosis: ClassVar[bool] = True
    bias: ClassVar[str] = "estimates the target times the scale of least mean squared error"
    varies: ClassVar[str] = "The scale s multiplies it by s²; the mean squared error is (1-s) |t|²."
    type: Literal["optimal"] = "optimal"

    def expression(self, square: Expr, samples: int, kurtosis: float) -> Expr | None:
        """K / (K + D + kurtosis - 2)."""
        count = Number(samples, "K", "K")
        rest = kurtosis - 2
        sign = 1 if rest >= 0 else -1
        below = Plus(((1, count), (1, DIMENSION), (sign, Number(abs(rest)))))
        return Ratio(count, below)


class Coefficient(Kind):
    """What stands for the derivative along a guess.

    Attributes:
        control: what it is instead of the derivative, if it is a control.
        varies: the variance along noise, in a sentence, if it is not that of the derivative.
    """

    table: ClassVar = COEFFICIENTS
    on_resume: ClassVar = Resume.FORKS
    control: ClassVar[str] = ""
    varies: ClassVar[str] = ""

    def coefficient(self, along: Any, coin: Any) -> Any:
        """The coefficient, from the derivative and a random sign of the same shape."""
        raise self.lacks("coefficient")

    def expression(self, along: Expr, coin: Symbol) -> Expr:
        """The coefficient in formulas, from the derivative and a random sign."""
        raise self.lacks("expression")


class Raw(Coefficient):
    """The derivative along the guess, as it is."""

    type: Literal["raw"] = "raw"

    def coefficient(self, along: Any, coin: Any) -> Any:
        """The derivative."""
        return along

    def expression(self, along: Expr, coin: Symbol) -> Expr:
        """The derivative."""
        return along


class Sign(Coefficient):
    """The sign of the derivative: a control that drops its size."""

    behaviour: ClassVar[str | None] = "compiler.estimators.projections:Sign"
    control: ClassVar[str] = "a sign"
    varies: ClassVar[str] = "The coefficient is a sign: the variance is about D, whatever |t|² is."
    type: Literal["sign"] = "sign"

    def expression(self, along: Expr, coin: Symbol) -> Expr:
        """The sign of the derivative."""
        return Function("sign", along)


class Coin(Coefficient):
    """A random sign in place of the derivative: a control that learns nothing from the loss."""

    control: ClassVar[str] = "a coin"
    varies: ClassVar[str] = "The coefficient is a random sign: the variance is D, and the mean 0."
    type: Literal["coin"] = "coin"

    def coefficient(self, along: Any, coin: Any) -> Any:
        """The random sign."""
        return coin

    def expression(self, along: Expr, coin: Symbol) -> Expr:
        """The random sign."""
        return coin


class Granularity(Kind):
    """Who has a derivative of its own.

    Attributes:
        whole: whether the batch has one derivative.
        spans: whether targets are projected on the span of the guesses of all examples.
    """

    table: ClassVar = GRANULARITIES
    on_resume: ClassVar = Resume.FORKS
    whole: ClassVar[bool] = False
    spans: ClassVar[bool] = False

    def joint(self, space: Space) -> bool:
        """Whether it is that of noise in a space that moves all at once."""
        return False

    @property
    def kept(self) -> tuple[str, ...]:
        """The axes that count inner products."""
        return () if self.whole else ("n",)

    def equations(
        self, how: Any, array: Symbol, left: Expr, direction: Symbol
    ) -> Iterator[Equation]:
        """What the guess of a group of arrays is multiplied by.

        Args:
            how: the `Perturbation`.
            array: what is perturbed.
            left: the target, less what is predicted of it.
            direction: the guess.
        """
        drawn = direction.axes[:1]
        kept = (*drawn, *self.kept)
        along, length = along_group(kept), square(kept)
        own = over_group(array, Inner(left, direction, kept))
        who = "the batch" if self.whole else "each example"
        says = f"The derivative of the target along the guess: one for {who} and each "
        says += f"{how.projection.grouping.means}."
        scale, samples = how.projection.type, how.samples
        yield Equation(along, own, says)
        if scale.reads_square:
            of_guess = over_group(array, Inner(direction, direction, kept))
            yield Equation(length, of_guess, "The squared length of the guess.")
        kurtosis = 0.0 if how.guess.made else how.guess.kurtosis
        factor = scale.expression(length, samples, kurtosis)
        value = how.projection.coefficient.expression(along, replaced_axes(COIN, kept))
        yield Equation(
            coefficient(kept),
            value if factor is None else Product((factor, value)),
            "What the guess is multiplied by.",
        )

    def product(self, array: Symbol, direction: Symbol) -> Expr:
        """The guess times its coefficient."""
        return Product((coefficient((*direction.axes[:1], *self.kept)), direction))


class PerExample(Granularity):
    """Every example has a derivative of its own, along its own guess."""

    type: Literal["example"] = "example"

    def joint(self, space: Space) -> bool:
        """Where every example has noise of its own."""
        return space.rows > 0


class PerBatch(Granularity):
    """The whole batch has one derivative."""

    whole: ClassVar[bool] = True
    type: Literal["batch"] = "batch"

    def joint(self, space: Space) -> bool:
        """On weights; those of single examples are summed over the batch."""
        return space.of_weights


class Span(Granularity):
    """Each example's target is projected on the span of the guesses of all examples."""

    spans: ClassVar[bool] = True
    type: Literal["span"] = "span"

    def equations(
        self, how: Any, array: Symbol, left: Expr, direction: Symbol
    ) -> Iterator[Equation]:
        """How much of the guess of example m the estimate of example n takes."""
        drawn = direction.axes
        own = replaced_axes(direction, (*drawn, "m"))
        other = replaced_axes(direction, (*drawn, "i"))
        gram = Symbol("gram", "Q", "Q", (GROUP,), (*drawn, "m", "i"))
        cross = Symbol("cross", "a", "a", (GROUP,), (*drawn, "i", "n"))
        yield Equation(
            gram,
            over_group(array, Inner(own, other, (*drawn, "m", "i"))),
            "The inner products of the guesses of all examples.",
        )
        yield Equation(
            cross,
            over_group(array, Inner(other, left, (*drawn, "i", "n"))),
            "The inner products of guesses and targets.",
        )
        inverse = Function("pseudo inverse", gram, ("m", "i"))
        yield Equation(
            coefficient((*drawn, "m", "n")),
            Total(("i",), Product((inverse, cross))),
            "How much of the guess of example m is in the projection of the target of example n "
            "on the span of all guesses.",
        )

    def product(self, array: Symbol, direction: Symbol) -> Expr:
        """Summed over the guesses of all examples."""
        drawn = direction.axes
        own = replaced_axes(direction, (*drawn, "m"))
        return Total(("m",), Product((coefficient((*drawn, "m", "n")), own)))


class Grouping(Kind):
    """What shares one derivative.

    Attributes:
        joint: whether it is that of noise that moves all at once.
        means: what shares one derivative, in words.
    """

    table: ClassVar = GROUPINGS
    on_resume: ClassVar = Resume.FORKS
    joint: ClassVar[bool] = False
    means: ClassVar[str] = "group of arrays"

    def title(self, name: str, chains: Mapping[str, str]) -> str:
        """The group of a perturbed array.

        Args:
            name: of the array, such as `block0/dense/w`.
            chains: the first block of those that gradients connect a block with, by block, where
                blocks are isolated; empty where all are connected.
        """
        raise self.lacks("title")


class ByTensor(Grouping):
    """Every tensor has one of its own: a weight, a bias, the activation of a layer."""

    means: ClassVar[str] = "array"
    type: Literal["tensor"] = "tensor"

    def title(self, name: str, chains: Mapping[str, str]) -> str:
        """The array itself."""
        return name


class ByBlock(Grouping):
    """Every block has one of its own."""

    means: ClassVar[str] = "block"
    type: Literal["block"] = "block"

    def title(self, name: str, chains: Mapping[str, str]) -> str:
        """The block."""
        return name.split("/")[0]


class ByNet(Grouping):
    """All blocks that gradients connect share one: the net, or a chain of isolated blocks."""

    joint: ClassVar[bool] = True
    means: ClassVar[str] = "chain of blocks between which gradients pass"
    type: Literal["net"] = "net"

    def title(self, name: str, chains: Mapping[str, str]) -> str:
        """The chain of blocks."""
        return chains.get(name.split("/")[0], "net")
