"""`gradient:` which gradient is targeted and how it is estimated."""

from typing import Annotated, ClassVar, Literal, get_args

from pydantic import AfterValidator, Field, WithJsonSchema
from pydantic_core import PydanticCustomError

from fgspec.spec import plugins
from fgspec.spec.base import PositiveFloat, PositiveInt, Section
from fgspec.spec.kinds import Kind, OneOf, table

ESTIMATORS = table("estimator", "estimators")


class Estimator(Kind):
    """How the target is estimated."""

    table: ClassVar = ESTIMATORS


class Exact(Estimator):
    """Reverse-mode differentiation."""

    type: Literal["exact"] = "exact"


class Forward(Estimator):
    """A directional derivative along a perturbation, in forward mode (Baydin et al. 2022)."""

    type: Literal["forward"] = "forward"


class FiniteDifference(Estimator):
    """(l(eps u) - l(0)) / eps in place of the directional derivative."""

    type: Literal["finite_difference"] = "finite_difference"
    epsilon: PositiveFloat = Field(
        default=1e-3, description="Length of the step along the perturbation."
    )


class Feedback(Estimator):
    """Reverse mode with fixed random backward weights (Lillicrap et al. 2016)."""

    type: Literal["feedback"] = "feedback"
    weights: Literal["random", "sign_symmetric", "signs"] = Field(
        default="random",
        description="sign_symmetric: random magnitudes with the signs of the forward weights. "
        "signs: these signs alone, of magnitude 1 (Liao et al. 2016, uSF).",
    )


class DirectFeedback(Estimator):
    """The output error sent to every layer through fixed random weights (Nokland 2016)."""

    type: Literal["direct_feedback"] = "direct_feedback"


class LearnedDirectFeedback(Estimator):
    """Direct feedback through moving averages of what layers do to the outputs (Bacho et al. 2022).

    At every step normal noise moves the outputs of all layers, and what comes of it at the outputs
    of the network, times that noise, is one more sample of each layer's mean Jacobian.
    """

    type: Literal["learned_direct_feedback"] = "learned_direct_feedback"
    momentum: Annotated[float, Field(ge=0, lt=1)] = Field(
        default=0.99, description="What the average keeps of itself at a step; it starts at zero."
    )


REVERSE = ("exact", "feedback")
"""Estimators that send errors backward from block to block."""

DIRECT = ("direct_feedback", "learned_direct_feedback")
"""Estimators that send the output error to every layer past the others."""


PERTURBING = ("forward", "finite_difference")
"""Estimators that move something and see how the loss changes."""

BuiltInGuess = Literal[
    "normal", "rademacher", "sphere", "local", "ntk", "fixed_ntk", "global", "above", "jacobian"
]


def _known(name: str) -> str:
    known = guess_names()
    if name not in known:
        expected = {"expected": ", ".join(known)}
        raise PydanticCustomError("literal_error", "must be a guess", expected)
    return name


def guess_names() -> tuple[str, ...]:
    """The guesses of the language and those that installed packages add."""
    own = get_args(BuiltInGuess)
    return (*own, *(name for name in plugins.names("fgspec.guesses") if name not in own))


GuessName = Annotated[
    str,
    AfterValidator(_known),
    WithJsonSchema({"type": "string", "enum": list(guess_names())}),
]

LEARNED = ("local", "ntk", "fixed_ntk", "global", "above", "jacobian")
"""Guesses that are made from the network instead of drawn."""


class Guess(Section):
    """The direction of a perturbation."""

    type: GuessName = Field(
        default="rademacher",
        description="normal, rademacher (random signs): zero mean, unit variance. sphere: "
        "uniform on the sphere of radius sqrt(dimension), one for each example's activation or "
        "each weight. local: gradient of the local loss; ntk: of the local loss under a head "
        "drawn anew at every step; fixed_ntk: under the head as initialised (Fournier et al. "
        "2023). global, above: the gradients of these targets, as controls. jacobian: a random "
        "direction at the next block's output, pulled back through that block (Singhal et al. "
        "2023). Installed packages can add others.",
    )
    set: Literal["independent", "antithetic", "orthogonal", "projected"] = Field(
        default="independent",
        description="How the K samples of one step relate to each other. independent: averaged. "
        "antithetic: K/2 and their opposites (finite differences only). orthogonal: K orthogonal "
        "normal directions, averaged; unbiased, of less variance. projected: the orthogonal "
        "projection of the gradient on K normal directions (Fluegel et al. 2024); biased.",
    )


class Projection(Section):
    """What becomes of the derivative along the guess (Fournier et al. 2023)."""

    type: Literal["none", "squared_norm", "dimension", "optimal"] | None = Field(
        default=None,
        description="What the product of derivative and guess is divided by. none: nothing, for "
        "guesses of zero mean and unit variance. squared_norm: |G|^2, the projection on the "
        "guess. dimension: d, the numbers that share a coefficient. optimal: d + kurtosis - 1, "
        "biased with the least mean squared error. Default: squared_norm for guesses made from "
        "the network, none for those that are drawn.",
    )
    coefficient: Literal["raw", "sign", "coin"] = Field(
        default="raw",
        description="raw: the derivative along the guess. sign: its sign. coin: a random sign "
        "instead, a control.",
    )
    granularity: Literal["example", "batch", "span"] | None = Field(
        default=None,
        description="example: every example is projected on its own guess. batch: one derivative "
        "for the batch. span: every example is projected on the span of all examples' guesses. "
        "Default: batch where weights are perturbed by noise, else example.",
    )
    grouping: Literal["tensor", "block", "net"] | None = Field(
        default=None,
        description="What shares one derivative: every tensor (weight, bias, layer's activation) "
        "its own, a block, or all blocks between which gradients pass. Default: net for drawn "
        "guesses; for others tensor, and block at block outputs.",
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
        "activations). batch: one draw for all (default for weights). views: the two views of an "
        "example share theirs (default for activations under info_nce without batch_norm).",
    )
    projection: Projection = Field(
        default=Projection(), description="What becomes of the derivative."
    )
    control_variate: Literal["local", "ntk", "fixed_ntk"] | None = Field(
        default=None,
        description="A guess made from the network that noise corrects: P + <T - P, u> u has the "
        "mean of the target and the variance of the difference only (arXiv 2511.05187).",
    )
    last_block: Literal["estimated", "exact"] | None = Field(
        default=None,
        description="exact: the block that the final loss closes takes its exact gradient "
        "(Fournier et al. 2023; default where guesses are made from the network). estimated: as "
        "all others.",
    )
    credit: Literal["influenced", "paper"] = Field(
        default="influenced",
        description="Which copies of a replicated loss an element answers for. influenced: every "
        "copy it can move (unbiased). paper: activations answer for their own example, patch and "
        "group, weights for their own group, whatever the normalizations couple; biased where "
        "they do (the route behind Ren et al. 2022, table 3, LG-FG-W).",
    )

    @property
    def learned(self) -> bool:
        """Whether the guess is made from the network instead of drawn."""
        return self.guess.type in LEARNED

    @property
    def guides(self) -> tuple[str, ...]:
        """The guesses made from the network that this perturbation takes."""
        own = (self.guess.type,) if self.learned else ()
        return own + ((self.control_variate,) if self.control_variate else ())

    @property
    def projects(self) -> bool:
        """Whether derivatives are inner products of whole targets and guesses.

        Otherwise all that is perturbed in a chain of blocks moves together, and every copy of a
        loss has one derivative along that.
        """
        granularity = "batch" if self.space == "weight" else "example"
        joint = Projection(type="none", grouping="net", granularity=granularity).model_dump()
        told = self.projection.model_dump()
        differs = any(value not in (None, joint[field]) for field, value in told.items())
        return bool(self.guides) or self.last_block == "exact" or differs


class Gradient(Section):
    """Target, estimator and perturbation."""

    target: Literal["global", "local", "above", "sum"] = Field(
        default="global",
        description="global: of the final loss. local: of the block's own local loss. above: of "
        "its own and the next block's. sum: of all losses downstream.",
    )
    estimator: Annotated[Estimator, OneOf(ESTIMATORS)] = Field(
        default=Exact(), description="How the target is estimated."
    )
    perturbation: Perturbation | None = Field(
        default=None, description="Read by forward and finite_difference estimators only."
    )
