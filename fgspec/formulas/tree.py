"""Expressions: a small tree that prints and evaluates.

Values are arrays with named axes (`fgspec.formulas.arrays`): n examples, p patches, g groups, c
channels, k samples, o outputs. Axes meet by name, so a derivative of copy (n, p, g) of a loss times
a perturbation [n, p, g, c] is what the printed product says. Other indices, such as the layer l or
the loss j, are bound to names while a formula is evaluated.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

Bound = Mapping[str, Any]
"""What each index stands for while a formula is evaluated, by the name of the index."""


@dataclass(frozen=True)
class Index:
    """An index such as l, j or b + 1.

    Attributes:
        name: of it.
        shift: what is added to it.
    """

    name: str
    shift: int = 0

    def __str__(self) -> str:
        """`b+1`."""
        return f"{self.name}{self.shift:+d}" if self.shift else self.name


@dataclass(frozen=True)
class Domain:
    """What an index runs over.

    Attributes:
        key: what a source of values knows it by.
        latex: how it prints below a sum.
        text: the same as plain text.
        holds: of a loss and a block, both counted from 0, and the number of the last block: whether
            the block learns from the loss. None where that does not matter.
    """

    key: str
    latex: str
    text: str
    holds: Callable[[int, int, int], bool] | None = field(default=None, compare=False)


class Expr:
    """An expression.

    Attributes:
        loose: whether it needs brackets as a factor of a product.
    """

    loose = False

    def show(self, style: Any) -> str:
        """As text of a style, see `fgspec.formulas.styles`."""
        raise NotImplementedError

    def value(self, at: Any, bound: Bound) -> Any:
        """Its value, an `Array`.

        Args:
            at: `fgspec.formulas.evaluation.Evaluation`.
            bound: what indices stand for.
        """
        raise NotImplementedError


@dataclass(frozen=True)
class Number(Expr):
    """A number, with the letter that stands for it if it has one.

    Attributes:
        number: its value.
        letter: such as N, in LaTeX; empty prints the number.
        plain: the same in plain text.
    """

    number: float
    letter: str = ""
    plain: str = ""

    def show(self, style: Any) -> str:
        """Its letter or the number."""
        return style.letter(self.letter, self.plain) if self.letter else f"{self.number:g}"

    def value(self, at: Any, bound: Bound) -> Any:
        """The number, without axes."""
        return at.number(self.number)


@dataclass(frozen=True)
class Symbol(Expr):
    """A named quantity.

    Attributes:
        key: what equations and sources of values know it by.
        latex: its letter.
        text: the same as plain text.
        at: the indices it depends on.
        axes: those of its axes that are shown; in another place it may show them by other names.
        bare: whether it shows its letter alone.
    """

    key: str
    latex: str
    text: str
    at: tuple[Index, ...] = ()
    axes: tuple[str, ...] = ()
    bare: bool = False

    def show(self, style: Any) -> str:
        """Letter, indices below, axes above."""
        if self.bare:
            return style.letter(self.latex, self.text)
        return style.symbol(style.letter(self.latex, self.text), self.at, self.axes)

    def value(self, at: Any, bound: Bound) -> Any:
        """Of the equation that defines it, or from the source of values."""
        return at.symbol(self, bound)


@dataclass(frozen=True)
class Product(Expr):
    """A product; axes meet by name."""

    factors: tuple[Expr, ...]

    def show(self, style: Any) -> str:
        """Factors in a row, sums in brackets but for a last one that begins with its sign."""
        shown = [
            style.brackets(part.show(style)) if part.loose else part.show(style)
            for part in self.factors
        ]
        return style.times(shown)

    def value(self, at: Any, bound: Bound) -> Any:
        """The product."""
        first, *others = (part.value(at, bound) for part in self.factors)
        for other in others:
            first = first * other
        return first


@dataclass(frozen=True)
class Plus(Expr):
    """A sum of a few terms, each with its sign."""

    terms: tuple[tuple[int, Expr], ...]
    loose = True

    def show(self, style: Any) -> str:
        """`a - b`."""
        shown = ""
        for sign, term in self.terms:
            mark = "-" if sign < 0 else "+" if shown else ""
            shown += f" {mark} {term.show(style)}" if shown else mark + term.show(style)
        return shown

    def value(self, at: Any, bound: Bound) -> Any:
        """The sum."""
        found = at.number(0.0)
        for sign, term in self.terms:
            found = found + at.number(float(sign)) * term.value(at, bound)
        return found


@dataclass(frozen=True)
class Ratio(Expr):
    """A fraction; zero where what is divided by is zero."""

    above: Expr
    below: Expr

    def show(self, style: Any) -> str:
        """A fraction."""
        return style.ratio(self.above.show(style), self.below.show(style), self.below.loose)

    def value(self, at: Any, bound: Bound) -> Any:
        """The fraction."""
        return self.above.value(at, bound) * self.below.value(at, bound).inverse()


@dataclass(frozen=True)
class _OverAxes(Expr):
    """What is taken over axes.

    Attributes:
        axes: that it is taken over.
        body: what it is taken of.
    """

    axes: tuple[str, ...]
    body: Expr

    def _body(self, style: Any) -> str:
        shown = self.body.show(style)
        return style.brackets(shown) if self.body.loose else shown


@dataclass(frozen=True)
class Total(_OverAxes):
    """The sum over axes."""

    def show(self, style: Any) -> str:
        """A sum sign."""
        return style.sum(",".join(self.axes), self._body(style))

    def value(self, at: Any, bound: Bound) -> Any:
        """The sum."""
        return self.body.value(at, bound).total(self.axes)


@dataclass(frozen=True)
class Mean(_OverAxes):
    """The mean over axes."""

    def show(self, style: Any) -> str:
        """The word `mean` in place of a sum sign."""
        return style.mean(",".join(self.axes), self._body(style))

    def value(self, at: Any, bound: Bound) -> Any:
        """The mean."""
        return self.body.value(at, bound).mean(self.axes)


@dataclass(frozen=True)
class Over(Expr):
    """The sum over what an index stands for.

    Attributes:
        index: that runs.
        domain: what it runs over.
        body: of the sum.
    """

    index: Index
    domain: Domain
    body: Expr

    def show(self, style: Any) -> str:
        """A sum sign with its domain."""
        body = self.body.show(style)
        where = style.letter(self.domain.latex, self.domain.text)
        return style.sum(where, style.brackets(body) if self.body.loose else body)

    def value(self, at: Any, bound: Bound) -> Any:
        """The sum; zero over nothing."""
        found = at.number(0.0)
        for bound_too in at.members(self.domain, self.index, bound):
            found = found + self.body.value(at, bound_too)
        return found


@dataclass(frozen=True)
class Bind(Expr):
    """An expression in which one index stands for another, which is what it shows.

    Attributes:
        index: that equations know.
        to: what it stands for.
        body: the expression.
    """

    index: Index
    to: Index
    body: Expr

    def show(self, style: Any) -> str:
        """The body."""
        return self.body.show(style)

    def value(self, at: Any, bound: Bound) -> Any:
        """The body's; zero if there is nothing at the index."""
        place = at.values.at(self.to, bound)
        if place is None:
            return at.number(0.0)
        return self.body.value(at, {**bound, self.index.name: place})


@dataclass(frozen=True)
class MeanGradient(Expr):
    """The gradient of the mean of a loss over the batch, in reverse mode.

    Attributes:
        loss: with one value for every example.
        by: what it is differentiated by.
    """

    loss: Symbol
    by: Symbol

    def show(self, style: Any) -> str:
        """1/N times the sum over n of a derivative."""
        inner = style.partial(self.loss.show(style), self.by.show(style))
        return style.times([style.ratio("1", "N", False), style.sum("n", inner)])

    def value(self, at: Any, bound: Bound) -> Any:
        """In the axes of what it is differentiated by; zero if there is no such loss."""
        return at.mean_gradient(self.loss, self.by, bound)


@dataclass(frozen=True)
class Along(Expr):
    """The derivative of something along a direction, by one of the arrays that move.

    Attributes:
        of: what is differentiated, with its axes.
        by: the array.
        direction: of the array.
    """

    of: Symbol
    by: Symbol
    direction: Expr

    def show(self, style: Any) -> str:
        """The inner product of a derivative and a direction."""
        derivative = style.partial(self.of.show(style), self.by.show(style))
        return style.inner(derivative, self.direction.show(style))

    def value(self, at: Any, bound: Bound) -> Any:
        """In the axes of what is differentiated, and those that the direction has besides."""
        return at.along(self.of, self.by, self.direction.value(at, bound), bound)


@dataclass(frozen=True)
class Moved(Expr):
    """A loss where arrays are moved along a direction.

    Attributes:
        of: the loss, with its axes.
        by: the array, whose index runs over the domain.
        direction: of the array; nothing moves if None.
        step: how far.
        domain: what moves.
    """

    of: Symbol
    by: Symbol
    direction: Symbol | None
    step: Number
    domain: Domain

    def show(self, style: Any) -> str:
        """The loss at z + epsilon u."""
        place = self.by.show(style)
        if self.direction is not None:
            place += f" + {style.times([self.step.show(style), self.direction.show(style)])}"
        return self.of.show(style) + style.brackets(place)

    def value(self, at: Any, bound: Bound) -> Any:
        """In the axes of the loss, and those that the direction has besides."""
        return at.moved(self, bound)


@dataclass(frozen=True)
class PullBack(Expr):
    """A transposed derivative times an error: what a reverse pass through one part does.

    Attributes:
        of: what is differentiated.
        by: by what.
        error: that is pulled back; in the axes of `of`.
        through: `""` exactly; `backward weights` where the linear map has its backward weights
            instead of its own; `past normalization` where the derivative of the normalization
            behind the linear map is taken to be the identity.
    """

    of: Symbol
    by: Symbol
    error: Expr
    through: str = ""

    def show(self, style: Any) -> str:
        """A transposed derivative and an error."""
        mark = THROUGH[self.through]
        derivative = style.transposed(self.of.show(style), self.by.show(style), *mark)
        error = self.error.show(style)
        return style.times([derivative, style.brackets(error) if self.error.loose else error])

    def value(self, at: Any, bound: Bound) -> Any:
        """In the axes of `by`, and those that the error has besides."""
        return at.pull_back(self.of, self.by, self.error.value(at, bound), self.through, bound)


THROUGH = {
    "": ("", ""),
    "backward weights": (r"W\to B", "W→B"),
    "past normalization": (r"\mathrm{norm}\to 1", "norm→1"),
}
"""What is written beside a derivative that is not the exact one, in LaTeX and as text."""


@dataclass(frozen=True)
class Inner(Expr):
    """An inner product over all axes but those that are kept.

    Attributes:
        left: one vector.
        right: the other.
        kept: axes that count inner products.
    """

    left: Expr
    right: Expr
    kept: tuple[str, ...]

    def show(self, style: Any) -> str:
        """Angle brackets."""
        return style.inner(self.left.show(style), self.right.show(style))

    def value(self, at: Any, bound: Bound) -> Any:
        """The inner products."""
        return (self.left.value(at, bound) * self.right.value(at, bound)).total_but(self.kept)


@dataclass(frozen=True)
class Function(Expr):
    """A function of an expression.

    Attributes:
        name: of each number `sign`, `root`, `square`, `exp`, `log`, `sigmoid`, `softplus`,
            `positive part` (the larger of 0 and it); `mirrored`: the first half along an axis, then
            its opposite; or of a matrix `inverse`, `inverse root` (of its Cholesky factor), `pseudo
            inverse`.
        of: its argument.
        axes: rows and columns of a matrix, or the axis that is mirrored.
    """

    name: str
    of: Expr
    axes: tuple[str, ...] = ()

    def show(self, style: Any) -> str:
        """`sign(a)`, or a matrix with its mark."""
        return style.function(self.name, self.of.show(style), self.axes)

    def value(self, at: Any, bound: Bound) -> Any:
        """Of the argument's value."""
        return self.of.value(at, bound).function(self.name, self.axes)


@dataclass(frozen=True)
class Equation:
    """What a symbol stands for.

    Attributes:
        left: the symbol.
        right: what it stands for.
        says: the same in words.
        only: what it is for, by the values of the indices of the symbol; None for all.
        letters: what its own letters mean, such as `t the one-hot label`.
    """

    left: Symbol
    right: Expr
    says: str
    only: frozenset[tuple[Any, ...]] | None = None
    letters: tuple[str, ...] = ()

    def show(self, style: Any) -> str:
        """`g = ...`."""
        return style.equation(self.left.show(style), self.right.show(style))
