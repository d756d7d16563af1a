"""Letters and parts that formulas of losses share."""

from collections.abc import Sequence

from fgspec.formulas.notation import replaced_axes
from fgspec.formulas.tree import (
    Equation,
    Expr,
    Function,
    Number,
    Plus,
    Product,
    Ratio,
    Symbol,
    Total,
)

LOSS = Symbol("loss of row", r"\ell", "ℓ", (), ("n",))
"""What the last formula of an objective defines: the loss of every row n."""
OUTPUT = Symbol("o", "o", "o", (), ("n", "c"))
"""Output c of row n."""
LABEL = Symbol("t", "t", "t", (), ("n", "c"))
"""What it is compared with."""
P = Symbol("p", "p", "p", (), ("n", "c"))
"""The softmax of the outputs."""

O_SAYS, ONE_HOT = "o output c of row n", "t the label of row n as a one-hot vector"
O_AND_T = (O_SAYS, "t the label of row n; a class is a one-hot vector")


def minus(term: Expr) -> Expr:
    """The opposite of a term."""
    return Plus(((-1, term),))


def difference(left: Expr, right: Expr) -> Expr:
    """`left - right`."""
    return Plus(((1, left), (-1, right)))


def square(of: Expr) -> Expr:
    """A square."""
    return Function("square", of)


def log(of: Expr) -> Expr:
    """A natural logarithm."""
    return Function("log", of)


def rest(of: Expr) -> Expr:
    """One less something."""
    return difference(Number(1), of)


def softmax() -> Equation:
    """The probabilities of classes."""
    exp = Function("exp", OUTPUT)
    among = Total(("d",), Function("exp", replaced_axes(OUTPUT, ("n", "d"))))
    says = "The probability of class c is the softmax of the outputs."
    return Equation(P, Ratio(exp, among), says, letters=(O_SAYS,))


def cross_entropy() -> Expr:
    """The cross entropy of the softmax with one-hot labels."""
    return minus(Total(("c",), Product((LABEL, log(P)))))


def length(of: Symbol, over: str) -> Expr:
    """The length of the vectors along the last axis of a symbol, with another letter for it."""
    squares = square(replaced_axes(of, (*of.axes[:-1], over)))
    return Function("root", Total((over,), squares))


def of_row(symbol: Symbol, row: str) -> Symbol:
    """A symbol of row `row` instead of n."""
    return replaced_axes(symbol, (row, *symbol.axes[1:]))


def inner(symbol: Symbol, rows: Sequence[str] = ("n", "m")) -> Expr:
    """The inner products of the vectors of two rows."""
    return Total(symbol.axes[-1:], Product(tuple(of_row(symbol, row) for row in rows)))
