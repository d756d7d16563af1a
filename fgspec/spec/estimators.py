"""Estimators: how the target's gradient is estimated, one class each."""

from collections.abc import Iterator
from typing import Annotated, Any, ClassVar, Literal

from pydantic import Field

from fgspec.formulas import notation as of
from fgspec.formulas.facts import Facts
from fgspec.formulas.tree import (
    Along,
    Domain,
    Equation,
    Expr,
    Moved,
    Number,
    Over,
    Plus,
    Product,
    Ratio,
    Symbol,
    Total,
)
from fgspec.spec.backward_weights import BACKWARD_WEIGHTS, BackwardWeights, Random
from fgspec.spec.base import PositiveFloat, Resume
from fgspec.spec.kinds import Kind, OneOf, table

ESTIMATORS = table("estimator", "estimators")


class Estimator(Kind):
    """How a gradient of the blocks is estimated; readouts always take their exact one.

    Attributes:
        perturbs: whether it reads `gradient.perturbation`.
        always_exact: whether it computes the target's exact gradient, without an estimate.
        learns_backward: whether its backward weights learn: it returns new ones at every update.
        differentiates: whether it takes derivatives along perturbations, and no differences.
        backward: whether it sends errors backward from block to block.
        isolates_layers: whether no gradient passes between layers: the error of the final loss
            goes to every layer by itself.
        linear_maps: whether it needs maps that are linear in their input.
        feedback_sign: 1 where matrices from the outputs to a layer stand for the Jacobian of the
            outputs by that layer, -1 where they stand for its negative.
        couples_blocks: why the blocks cannot learn one by one, scanned or in a pipeline, if so.
        bias: what its mean differs from the target by, in a sentence; empty if it is unbiased.
        tells: how it estimates, in sentences.
        arrives: what a layer learns from, in a few words; empty if that is its perturbation.
    """

    table: ClassVar = ESTIMATORS
    on_resume: ClassVar = Resume.FORKS
    perturbs: ClassVar[bool] = False
    always_exact: ClassVar[bool] = False
    learns_backward: ClassVar[bool] = False
    differentiates: ClassVar[bool] = True
    backward: ClassVar[bool] = False
    isolates_layers: ClassVar[bool] = False
    linear_maps: ClassVar[bool] = False
    feedback_sign: ClassVar[int] = 1
    couples_blocks: ClassVar[str] = ""
    bias: ClassVar[str] = ""
    tells: ClassVar[str] = ""
    arrives: ClassVar[str] = ""

    def biased(self) -> str:
        """How the mean differs from the target, in a sentence; empty if it does not."""
        return f"by design: {self.bias}" if self.bias else ""

    def backward_weights(self, plan: Any) -> dict[str, Any]:
        """The weights of its own that errors travel through, none by default.

        Args:
            plan: `compiler.plan.plan.Plan`; `plan.to_every_layer()` are matrices from the outputs
                to every layer.

        Returns:
            `fgspec.ParamSpec` by path, such as `blocks/block0/dense/w`. They begin as their `role`
            says: drawn like initial weights for `weight`, zero for `average`.
        """
        return {}

    def seen_backward(self, drawn: Any, params: Any) -> Any:
        """The weights that errors travel through at a step, from those of the state.

        Args:
            drawn: as `backward_weights` began, by section, block, layer and name.
            params: the forward ones.
        """
        return drawn

    def network_gradient(self, plan: Any, params: Any, x: Any, context: Any) -> Any:
        """The gradient of all blocks; that of every segment by itself unless a class says more.

        Args:
            plan: `compiler.plan.plan.Plan`.
            params: of all blocks, under `blocks` by block, layer and name; blocks that are scanned
                are under `stacks`.
            x: the network's input, [n, p, g, c].
            context: `compiler.estimators.context.Context`.

        Returns:
            A `fgspec.Estimate`, whose gradients are in the structure of `params`.
        """
        return context.by_segment(plan, params, x, self.gradient)

    def gradient(self, plan: Any, segment: Any, params: Any, x: Any, context: Any) -> Any:
        """The gradient of the losses of one segment, by its blocks; see `network_gradient`."""
        raise self.lacks("gradient")

    def equations(self, facts: Facts) -> Iterator[Equation]:
        """The gradient of a weight as equations, the last of which is for `notation.GRADIENT`.

        None by default; then `fgspec explain` has no formula for it.
        """
        yield from ()

    def variance(self, facts: Facts, dimension: int) -> str:
        """The variance of the estimate for one batch, in a sentence.

        Args:
            facts: of the plan.
            dimension: the most numbers that share one derivative.
        """
        return "It has no variance: for one batch it is always the same."


class Exact(Estimator):
    """The exact gradient, by reverse-mode differentiation (backprop)."""

    behaviour: ClassVar[str | None] = "compiler.estimators.exact:Exact"
    always_exact: ClassVar[bool] = True
    backward: ClassVar[bool] = True
    tells: ClassVar[str] = "It is computed exactly, by a reverse pass."
    arrives: ClassVar[str] = "exact gradient"
    type: Literal["exact"] = "exact"

    def equations(self, facts: Facts) -> Iterator[Equation]:
        """The gradient of the target's losses."""
        says = f"The exact gradient {facts.target.means}, averaged over the batch."
        yield Equation(of.GRADIENT, facts.target.losses(lambda at: of.of_loss(at, of.W)), says)


class _Perturbing(Estimator):
    """Estimators that read a perturbation."""

    perturbs: ClassVar[bool] = True

    def equations(self, facts: Facts) -> Iterator[Equation]:
        """Those of the perturbation."""
        return facts.perturbation.equations(facts, self)

    def slope(self, array: Symbol, moves: Domain, copies: tuple[str, ...]) -> Expr:
        """The slope of every copy of loss j along sample k.

        Args:
            array: that is perturbed.
            moves: what moves at once.
            copies: the axes of the copies.
        """
        raise self.lacks("slope")

    def says_slope(self, where: str) -> str:
        """The same in words; `where` is what is perturbed."""
        raise self.lacks("says_slope")

    def variance(self, facts: Facts, dimension: int) -> str:
        """Of the noise, if there is any."""
        return facts.perturbation.variance(dimension)


class Forward(_Perturbing):
    """A forward gradient: the derivative along a perturbation times it (Baydin et al. 2022).

    `gradient.perturbation` says what is perturbed and how. Whether the derivative is pushed forward
    or taken as an inner product is the compiler's choice (`compile.directional`).
    """

    behaviour: ClassVar[str | None] = "compiler.estimators.forward:Forward"
    tells: ClassVar[str] = (
        "It is estimated: the derivative of the loss along a direction, times that direction."
    )
    type: Literal["forward"] = "forward"

    def slope(self, array: Symbol, moves: Domain, copies: tuple[str, ...]) -> Expr:
        """A directional derivative."""
        one = Along(of.loss(of.LOSS, copies), array, of.noise(array))
        return Over(array.at[0], moves, one)

    def says_slope(self, where: str) -> str:
        """A directional derivative."""
        return f"How fast each copy of loss j changes if {where} moves along its perturbation u."


class FiniteDifference(_Perturbing):
    """A difference of losses, (l(epsilon u) - l(0)) / epsilon, in place of the derivative along u.

    It needs no differentiation of the blocks, and is biased by the loss's curvature.
    """

    behaviour: ClassVar[str | None] = "compiler.estimators.forward:FiniteDifference"
    differentiates: ClassVar[bool] = False
    tells: ClassVar[str] = (
        "It is estimated: what the loss changes by along a small step, divided by its length, "
        "times the direction."
    )
    type: Literal["finite_difference"] = "finite_difference"
    epsilon: PositiveFloat = Field(
        default=1e-3,
        description="How far the network is moved along the perturbation: the factor of u.",
        examples=[0.01],
    )

    def biased(self) -> str:
        """By the curvature."""
        return f"by the curvature along a step of {self.epsilon:g}"

    def slope(self, array: Symbol, moves: Domain, copies: tuple[str, ...]) -> Expr:
        """A difference of losses."""
        step = Number(self.epsilon, r"\epsilon", "ε")
        own = of.loss(of.LOSS, copies)
        ahead = Moved(own, array, of.noise(array), step, moves)
        still = Moved(own, array, None, step, moves)
        return Ratio(Plus(((1, ahead), (-1, still))), step)

    def says_slope(self, where: str) -> str:
        """A difference of losses."""
        return f"How much each copy of loss j changes if {where} makes a small step along u."


class Feedback(Estimator):
    """Feedback alignment: errors travel backward through other weights (Lillicrap et al. 2016).

    Every linear map has fixed random backward weights in place of its transposed forward weights.
    Activations and normalizations are differentiated exactly.
    """

    behaviour: ClassVar[str | None] = "compiler.estimators.exact:Feedback"
    backward: ClassVar[bool] = True
    linear_maps: ClassVar[bool] = True
    bias: ClassVar[str] = "errors travel through backward weights that are not the forward ones"
    tells: ClassVar[str] = (
        "It is approximated by a reverse pass in which errors travel through backward weights "
        "instead of the forward ones."
    )
    arrives: ClassVar[str] = "error through backward weights"
    type: Literal["feedback"] = "feedback"
    weights: Annotated[BackwardWeights, OneOf(BACKWARD_WEIGHTS, named=True)] = Field(
        default=Random(), description="The weights that errors travel backward through."
    )

    def equations(self, facts: Facts) -> Iterator[Equation]:
        """Errors from layer to layer through backward weights."""
        error = of.replaced(of.ERROR, (of.READER,))
        reader = Symbol("reader", "z", "z", (of.READER,))
        back = of.pulled(reader, of.OUT, error, "backward weights")
        yield Equation(
            of.ERROR,
            Product((of.SLOPE_OF_ACTIVATION, Over(of.READER, of.READERS, back))),
            "The error at layer l comes from all that reads its output h: later layers, and the "
            "losses it learns from. On the way back every weight W is replaced by a backward "
            "weight B; activations and normalizations are exact.",
            facts.others,
        )
        yield Equation(of.ERROR, of.one_over(facts.rows, "N"), "At a loss it is 1/N.", facts.losses)
        yield Equation(
            of.GRADIENT,
            of.pulled(of.Z, of.W, of.ERROR),
            "Each layer turns its error into the gradient of its own weights.",
        )


class DirectFeedback(Estimator):
    """Direct feedback alignment: the output error goes straight to every layer (Nokland 2016).

    Each layer has a fixed random matrix of its own that the error is multiplied by.
    """

    behaviour: ClassVar[str | None] = "compiler.estimators.direct_feedback:DirectFeedback"
    isolates_layers: ClassVar[bool] = True
    bias: ClassVar[str] = "the output error goes to every layer through a fixed random matrix"
    tells: ClassVar[str] = (
        "It is approximated: the error at the outputs goes to every layer directly, through a "
        "fixed random matrix of that layer."
    )
    arrives: ClassVar[str] = "output error through its matrix B"
    type: Literal["direct_feedback"] = "direct_feedback"

    def equations(self, facts: Facts) -> Iterator[Equation]:
        """The output error through a matrix of each layer."""
        yield output_error()
        yield from sent_to_layers("a fixed random matrix B of its own")


class LearnedDirectFeedback(Estimator):
    """Direct feedback through learned matrices instead of random ones (Bacho and Chu 2022).

    A layer's matrix is a moving average of its Jacobian: what the layer does to the network's
    outputs. In every update, normal noise moves all layers at once; the change of the outputs times
    that noise is one more sample of it.
    """

    behaviour: ClassVar[str | None] = "compiler.estimators.direct_feedback:LearnedDirectFeedback"
    learns_backward: ClassVar[bool] = True
    isolates_layers: ClassVar[bool] = True
    couples_blocks: ClassVar[str] = "its noise moves all layers at once"
    bias: ClassVar[str] = (
        "the output error goes to every layer through its mean Jacobian, averaged over past batches"
    )
    tells: ClassVar[str] = (
        "It is approximated: the error at the outputs goes to every layer directly, through a "
        "matrix of that layer, which follows its Jacobian."
    )
    arrives: ClassVar[str] = "output error through its matrix B"
    type: Literal["learned_direct_feedback"] = "learned_direct_feedback"
    momentum: Annotated[float, Field(ge=0, lt=1)] = Field(
        default=0.99,
        description="Share of the moving average that an update keeps. The average starts at zero.",
        examples=[0.9],
    )

    def equations(self, facts: Facts) -> Iterator[Equation]:
        """The output error through averages, and how these move."""
        yield moved_outputs()
        keep = Number(self.momentum, r"\beta", "β")
        rest = Number(1 - self.momentum, r"(1-\beta)", "(1-β)")
        yield Equation(
            NEXT_FEEDBACK,
            Plus(
                (
                    (1, Product((keep, of.FEEDBACK))),
                    (1, Product((rest, *jacobian_sample(facts)))),
                )
            ),
            "The matrices of the next step: an average of what each layer does to the outputs.",
        )
        yield output_error()
        yield from sent_to_layers("a matrix B that is a running average of its Jacobian")

    def variance(self, facts: Facts, dimension: int) -> str:
        """Of the matrices."""
        return (
            "For given matrices it has no variance; the matrices are averages over noisy samples, "
            f"about {1 / (1 - self.momentum):.0f} of them."
        )


NEXT_FEEDBACK = Symbol("next feedback", r"B^{\mathrm{next}}", "B⁺", (of.LAYER,), ("o",))
"""The matrix from the outputs to a layer, after a step of its own."""

_NOISE = Symbol("u", "u", "u", of.OUT.at)
_MOVED = Symbol("outputs moved", r"\dot y", "ẏ", (), ("n", "o"))


def moved_outputs() -> Equation:
    """The derivative of the outputs along noise at all layers."""
    return Equation(
        _MOVED,
        Over(of.LAYER, Domain("layers", "l", "l"), Along(of.OUTPUTS, of.OUT, _NOISE)),
        "How fast the outputs change if normal noise u moves the outputs of all layers.",
        letters=("ẏ the derivative of y along u",),
    )


def jacobian_sample(facts: Facts) -> tuple[Expr, Expr]:
    """The factors of one sample of a layer's mean Jacobian."""
    return of.one_over(facts.rows, "N"), Total(("n",), Product((_MOVED, _NOISE)))


def output_error() -> Equation:
    """The error that direct feedback sends to every layer."""
    error = of.of_loss(of.LAST, Symbol("outputs", "y", "y"))
    return Equation(of.OUTPUT_ERROR, error, "The error: the derivative of the loss by the outputs.")


def sent_to_layers(through: str, matrix: Symbol = of.FEEDBACK) -> Iterator[Equation]:
    """Direct feedback: every layer takes the output error through a matrix of its own.

    Args:
        through: the matrix in words.
        matrix: its symbol.
    """
    sent = Total(("o",), Product((matrix, of.OUTPUT_ERROR)))
    yield Equation(
        of.ERROR,
        Product((of.SLOPE_OF_ACTIVATION, sent)),
        f"Every layer receives the error through {through}. No error passes between layers.",
    )
    yield Equation(
        of.GRADIENT,
        of.pulled(of.Z, of.W, of.ERROR),
        "Each layer turns its error into the gradient of its own weights.",
    )
