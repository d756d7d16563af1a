"""The letters of all formulas, in one place."""

from collections.abc import Callable, Sequence
from dataclasses import replace

from fgspec.formulas.tree import (
    Domain,
    Expr,
    Index,
    MeanGradient,
    Number,
    Over,
    PullBack,
    Symbol,
)

BLOCK, LOSS, LAYER, READER, WEIGHT, GROUP, OUTPUT = map(Index, ("b", "j", "l", "m", "W", "γ", "i"))
LAST = Index("end")
"""The last block and its loss."""

COPY = {"batch": "n", "patch": "p", "group": "g", "channel": "c"}
"""The letters of the named axes."""


def letters(axes: Sequence[str]) -> tuple[str, ...]:
    """The letters of axes, in their order."""
    return tuple(COPY[axis] for axis in axes)


def loss(at: Index = LOSS, copies: Sequence[str] = ("batch",)) -> Symbol:
    """A loss of every example, or each of its copies."""
    key = "loss" if tuple(copies) == ("batch",) else "copies"
    return Symbol(key, r"\ell", "ℓ", (at,), letters(copies))


def of_loss(at: Index, by: Symbol) -> Expr:
    """The gradient of a mean loss."""
    return MeanGradient(loss(at), by)


Z = Symbol("z", "z", "z", (LAYER,))
"""The pre-activation of a layer: behind its normalization, before its activation."""
X = Symbol("x", "x", "x", (OUTPUT,))
"""The output of a block."""
W = Symbol("W", "W", "W", (WEIGHT,), bare=True)
"""A weight or bias."""
W_OF = Symbol("W of example", r"W^{(n)}", "W⁽ⁿ⁾", (WEIGHT,), bare=True)
"""A weight as example n alone sees it: what that example adds is its gradient by this."""
GRADIENT = Symbol("gradient", r"\hat g", "ĝ", (WEIGHT,))
"""The estimate that the optimizer is given for a weight."""


def estimate(of: Symbol) -> Symbol:
    """The estimate at a perturbed array."""
    return Symbol("estimate", r"\hat t", "t̂", of.at)


def noise(of: Symbol, sample: str = "k") -> Symbol:
    """Sample k of the direction of an array."""
    return Symbol("u", "u", "u", of.at, (sample,))


def drawn(of: Symbol, sample: str = "k") -> Symbol:
    """Sample k of the noise that is drawn, where the direction is made from it."""
    return Symbol("drawn", r"\omega", "ω", of.at, (sample,))


def partner(of: Symbol) -> Symbol:
    """What the slope along direction k is multiplied by."""
    return Symbol("v", "v", "v", of.at, ("k",))


def slope(copies: Sequence[str]) -> Symbol:
    """The derivative of each copy of a loss along sample k."""
    return Symbol("slope", "d", "d", (LOSS,), ("k", *letters(copies)))


def credited(of: Symbol, kept: Sequence[str] = ()) -> Symbol:
    """The derivative that an array is credited with, for each of the axes that are kept."""
    return Symbol("credited", r"\bar d", "d̄", (LOSS, *of.at), ("k", *kept))


def replaced_axes(symbol: Symbol, axes: tuple[str, ...]) -> Symbol:
    """The symbol with its axes shown by other names."""
    return replace(symbol, axes=axes)


def replaced(symbol: Symbol, at: tuple[Index, ...]) -> Symbol:
    """The symbol at other indices."""
    return replace(symbol, at=at)


def target(of: Symbol, axes: Sequence[str] = ()) -> Symbol:
    """The gradient that is estimated."""
    return Symbol("target", "T", "T", of.at, tuple(axes))


def guess(of: Symbol, axes: Sequence[str] = ()) -> Symbol:
    """A guess made from the network."""
    return Symbol("guess", "G", "G", of.at, tuple(axes))


def prediction(of: Symbol) -> Symbol:
    """What a control variate predicts of the target."""
    return Symbol("prediction", "P", "P", of.at)


def along_group(kept: Sequence[str]) -> Symbol:
    """The inner product of target and guess, over a group of arrays."""
    return Symbol("inner", "a", "a", (GROUP,), tuple(kept))


def square(kept: Sequence[str]) -> Symbol:
    """The squared length of a guess, over a group of arrays."""
    return Symbol("square", "q", "q", (GROUP,), tuple(kept))


def coefficient(kept: Sequence[str]) -> Symbol:
    """What the guess of a group of arrays is multiplied by."""
    return Symbol("coefficient", "c", "c", (GROUP,), tuple(kept))


DIMENSION = Symbol("dimension", "D", "D", (GROUP,))
"""Numbers of a group of arrays that share a derivative."""
COIN = Symbol("coin", r"\varsigma", "ς", (GROUP,))
"""A random sign."""


def mask(of: Symbol) -> Symbol:
    """1 where the activation lets a derivative through, else 0."""
    return Symbol("mask", r"\mathbf 1[f'\neq 0]", "1{f'≠0}", of.at)


SLOPE_OF_ACTIVATION = Symbol("fprime", "f'", "f'", (LAYER,))
"""The derivative of a layer's activation at its pre-activation."""
ERROR = Symbol("error", r"\delta", "δ", (LAYER,))
"""The error at a pre-activation."""
OUT = Symbol("out", "h", "h", (LAYER,))
"""The output of a layer, behind its activation."""
OUTPUTS = Symbol("outputs", "y", "y", (), ("n", "o"))
"""The outputs of the network, which its loss is of."""
OUTPUT_ERROR = Symbol("output error", "e", "e", (), ("n", "o"))
"""The derivative of the mean loss by the outputs."""
FEEDBACK = Symbol("feedback", "B", "B", (LAYER,), ("o",))
"""The matrix from the outputs to a layer."""
HEAD = Symbol("V", "V", "V", (Index("V"),), bare=True)
"""A weight or bias of a readout."""


def one_over(number: float, letter: str) -> Expr:
    """1/K."""
    return Number(1 / number, rf"\frac{{1}}{{{letter}}}", f"1/{letter}")


READERS = Domain("readers", r"m\ \mathrm{reads}\ l", "m reads l")
"""What reads the output of a layer: later layers, and a loss at the end of a block."""


def within(of: Symbol) -> Domain:
    """The arrays of a group."""
    return Domain("members", rf"{of.at[0]}\in\gamma", f"{of.at[0]} in γ")


def over_group(of: Symbol, body: Expr) -> Expr:
    """Summed over the arrays of a group."""
    return Over(of.at[0], within(of), body)


Term = Callable[[Index], Expr]
"""A term of a sum over losses, by the index of the loss."""


def pulled(of: Symbol, by: Symbol, error: Expr, through: str = "") -> Expr:
    """An error pulled back."""
    return PullBack(of, by, error, through)
