"""`gradient:` which gradient is targeted and how it is estimated."""

from typing import Annotated, Literal

from pydantic import Field

from fgspec.spec.base import PositiveFloat, PositiveInt, Section


class Exact(Section):
    """Reverse-mode differentiation."""

    type: Literal["exact"] = "exact"


class Forward(Section):
    """A directional derivative along a perturbation, in forward mode (Baydin et al. 2022)."""

    type: Literal["forward"] = "forward"


class FiniteDifference(Section):
    """(l(eps u) - l(0)) / eps in place of the directional derivative."""

    type: Literal["finite_difference"] = "finite_difference"
    epsilon: PositiveFloat = Field(
        default=1e-3, description="Length of the step along the perturbation."
    )


class Feedback(Section):
    """Reverse mode with fixed random backward weights (Lillicrap et al. 2016)."""

    type: Literal["feedback"] = "feedback"
    weights: Literal["random", "sign_symmetric"] = Field(
        default="random", description="sign_symmetric: with the signs of the forward weights."
    )


class DirectFeedback(Section):
    """The output error sent to every layer through fixed random weights (Nokland 2016)."""

    type: Literal["direct_feedback"] = "direct_feedback"


Estimator = Annotated[
    Exact | Forward | FiniteDifference | Feedback | DirectFeedback, Field(discriminator="type")
]


class Guess(Section):
    """The direction of a perturbation."""

    type: Literal["normal", "rademacher", "sphere", "local", "ntk", "fixed_ntk"] = Field(
        default="rademacher",
        description="normal, rademacher (random signs): zero mean, unit variance. sphere: "
        "uniform on the sphere of radius sqrt(dimension), one for each example's activation or "
        "each weight. local: gradient of the local loss; "
        "ntk: of a head drawn anew; fixed_ntk: of the head at initialisation (Fournier 2023).",
    )
    set: Literal["independent", "antithetic", "orthogonal"] = Field(
        default="independent", description="How the samples of one step relate to each other."
    )


class Projection(Section):
    """What the product of derivative and guess is divided by (Fournier et al. 2023)."""

    type: Literal["none", "squared_norm", "dimension"] = Field(
        default="none",
        description="none: for guesses of zero mean and unit variance. squared_norm: projection "
        "onto the guess. dimension: divided by the number of perturbed elements.",
    )


class Perturbation(Section):
    """What is perturbed, along which guess, how often, and who shares the noise."""

    space: Literal["weight", "activation", "block_output"] = Field(
        default="activation",
        description="weight: every weight and bias. activation: the pre-activation of every "
        "layer. block_output: the output of every block.",
    )
    guess: Guess = Field(default=Guess(), description="The direction.")
    samples: PositiveInt = Field(
        default=1, description="K, perturbations per step; estimates averaged."
    )
    sharing: Literal["example", "batch", "views"] | None = Field(
        default=None,
        description="example: each example draws its own noise, and each of its views (default for "
        "activations). batch: one draw for all (the only choice for weights). views: the two "
        "views of an example share theirs (default for activations under info_nce).",
    )
    projection: Projection = Field(
        default=Projection(), description="Normalization of the estimate."
    )
    credit: Literal["influenced", "paper"] = Field(
        default="influenced",
        description="Which copies of a replicated loss an element answers for. influenced: every "
        "copy it can move (unbiased). paper: activations answer for their own example, patch and "
        "group, weights for their own group, whatever the normalizations couple; biased where "
        "they do (the route behind Ren et al. 2022, table 3, LG-FG-W).",
    )


class Gradient(Section):
    """Target, estimator and perturbation."""

    target: Literal["global", "local", "above", "sum"] = Field(
        default="global",
        description="global: of the final loss. local: of the block's own local loss. above: of "
        "its own and the next block's. sum: of all losses downstream.",
    )
    estimator: Estimator = Field(default=Exact(), description="How the target is estimated.")
    perturbation: Perturbation | None = Field(
        default=None, description="Read by forward and finite_difference estimators only."
    )
