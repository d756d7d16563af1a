"""Estimators: how the target's gradient is estimated, one class each."""

from typing import Annotated, Any, ClassVar, Literal

from pydantic import Field

from fgspec.spec.backward_weights import BACKWARD_WEIGHTS, BackwardWeights, Random
from fgspec.spec.base import PositiveFloat, Resume
from fgspec.spec.kinds import Kind, OneOf, table

ESTIMATORS = table("estimator", "estimators")


class Estimator(Kind):
    """How a gradient of the blocks is estimated; readouts always take their exact one.

    Attributes:
        perturbs: whether it reads `gradient.perturbation`.
        differentiates: whether it takes derivatives along perturbations, and no differences.
        backward: whether it sends errors backward from block to block.
        isolates_layers: whether no gradient passes between layers: the error of the final loss
            goes to every layer by itself.
        linear_maps: whether it needs maps that are linear in their input.
        couples_blocks: why the blocks cannot learn one by one, scanned or in a pipeline, if so.
        bias: what its mean differs from the target by, in a sentence; empty if it is unbiased.
    """

    table: ClassVar = ESTIMATORS
    on_resume: ClassVar = Resume.FORKS
    perturbs: ClassVar[bool] = False
    differentiates: ClassVar[bool] = True
    backward: ClassVar[bool] = False
    isolates_layers: ClassVar[bool] = False
    linear_maps: ClassVar[bool] = False
    couples_blocks: ClassVar[str] = ""
    bias: ClassVar[str] = ""

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


class Exact(Estimator):
    """The exact gradient, by reverse-mode differentiation (backprop)."""

    behaviour: ClassVar[str | None] = "compiler.estimators.exact:Exact"
    backward: ClassVar[bool] = True
    type: Literal["exact"] = "exact"


class Forward(Estimator):
    """A forward gradient: the derivative along a perturbation times it (Baydin et al. 2022).

    `gradient.perturbation` says what is perturbed and how. Whether the derivative is pushed forward
    or taken as an inner product is the compiler's choice (`compile.directional`).
    """

    behaviour: ClassVar[str | None] = "compiler.estimators.forward:Forward"
    perturbs: ClassVar[bool] = True
    type: Literal["forward"] = "forward"


class FiniteDifference(Estimator):
    """A difference of losses, (l(epsilon u) - l(0)) / epsilon, in place of the derivative along u.

    It needs no differentiation of the blocks, and is biased by the loss's curvature.
    """

    behaviour: ClassVar[str | None] = "compiler.estimators.forward:FiniteDifference"
    perturbs: ClassVar[bool] = True
    differentiates: ClassVar[bool] = False
    type: Literal["finite_difference"] = "finite_difference"
    epsilon: PositiveFloat = Field(
        default=1e-3,
        description="How far the network is moved along the perturbation: the factor of u.",
        examples=[0.01],
    )

    def biased(self) -> str:
        """By the curvature."""
        return f"by the curvature along a step of {self.epsilon:g}"


class Feedback(Estimator):
    """Feedback alignment: errors travel backward through other weights (Lillicrap et al. 2016).

    Every linear map has fixed random backward weights in place of its transposed forward weights.
    Activations and normalizations are differentiated exactly.
    """

    behaviour: ClassVar[str | None] = "compiler.estimators.exact:Feedback"
    backward: ClassVar[bool] = True
    linear_maps: ClassVar[bool] = True
    bias: ClassVar[str] = "errors travel through backward weights that are not the forward ones"
    type: Literal["feedback"] = "feedback"
    weights: Annotated[BackwardWeights, OneOf(BACKWARD_WEIGHTS, named=True)] = Field(
        default=Random(), description="The weights that errors travel backward through."
    )


class DirectFeedback(Estimator):
    """Direct feedback alignment: the output error goes straight to every layer (Nokland 2016).

    Each layer has a fixed random matrix of its own that the error is multiplied by.
    """

    behaviour: ClassVar[str | None] = "compiler.estimators.direct_feedback:DirectFeedback"
    isolates_layers: ClassVar[bool] = True
    bias: ClassVar[str] = "the output error goes to every layer through a fixed random matrix"
    type: Literal["direct_feedback"] = "direct_feedback"


class LearnedDirectFeedback(Estimator):
    """Direct feedback through learned matrices instead of random ones (Bacho and Chu 2022).

    A layer's matrix is a moving average of its Jacobian: what the layer does to the network's
    outputs. In every update, normal noise moves all layers at once; the change of the outputs times
    that noise is one more sample of it.
    """

    behaviour: ClassVar[str | None] = "compiler.estimators.direct_feedback:LearnedDirectFeedback"
    isolates_layers: ClassVar[bool] = True
    couples_blocks: ClassVar[str] = "its noise moves all layers at once"
    bias: ClassVar[str] = (
        "the output error goes to every layer through its mean Jacobian, averaged over past batches"
    )
    type: Literal["learned_direct_feedback"] = "learned_direct_feedback"
    momentum: Annotated[float, Field(ge=0, lt=1)] = Field(
        default=0.99,
        description="Share of the moving average that an update keeps. The average starts at zero.",
        examples=[0.9],
    )
