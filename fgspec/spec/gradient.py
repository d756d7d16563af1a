"""`gradient:` which gradient is targeted and how it is estimated."""

from collections.abc import Iterator
from typing import Annotated, ClassVar, Literal

from pydantic import Field

from fgspec.formulas import forward_gradient
from fgspec.formulas.facts import Facts
from fgspec.formulas.tree import Equation
from fgspec.spec.base import PositiveInt, Resume, Section
from fgspec.spec.estimators import ESTIMATORS, Estimator, Exact
from fgspec.spec.guesses import GUESSES, Guess, Rademacher
from fgspec.spec.kinds import OneOf
from fgspec.spec.projections import (
    COEFFICIENTS,
    GRANULARITIES,
    GROUPINGS,
    SCALES,
    Coefficient,
    Granularity,
    Grouping,
    Raw,
    Scale,
)
from fgspec.spec.spaces import SPACES, Activation, Credit, Space
from fgspec.spec.targets import TARGETS, Global, Target


class Projection(Section):
    """What becomes of the derivative along the guess (Fournier et al. 2023)."""

    on_resume: ClassVar = Resume.FORKS
    type: Annotated[Scale, OneOf(SCALES, named=True)] | None = Field(
        default=None,
        description="What the product of derivative and guess is divided by. none: nothing, for "
        "guesses of zero mean and unit variance. squared_norm: |G|^2, the projection on the "
        "guess. dimension: d, the numbers that share a coefficient. optimal: d + kurtosis - 1, "
        "biased with the least mean squared error. Default: squared_norm for guesses made from "
        "the network, none for those that are drawn.",
    )
    coefficient: Annotated[Coefficient, OneOf(COEFFICIENTS, named=True)] = Field(
        default=Raw(),
        description="raw: the derivative along the guess. sign: its sign. coin: a random sign "
        "instead, a control.",
    )
    granularity: Annotated[Granularity, OneOf(GRANULARITIES, named=True)] | None = Field(
        default=None,
        description="example: every example is projected on its own guess. batch: one derivative "
        "for the batch. span: every example is projected on the span of all examples' guesses. "
        "Default: batch where the batch shares noise on weights, else example.",
    )
    grouping: Annotated[Grouping, OneOf(GROUPINGS, named=True)] | None = Field(
        default=None,
        description="What shares one derivative: every tensor (weight, bias, layer's activation) "
        "its own, a block, or all blocks between which gradients pass. Default: net for drawn "
        "guesses; for others tensor, and block at block outputs.",
    )
    applies_to: Literal["output", "weights"] = Field(
        default="output",
        description="What the coefficient of a block's output multiplies. output: the guess there, "
        "which is then pulled back through the block. weights: what each example's guess adds to "
        "the weights; the same unless batch_norm mixes examples (Fournier et al. 2023).",
    )


class Perturbation(Section):
    """What is perturbed, along which guess, how often, and who shares the noise."""

    on_resume: ClassVar = Resume.FORKS
    space: Annotated[Space, OneOf(SPACES, named=True)] = Field(
        default=Activation(),
        description="weight: every weight and bias. activation: the pre-activation of every "
        "layer. block_output: the output of every block.",
    )
    guess: Annotated[Guess, OneOf(GUESSES, default="rademacher")] = Field(
        default=Rademacher(),
        description="The direction. normal, rademacher (random signs): zero mean, unit variance. "
        "sphere: uniform on the sphere of radius sqrt(dimension), one for each example's "
        "activation or each weight. local: gradient of the local loss; ntk: of the local loss "
        "under a head drawn anew at every step; fixed_ntk: under the head as initialised (Fournier "
        "et al. 2023). global, above: the gradients of these targets, as controls. jacobian: a "
        "random direction at the next block's output, pulled back through that block (Singhal et "
        "al. 2023). Installed packages can add others.",
    )
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
    control_variate: Annotated[Guess, OneOf(GUESSES, bare=True, only="predicts")] | None = Field(
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
    credit: Credit = Field(
        default="influenced",
        description="Which copies of a replicated loss an element answers for. influenced: every "
        "copy it can move (unbiased). paper: activations answer for their own example, patch and "
        "group, weights for their own group, whatever the normalizations couple; biased where "
        "they do (the route behind Ren et al. 2022, table 3, LG-FG-W).",
    )

    @property
    def guides(self) -> tuple[Guess, ...]:
        """The guesses made from the network that this perturbation takes."""
        found = (self.guess if self.guess.made else None, self.control_variate)
        return tuple(guide for guide in found if guide is not None)

    @property
    def reads_heads(self) -> bool:
        """Whether guesses are made from local losses."""
        return any(guide.reads_heads for guide in self.guides)

    @property
    def perturbed_space(self) -> Space:
        """The space whose arrays are drawn."""
        return self.space.shared_by(self.sharing)

    @property
    def projects(self) -> bool:
        """Whether derivatives are inner products of whole targets and guesses.

        Otherwise all that is perturbed in a chain of blocks moves together, and every copy of a
        loss has one derivative along that.
        """
        how, granularity = self.projection, self.projection.granularity
        joint = (
            (how.type is None or how.type.joint)
            and not how.coefficient.control
            and (granularity is None or granularity.joint(self.perturbed_space))
            and (how.grouping is None or how.grouping.joint)
            and how.applies_to == "output"
        )
        return bool(self.guides) or self.last_block == "exact" or not joint

    def equations(self, facts: Facts, estimator: Estimator) -> Iterator[Equation]:
        """The estimate as equations."""
        if self.projects:
            return forward_gradient.projected(facts)
        return forward_gradient.joint(facts, estimator)

    def variance(self, dimension: int) -> str:
        """The variance of the estimate for one batch, in a sentence.

        Args:
            dimension: the most numbers that share one derivative.
        """
        if self.guess.made:
            return self.guess.variance()
        told = [self.guess.variance_of(dimension, self.samples)]
        if self.sharing == "batch" and not self.space.of_weights:
            told.append("All examples share the noise, so their errors do not average out.")
        if self.control_variate is not None:
            told.append("Here t is only what the prediction leaves of the target.")
        how = self.projection
        scale = how.type.varies if how.type is not None else ""
        return " ".join([*told, *filter(None, (scale, how.coefficient.varies))])


class Gradient(Section):
    """Target, estimator and perturbation."""

    on_resume: ClassVar = Resume.FORKS
    target: Annotated[Target, OneOf(TARGETS, named=True)] = Field(
        default=Global(),
        description="global: of the final loss. local: of the block's own local loss. above: of "
        "its own and the next block's. sum: of all losses downstream.",
    )
    estimator: Annotated[Estimator, OneOf(ESTIMATORS)] = Field(
        default=Exact(), description="How the target is estimated."
    )
    # A section of its own: finite differences perturb as well, an ablation changes nothing but
    # `gradient.perturbation.guess`, and a rule without noise refuses one key instead of several.
    perturbation: Perturbation | None = Field(
        default=None, description="Read by forward and finite_difference estimators only."
    )
