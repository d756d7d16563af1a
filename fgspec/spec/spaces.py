"""Spaces: what is perturbed, one class each."""

from collections.abc import Mapping
from typing import Any, ClassVar, Literal

from fgspec.formulas.notation import GRADIENT, W_OF, W, X, Z, drawn, estimate, mask, noise, pulled
from fgspec.formulas.tree import Equation, Expr, Product, Symbol, Total
from fgspec.spec.base import Resume
from fgspec.spec.kinds import Kind, table
from fgspec.spec.shapes import Axis

Credit = Literal["influenced", "paper"]
"""Which copies of a loss an element answers for, see `gradient.perturbation.credit`."""

SPACES = table("space", "spaces")


class Space(Kind):
    """What is perturbed, and how an estimate there becomes one of the weights.

    Attributes:
        of_weights: whether parameters are perturbed; otherwise features of every example.
        layerwise: whether an estimate is pulled back layer by layer, past normalizations if
            `normalization.gradient: ignored` says so.
        grouping: what shares a derivative where guesses are made from the network, a name of
            `GROUPINGS`.
        rows: leading axes of a perturbed array that count vectors instead of being part of one.
    """

    table: ClassVar = SPACES
    on_resume: ClassVar = Resume.FORKS
    of_weights: ClassVar[bool] = False
    layerwise: ClassVar[bool] = False
    grouping: ClassVar[str] = "tensor"
    rows: ClassVar[int] = 1

    def sharing(self, views: bool) -> str:
        """Who shares noise by default.

        Args:
            views: whether the views of an example can share theirs.
        """
        return "views" if views else "example"

    def shared_by(self, sharing: str | None) -> "Space":
        """The space whose arrays are drawn: noise of every example's own weights is another one."""
        return self

    def shapes(self, segment: Any, batch: int) -> dict[str, tuple[int, ...]]:
        """The shape of every perturbed array of a segment by name, for a batch of so many rows."""
        raise self.lacks("shapes")

    def elements(
        self, segment: Any, readout: frozenset[Axis], credit: Credit, batch: int
    ) -> dict[str, Any]:
        """The perturbed arrays of a segment by name, `compiler.estimators.spaces.Element`s.

        Args:
            segment: with one site, at its end.
            readout: the axes that are mixed between its last block and its loss.
            credit: `influenced` or `paper`, see `gradient.perturbation.credit`.
            batch: rows that have noise of their own.
        """
        raise self.lacks("elements")

    def run(self, blocks: Any, params: Any, x: Any, by: Mapping[str, Any]) -> Any:
        """The forward pass through blocks with perturbations `by` name."""
        raise self.lacks("run")

    def mask(self, name: str, trace: Any) -> Any:
        """What the perturbation of an array is multiplied by, or None."""
        return None

    def pull_back(self, at: Any, estimates: Mapping[str, Any], through_norm: bool) -> Any:
        """The gradient of the weights from estimates by name, at an unperturbed pass."""
        raise self.lacks("pull_back")

    @property
    def array(self) -> Symbol:
        """What is perturbed, in formulas."""
        raise self.lacks("array")

    @property
    def where(self) -> str:
        """What is perturbed, in words."""
        raise self.lacks("where")

    def masked(self, body: Expr) -> Expr:
        """An estimate without what stands at silent units."""
        return body

    def masked_noise(self) -> tuple[Equation, ...]:
        """The direction, where noise at silent units is left out of it."""
        return ()

    def to_weights(self, past_norm: bool) -> Equation:
        """The gradient of a weight from the estimates at what is perturbed.

        Args:
            past_norm: whether normalizations are passed by.
        """
        raise self.lacks("to_weights")

    def of_examples(self) -> "Space":
        """The space in which each example has a vector of its own."""
        return self


class Weight(Space):
    """Every weight and bias is perturbed (Ren et al. 2022, section 3.2)."""

    behaviour: ClassVar[str | None] = "compiler.estimators.spaces:Weight"
    of_weights: ClassVar[bool] = True
    rows: ClassVar[int] = 0
    type: Literal["weight"] = "weight"

    @property
    def array(self) -> Symbol:
        """A weight or bias."""
        return W

    @property
    def where(self) -> str:
        """Weights and biases."""
        return "every weight and bias"

    def to_weights(self, past_norm: bool) -> Equation:
        """They are gradients of weights already."""
        says = "What is estimated is the gradient of the weight itself."
        return Equation(GRADIENT, estimate(W), says)

    def of_examples(self) -> Space:
        """What each example adds to the gradient of a weight."""
        return ExampleWeight()

    def sharing(self, views: bool) -> str:
        """One draw for the batch."""
        return "batch"

    def shared_by(self, sharing: str | None) -> Space:
        """Every example has weights of its own where it does not share its noise."""
        return ExampleWeight() if sharing == "example" else self


class ExampleWeight(Space):
    """Every weight and bias, perturbed for each example by itself; `weight` under that sharing."""

    behaviour: ClassVar[str | None] = "compiler.estimators.spaces:ExampleWeight"
    of_weights: ClassVar[bool] = True
    type: Literal["weight"] = "weight"

    @property
    def array(self) -> Symbol:
        """A weight as one example sees it."""
        return W_OF

    @property
    def where(self) -> str:
        """Weights and biases, for each example."""
        return "every weight and bias, for each example by itself"

    def to_weights(self, past_norm: bool) -> Equation:
        """Summed over examples."""
        says = "What the examples add is summed."
        return Equation(GRADIENT, Total(("n",), estimate(W_OF)), says)


class Activation(Space):
    """The pre-activation of every layer is perturbed (Ren et al. 2022, section 3.3).

    That is a layer's output before its activation. The estimate there is pulled back to the layer's
    weights exactly. There are far fewer activations than weights, so it varies less.
    """

    behaviour: ClassVar[str | None] = "compiler.estimators.spaces:Activation"
    layerwise: ClassVar[bool] = True
    type: Literal["activation"] = "activation"

    @property
    def array(self) -> Symbol:
        """A pre-activation."""
        return Z

    @property
    def where(self) -> str:
        """Pre-activations."""
        return "the pre-activation of every layer"

    def masked(self, body: Expr) -> Expr:
        """Zero where the activation is flat."""
        return Product((mask(Z), body))

    def masked_noise(self) -> tuple[Equation, ...]:
        """Zero where the activation is flat: there is no gradient."""
        says = "No noise at units whose activation is flat: their gradient is zero."
        return (Equation(noise(Z), Product((mask(Z), drawn(Z))), says),)

    def to_weights(self, past_norm: bool) -> Equation:
        """At every layer by itself, from its own input."""
        through = "past normalization" if past_norm else ""
        says = "Each layer turns the estimate at its pre-activation into one of its own weights."
        if past_norm:
            says += " The derivative of its normalization is taken to be the identity."
        return Equation(GRADIENT, pulled(Z, W, estimate(Z), through), says)


class BlockOutput(Space):
    """The output of every block is perturbed (Fournier et al. 2023).

    The estimate there is pulled back through the block exactly.
    """

    behaviour: ClassVar[str | None] = "compiler.estimators.spaces:BlockOutput"
    grouping: ClassVar[str] = "block"
    type: Literal["block_output"] = "block_output"

    @property
    def array(self) -> Symbol:
        """The output of a block."""
        return X

    @property
    def where(self) -> str:
        """Outputs of blocks."""
        return "the output of every block"

    def to_weights(self, past_norm: bool) -> Equation:
        """By an exact reverse pass through one block."""
        says = "An exact reverse pass through the block alone gives the gradients of its weights."
        return Equation(GRADIENT, pulled(X, W, estimate(X)), says)
