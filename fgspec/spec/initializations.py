"""Initializations: how parameters begin; one class each."""

from typing import Annotated, Any, ClassVar, Literal

from fgspec.spec.base import Resume
from fgspec.spec.kinds import Kind, OneOf, table

INITIALIZATIONS = table("initialization", "initializations")


class Initialization(Kind):
    """How the parameters of a network begin; scales begin at one, shifts at zero.

    Attributes:
        bias: every bias.
        draws_classifier: whether the classifier is drawn like all other weights; if not it is zero.
    """

    table: ClassVar = INITIALIZATIONS
    on_resume: ClassVar = Resume.FIXED
    bias: ClassVar[float] = 0.0
    draws_classifier: ClassVar[bool] = False

    def deviation(self, fan_in: int) -> float:
        """The standard deviation of a weight that sums over `fan_in` numbers; its mean is zero."""
        raise self.lacks("deviation")

    def weight(self, key: Any, shape: tuple[int, ...], fan_in: int) -> Any:
        """Initial weights, float32 of the given shape, drawn with a JAX key."""
        raise self.lacks("weight")


class Kaiming(Initialization):
    """Normal, of standard deviation min(2/sqrt(fan_in), 0.1) (code of Ren et al. 2022).

    Biases and the classifier are zero. The fan-in is how many numbers an output sums over.
    """

    behaviour: ClassVar[str | None] = "compiler.network.initializations:Kaiming"
    type: Literal["kaiming"] = "kaiming"

    def deviation(self, fan_in: int) -> float:
        """At most 0.1."""
        return min(2 / fan_in**0.5, 0.1)


class Lecun(Initialization):
    """Normal, of standard deviation min(1/sqrt(fan_in), 0.1) (code of Ren et al. 2022).

    Biases and the classifier are zero.
    """

    behaviour: ClassVar[str | None] = "compiler.network.initializations:Lecun"
    type: Literal["lecun"] = "lecun"

    def deviation(self, fan_in: int) -> float:
        """At most 0.1."""
        return min(1 / fan_in**0.5, 0.1)


class Normal(Initialization):
    """Normal, of standard deviation 0.1 (code of Ren et al. 2022).

    Biases and the classifier are zero.
    """

    behaviour: ClassVar[str | None] = "compiler.network.initializations:Normal"
    type: Literal["normal"] = "normal"

    def deviation(self, fan_in: int) -> float:
        """Whatever the fan-in."""
        return 0.1


class KaimingUniform(Initialization):
    """Uniform between -sqrt(6/fan_in) and sqrt(6/fan_in) (Fournier et al. 2023).

    All biases are 0.01. The classifier is drawn too.
    """

    behaviour: ClassVar[str | None] = "compiler.network.initializations:KaimingUniform"
    bias: ClassVar[float] = 0.01
    draws_classifier: ClassVar[bool] = True
    type: Literal["kaiming_uniform"] = "kaiming_uniform"

    def deviation(self, fan_in: int) -> float:
        """Of the uniform distribution: its bound divided by sqrt(3)."""
        return (2 / fan_in) ** 0.5


AnyInitialization = Annotated[Initialization, OneOf(INITIALIZATIONS, named=True)]
