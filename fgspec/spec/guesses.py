"""Guesses: the direction of a perturbation, one class each."""

from typing import Annotated, Any, ClassVar, Literal

from pydantic import Field

from fgspec.formulas.notation import BLOCK, LAST, X, of_loss, one_over, pulled
from fgspec.formulas.tree import Expr, Index, MeanGradient, Plus, Product, Symbol
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
        says: what it is, in a sentence.
        heads_learn: whether these are the losses of heads that are trained.
        of_target: the `type` of the target whose gradient the guess itself is; empty if of none.
        varies: whether it is another one at every draw.
        isotropic: whether its numbers are independent and normal.
        stored: what of it is kept until its derivative is known, if not the numbers.
        kurtosis: such that E|<g, u> u|^2 = (d + kurtosis - 1) |g|^2 for d numbers; the fourth
            moment of one number where they are independent. Only drawn guesses have one; if it
            differs between arrays, this is that of vectors, see `kurtosis_of`.
    """

    table: ClassVar = GUESSES
    on_resume: ClassVar = Resume.FORKS
    made: ClassVar[bool] = False
    predicts: ClassVar[bool] = False
    reads_heads: ClassVar[bool] = False
    heads_learn: ClassVar[bool] = False
    of_target: ClassVar[str] = ""
    varies: ClassVar[bool] = True
    isotropic: ClassVar[bool] = False
    stored: ClassVar[str] = ""
    kurtosis: ClassVar[float] = 3.0
    set: Annotated[SampleSet, OneOf(SAMPLE_SETS, named=True)] = Field(
        default=Independent(),
        description="How the K samples of one update relate to each other; K is "
        "`gradient.perturbation.samples`. Only drawn guesses read it.",
    )

    def kurtosis_of(self, shape: tuple[int, ...]) -> float:
        """Its kurtosis at an array of this shape; the same for all by default."""
        return self.kurtosis

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

    says: ClassVar[str] = ""

    def variance(self) -> str:
        """That of an estimate along it for one batch, in a sentence, where it is made."""
        if self.varies:
            return "It varies with the random numbers that the guess is made of."
        return "It has no variance: for one batch it is always the same."

    def variance_of(self, dimension: int, samples: int) -> str:
        """That of an estimate along it for one batch, in sentences, where it is drawn.

        Args:
            dimension: the most numbers that share one derivative; 0 if they are told elsewhere.
            samples: K.
        """
        more = self.kurtosis - 2
        factor = f"D {'+' if more > 0 else '-'} {abs(more):g}"
        text = f"At what is perturbed, one sample has the variance ({factor}) |t|²; t is the "
        text += "gradient by the D numbers that share one derivative."
        if dimension:
            text += f" Here D is at most {dimension:,}."
        return f"{text} {self.set.variance(samples)}".strip()

    def gradient(self, array: Symbol, rows: int) -> Expr:
        """What it is in formulas, where it is made from the network.

        Args:
            array: that the guess is for.
            rows: of a batch.
        """
        raise self.lacks("gradient")


class _Made(Guess):
    """A gradient of other losses at the same places."""

    made: ClassVar[bool] = True
    varies: ClassVar[bool] = False


class Normal(Guess):
    """Independent normal numbers of zero mean and unit variance (Baydin et al. 2022)."""

    behaviour: ClassVar[str | None] = "compiler.estimators.guesses:Normal"
    isotropic: ClassVar[bool] = True
    says: ClassVar[str] = "Independent normal numbers of mean 0 and variance 1."
    type: Literal["normal"] = "normal"


class Rademacher(Guess):
    """Independent random signs, 1 or -1. They vary a little less than normal numbers."""

    behaviour: ClassVar[str | None] = "compiler.estimators.guesses:Rademacher"
    kurtosis: ClassVar[float] = 1.0
    stored: ClassVar[str] = "one random bit per sign"
    says: ClassVar[str] = "Independent random signs, +1 or -1."
    type: Literal["rademacher"] = "rademacher"


class Sphere(Guess):
    """A uniformly random point of the sphere of radius sqrt(d), so every guess is equally long.

    The d numbers of one example's activation are one point; on weights, those of one tensor.
    """

    behaviour: ClassVar[str | None] = "compiler.estimators.guesses:Sphere"
    kurtosis: ClassVar[float] = 1.0
    says: ClassVar[str] = "A random direction of fixed length, the root of its dimension."
    type: Literal["sphere"] = "sphere"


class LocalGuess(_Made):
    """The gradient of the block's local loss, whose head is trained (Fournier et al. 2023)."""

    behaviour: ClassVar[str | None] = "compiler.estimators.guesses_from_network:LocalGuess"
    predicts: ClassVar[bool] = True
    reads_heads: ClassVar[bool] = True
    heads_learn: ClassVar[bool] = True
    of_target: ClassVar[str] = "local"
    says: ClassVar[str] = "The gradient of the block's own local loss."
    type: Literal["local"] = "local"

    def gradient(self, array: Symbol, rows: int) -> Expr:
        """Of the own local loss."""
        return of_loss(BLOCK, array)


class Ntk(_Made):
    """The gradient of the local loss under an untrained head, drawn anew in every update.

    NTK in Fournier et al. 2023.
    """

    behaviour: ClassVar[str | None] = "compiler.estimators.guesses_from_network:Ntk"
    predicts: ClassVar[bool] = True
    reads_heads: ClassVar[bool] = True
    varies: ClassVar[bool] = True
    says: ClassVar[str] = (
        "The gradient of the block's local loss under a random head, drawn anew at every step."
    )
    type: Literal["ntk"] = "ntk"

    def gradient(self, array: Symbol, rows: int) -> Expr:
        """Of the local loss under another head."""
        return MeanGradient(Symbol("ntk loss", r"\tilde\ell", "ℓ̃", (BLOCK,), ("n",)), array)


class FixedNtk(_Made):
    """The gradient of the local loss under the head as it was initialised, never trained.

    Fixed NTK in Fournier et al. 2023.
    """

    behaviour: ClassVar[str | None] = "compiler.estimators.guesses_from_network:FixedNtk"
    predicts: ClassVar[bool] = True
    reads_heads: ClassVar[bool] = True
    says: ClassVar[str] = (
        "The gradient of the block's local loss under its head as it was initialised."
    )
    type: Literal["fixed_ntk"] = "fixed_ntk"

    def gradient(self, array: Symbol, rows: int) -> Expr:
        """Of the local loss under another head."""
        own = Symbol("fixed ntk loss", r"\ell^{\,0}", "ℓ⁰", (BLOCK,), ("n",))
        return MeanGradient(own, array)


class GlobalGuess(_Made):
    """The gradient of the final loss: a control, as it is the global target itself."""

    behaviour: ClassVar[str | None] = "compiler.estimators.guesses_from_network:GlobalGuess"
    of_target: ClassVar[str] = "global"
    says: ClassVar[str] = "The gradient of the final loss."
    type: Literal["global"] = "global"

    def gradient(self, array: Symbol, rows: int) -> Expr:
        """Of the final loss."""
        return of_loss(LAST, array)


class AboveGuess(_Made):
    """The gradient of the block's own and the next block's local loss: a control."""

    behaviour: ClassVar[str | None] = "compiler.estimators.guesses_from_network:AboveGuess"
    reads_heads: ClassVar[bool] = True
    heads_learn: ClassVar[bool] = True
    of_target: ClassVar[str] = "above"
    says: ClassVar[str] = "The gradient of the block's own and the next block's local loss."
    type: Literal["above"] = "above"

    def gradient(self, array: Symbol, rows: int) -> Expr:
        """Of two local losses."""
        return Plus(((1, of_loss(BLOCK, array)), (1, of_loss(Index("b", 1), array))))


class Jacobian(_Made):
    """A random direction at the next block's output, pulled back through it (Singhal et al. 2023).

    It says how later layers read the block; see arXiv 2312.04709.
    """

    behaviour: ClassVar[str | None] = "compiler.estimators.guesses_from_network:Jacobian"
    varies: ClassVar[bool] = True
    says: ClassVar[str] = (
        "A random direction r at the next block's output, pulled back through that block."
    )
    type: Literal["jacobian"] = "jacobian"

    def gradient(self, array: Symbol, rows: int) -> Expr:
        """A random direction, pulled back."""
        after = (Index("i", 1),)
        output = Symbol(X.key, X.latex, X.text, after)
        direction = Symbol("direction", "r", "r", after)
        return Product((one_over(rows, "N"), pulled(output, array, direction)))
