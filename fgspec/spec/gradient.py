"""`gradient:` which gradient is targeted and how it is estimated."""

from collections.abc import Iterator
from typing import Annotated, ClassVar, Literal

from pydantic import Field

from fgspec.formulas import forward_gradient
from fgspec.formulas.facts import Facts
from fgspec.formulas.tree import Equation
from fgspec.spec.base import PositiveInt, Resume, Section, Unit, Values
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
    """What becomes of the derivative along the guess (Fournier et al. 2023).

    The estimate is `scale * coefficient * guess`: a coefficient for each group of perturbed numbers
    and, unless `granularity` says otherwise, for each example.
    """

    on_resume: ClassVar = Resume.FORKS
    type: Annotated[Scale, OneOf(SCALES, named=True)] | None = Field(
        default=None,
        description="The scale: what the product of derivative and guess is multiplied by. null: "
        "`none` for drawn guesses and for the controls `sign` and `coin`, else `squared_norm`.",
    )
    coefficient: Annotated[Coefficient, OneOf(COEFFICIENTS, named=True)] = Field(
        default=Raw(),
        description="What the guess is multiplied by: the derivative along it, or a control that "
        "shows how much the derivative's size matters.",
    )
    granularity: Annotated[Granularity, OneOf(GRANULARITIES, named=True)] | None = Field(
        default=None,
        description="Whether each example has a derivative of its own. null: `batch` where the "
        "whole batch shares its noise on weights, else `example`.",
    )
    grouping: Annotated[Grouping, OneOf(GROUPINGS, named=True)] | None = Field(
        default=None,
        description="Which perturbed numbers share one derivative. The variance of an estimate "
        "grows with their number. null: `net` for drawn guesses; for guesses made from the network "
        "`block` if block outputs are perturbed, else `tensor`.",
    )
    applies_to: Annotated[
        Literal["output", "weights"],
        Values(
            {
                "output": "The coefficient multiplies the guess at the block's output, which is "
                "then pulled back through the block, exactly.",
                "weights": "The coefficient multiplies what each example's guess adds to the "
                "weights. The result is the same unless `batch_norm` couples examples.",
            }
        ),
    ] = Field(
        default="output",
        description="What the coefficient of a block's output multiplies; only for `space: "
        "block_output` (Fournier et al. 2023).",
    )


class Perturbation(Section):
    """What is perturbed, along which guess, how often, and who shares the noise.

    A forward gradient (Baydin et al. 2022) is the derivative of the loss along a direction, the
    guess, times that direction. Its mean is the gradient if the guess has zero mean and unit
    variance.
    """

    on_resume: ClassVar = Resume.FORKS
    space: Annotated[Space, OneOf(SPACES, named=True)] = Field(
        default=Activation(),
        description="What is perturbed: weights, activations or block outputs (Ren et al. 2022, "
        "sections 3.2 and 3.3; Fournier et al. 2023).",
    )
    guess: Annotated[Guess, OneOf(GUESSES, default="rademacher")] = Field(
        default=Rademacher(),
        description="The direction of the perturbation: drawn at random, or made from the network. "
        "The name alone stands for `{type: name}`.",
    )
    samples: Annotated[PositiveInt, Unit("perturbations per update")] = Field(
        default=1,
        description="How many perturbations are tried in one update, K in formulas. Their "
        "estimates are combined as the guess's `set` says.",
        examples=[4],
    )
    sharing: Annotated[
        Literal["example", "batch", "views"] | None,
        Values(
            {
                "example": "Every example, and every view of it, draws noise of its own.",
                "batch": "One draw serves the whole batch.",
                "views": "The two views of an example share their noise; examples do not.",
                None: "`batch` on weights, else `example`; but `views` where `info_nce` compares "
                "two views and no `batch_norm` couples examples.",
            }
        ),
    ] = Field(
        default=None,
        description="Which examples share their noise. Only drawn guesses read it. More noise of "
        "its own means less variance (Ren et al. 2022, table 1).",
    )
    projection: Projection = Field(
        default=Projection(), description="What becomes of the derivative along the guess."
    )
    control_variate: Annotated[Guess, OneOf(GUESSES, bare=True, only="predicts")] | None = Field(
        default=None,
        description="A prediction P of the target T, made from the network, which drawn noise u "
        "corrects: `P + <T - P, u> u`. The mean stays T; the variance is that of the difference "
        "alone (arXiv 2511.05187). null: no prediction.",
    )
    last_block: Annotated[
        Literal["estimated", "exact"] | None,
        Values(
            {
                "estimated": "The last block's gradient is estimated like all others.",
                "exact": "The last block takes the exact gradient of the final loss (Fournier et "
                "al. 2023).",
                None: "`exact` where guesses are made from the network, else `estimated`.",
            }
        ),
    ] = Field(
        default=None,
        description="How the block that the final loss closes gets its gradient.",
    )
    credit: Annotated[
        Credit,
        Values(
            {
                "influenced": "An element's estimate adds up the derivatives of every copy that it "
                "can move. Unbiased.",
                "paper": "Activations take the copies of their own example, patch and group, "
                "weights those of their own group, whatever normalizations couple. Biased where "
                "they do couple; the route behind Ren et al. 2022, table 3, LG-FG-W.",
            }
        ),
    ] = Field(
        default="influenced",
        description="Which copies of a replicated loss an element's estimate answers for, that is, "
        "whose derivatives it adds up. See `losses.local.replicate`.",
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
    """Which gradient is the target, how it is estimated, and what is perturbed for that.

    A rule (`rule:`) sets these fields; without one they can be combined freely.
    """

    on_resume: ClassVar = Resume.FORKS
    target: Annotated[Target, OneOf(TARGETS, named=True)] = Field(
        default=Global(),
        description="The gradient that a block's estimate aims at: of which losses.",
    )
    estimator: Annotated[Estimator, OneOf(ESTIMATORS)] = Field(
        default=Exact(),
        description="How the gradient of the blocks is estimated. Heads and classifier always "
        "learn from their own exact gradient. The name alone stands for `{type: name}`.",
    )
    exact_every: Annotated[PositiveInt | None, Unit("updates")] = Field(
        default=None,
        description="Update number n, 2 n, 3 n and so on takes the exact gradient of the target "
        "instead of an estimate. Backward weights that learn rest at it. It costs a reverse pass. "
        "null: no update does.",
        examples=[100],
    )
    # A section of its own: finite differences perturb as well, an ablation changes nothing but
    # `gradient.perturbation.guess`, and a rule without noise refuses one key instead of several.
    perturbation: Perturbation | None = Field(
        default=None,
        description="What is perturbed, and how. Only estimators that perturb read it. null: all "
        "of its fields at their defaults, or nothing if the estimator does not perturb.",
    )

    @property
    def trains_heads(self) -> bool:
        """Whether local heads learn: not if a guess needs them as they were drawn.

        All others learn, even if the target does not use them.
        """
        how = self.perturbation if self.estimator.perturbs else None
        guides = how.guides if how is not None else ()
        untrained = any(guide.reads_heads for guide in guides) and not any(
            guide.heads_learn for guide in guides
        )
        return self.target.reads_local or not untrained
