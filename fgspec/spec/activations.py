"""Activations: what follows the linear map of a layer, element by element; one class each."""

from typing import Annotated, Any, ClassVar, Literal

from pydantic import Field

from fgspec.spec.base import Resume
from fgspec.spec.kinds import Kind, OneOf, table

ACTIVATIONS = table("activation", "activations")


class Activation(Kind):
    """A function of every element by itself, with its derivative.

    Attributes:
        binary: whether the derivative is 0 or 1 everywhere. It is then kept as booleans, and
            estimates at units whose derivative is 0 are set to exactly 0.
    """

    table: ClassVar = ACTIVATIONS
    on_resume: ClassVar = Resume.FIXED
    binary: ClassVar[bool] = False

    def apply(self, z: Any) -> tuple[Any, Any]:
        """The output and the derivative at pre-activations `z`, each of the shape of `z`.

        The derivative is boolean if `binary`, else of the type of `z`. It must be the one that JAX
        finds by differentiating the output.
        """
        raise self.lacks("apply")


class Relu(Activation):
    """max(z, 0). The derivative at 0 is 0."""

    behaviour: ClassVar[str | None] = "compiler.network.activations:Relu"
    binary: ClassVar[bool] = True
    type: Literal["relu"] = "relu"


class NoActivation(Activation):
    """No activation: z itself."""

    behaviour: ClassVar[str | None] = "compiler.network.activations:NoActivation"
    binary: ClassVar[bool] = True
    type: Literal["none"] = "none"


class Gelu(Activation):
    """z Phi(z), where Phi is the normal distribution function; exact (erf), not approximated."""

    behaviour: ClassVar[str | None] = "compiler.network.activations:Gelu"
    type: Literal["gelu"] = "gelu"


class Silu(Activation):
    """z times the logistic function of z, also called swish."""

    behaviour: ClassVar[str | None] = "compiler.network.activations:Silu"
    type: Literal["silu"] = "silu"


class Tanh(Activation):
    """The hyperbolic tangent of z."""

    behaviour: ClassVar[str | None] = "compiler.network.activations:Tanh"
    type: Literal["tanh"] = "tanh"


class LeakyRelu(Activation):
    """z where z is positive, else `slope` times z. The derivative at 0 is the slope."""

    behaviour: ClassVar[str | None] = "compiler.network.activations:LeakyRelu"
    type: Literal["leaky_relu"] = "leaky_relu"
    slope: Annotated[float, Field(ge=0, lt=1)] = Field(
        default=0.01, description="The derivative where z is negative.", examples=[0.1]
    )


AnyActivation = Annotated[Activation, OneOf(ACTIVATIONS, named=True)]
