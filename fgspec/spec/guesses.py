"""Guesses: the direction of a perturbation, one class each."""

from typing import Annotated, Any, ClassVar, Literal

from pydantic import Field

from fgspec.spec.base import Resume
from fgspec.spec.kinds import Kind, OneOf, table
from fgspec.spec.sample_sets import SAMPLE_SETS, Independent, SampleSet

GUESSES = table("guess", "guesses")


class Guess(Kind):
    """A direction along which a loss is differentiated.

    Attributes:
        made: whether it is made from the network instead of drawn.
        predicts: whether it can be a control variate, which drawn noise corrects.
        reads_heads: whether it is the gradient of local losses.
        heads_learn: whether these are the losses of heads that are trained.
        varies: whether it is another one at every draw.
        isotropic: whether its numbers are independent and normal.
        stored: what of it is kept until its derivative is known, if not the numbers.
        kurtosis: such that E|<g, u> u|^2 = (d + kurtosis - 1) |g|^2 for d numbers; the fourth
            moment of one number where they are independent. Only drawn guesses have one.
    """

    table: ClassVar = GUESSES
    on_resume: ClassVar = Resume.FORKS
    made: ClassVar[bool] = False
    predicts: ClassVar[bool] = False
    reads_heads: ClassVar[bool] = False
    heads_learn: ClassVar[bool] = False
    varies: ClassVar[bool] = True
    isotropic: ClassVar[bool] = False
    stored: ClassVar[str] = ""
    kurtosis: ClassVar[float] = 3.0
    set: Annotated[SampleSet, OneOf(SAMPLE_SETS, named=True)] = Field(
        default=Independent(),
        description="How the K samples of one update relate to each other; K is "
        "`gradient.perturbation.samples`. Only drawn guesses read it.",
    )

    def draw(self, key: Any, rows: tuple[int, ...], shape: tuple[int, ...]) -> Any:
        """Random directions of zero mean and unit variance, float32 [*rows, *shape].

        Args:
            key: of JAX, addressed by name, step and sample; the function must be pure.
            rows: how many vectors, as a shape.
            shape: of one vector.
        """
        raise self.lacks("draw")

    def guide(self, context: Any) -> Any:
        """The losses whose gradient the guess is, where it is made from the network.

        Args:
            context: `compiler.estimators.context.Context` of the step.

        Returns:
            A `compiler.estimators.guesses_from_network.Guide`.
        """
        raise self.lacks("guide")


class _Made(Guess):
    """A gradient of other losses at the same places."""

    made: ClassVar[bool] = True
    varies: ClassVar[bool] = False


class Normal(Guess):
    """Independent normal numbers of zero mean and unit variance (Baydin et al. 2022)."""

    behaviour: ClassVar[str | None] = "compiler.estimators.guesses:Normal"
    isotropic: ClassVar[bool] = True
    type: Literal["normal"] = "normal"


class Rademacher(Guess):
    """Independent random signs, 1 or -1. They vary a little less than normal numbers."""

    behaviour: ClassVar[str | None] = "compiler.estimators.guesses:Rademacher"
    kurtosis: ClassVar[float] = 1.0
    stored: ClassVar[str] = "one random bit per sign"
    type: Literal["rademacher"] = "rademacher"


class Sphere(Guess):
    """A uniformly random point of the sphere of radius sqrt(d), so every guess is equally long.

    The d numbers of one example's activation are one point; on weights, those of one tensor.
    """

    behaviour: ClassVar[str | None] = "compiler.estimators.guesses:Sphere"
    kurtosis: ClassVar[float] = 1.0
    type: Literal["sphere"] = "sphere"


class LocalGuess(_Made):
    """The gradient of the block's local loss, whose head is trained (Fournier et al. 2023)."""

    behaviour: ClassVar[str | None] = "compiler.estimators.guesses_from_network:LocalGuess"
    predicts: ClassVar[bool] = True
    reads_heads: ClassVar[bool] = True
    heads_learn: ClassVar[bool] = True
    type: Literal["local"] = "local"


class Ntk(_Made):
    """The gradient of the local loss under an untrained head, drawn anew in every update.

    NTK in Fournier et al. 2023.
    """

    behaviour: ClassVar[str | None] = "compiler.estimators.guesses_from_network:Ntk"
    predicts: ClassVar[bool] = True
    reads_heads: ClassVar[bool] = True
    varies: ClassVar[bool] = True
    type: Literal["ntk"] = "ntk"


class FixedNtk(_Made):
    """The gradient of the local loss under the head as it was initialised, never trained.

    Fixed NTK in Fournier et al. 2023.
    """

    behaviour: ClassVar[str | None] = "compiler.estimators.guesses_from_network:FixedNtk"
    predicts: ClassVar[bool] = True
    reads_heads: ClassVar[bool] = True
    type: Literal["fixed_ntk"] = "fixed_ntk"


class GlobalGuess(_Made):
    """The gradient of the final loss: a control, as it is the global target itself."""

    behaviour: ClassVar[str | None] = "compiler.estimators.guesses_from_network:GlobalGuess"
    type: Literal["global"] = "global"


class AboveGuess(_Made):
    """The gradient of the block's own and the next block's local loss: a control."""

    behaviour: ClassVar[str | None] = "compiler.estimators.guesses_from_network:AboveGuess"
    reads_heads: ClassVar[bool] = True
    heads_learn: ClassVar[bool] = True
    type: Literal["above"] = "above"


class Jacobian(_Made):
    """A random direction at the next block's output, pulled back through it (Singhal et al. 2023).

    It says how later layers read the block; see arXiv 2312.04709.
    """

    behaviour: ClassVar[str | None] = "compiler.estimators.guesses_from_network:Jacobian"
    varies: ClassVar[bool] = True
    type: Literal["jacobian"] = "jacobian"
