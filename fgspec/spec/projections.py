"""What becomes of the derivative along a guess: scales, coefficients, granularities, groupings."""

from collections.abc import Mapping
from typing import Any, ClassVar, Literal

from fgspec.spec.base import Resume
from fgspec.spec.kinds import Kind, table
from fgspec.spec.spaces import Space

SCALES = table("scale", "scales")
COEFFICIENTS = table("coefficient", "coefficients")
GRANULARITIES = table("granularity", "granularities")
GROUPINGS = table("grouping", "groupings")


class Scale(Kind):
    """What multiplies the product of derivative and guess.

    Attributes:
        joint: whether it is that of noise that moves all at once.
        of_unit_noise: whether it is that of noise of unit variance, and of no other guess.
        projects: whether it makes the product the projection on the guess.
        bias: what is estimated with it, if not the target.
    """

    table: ClassVar = SCALES
    on_resume: ClassVar = Resume.FORKS
    joint: ClassVar[bool] = False
    of_unit_noise: ClassVar[bool] = False
    projects: ClassVar[bool] = False
    bias: ClassVar[str] = ""

    def scale(self, group: Any, samples: int, kurtosis: float) -> Any:
        """The factor of one group, in the shape of its derivatives.

        Args:
            group: `compiler.estimators.projections.Group`.
            samples: K, that are averaged.
            kurtosis: of one number of the guess.
        """
        raise self.lacks("scale")


class NoScale(Scale):
    """No scale, that is 1. Unbiased for guesses of zero mean and unit variance."""

    behaviour: ClassVar[str | None] = "compiler.estimators.projections:NoScale"
    joint: ClassVar[bool] = True
    type: Literal["none"] = "none"


class SquaredNorm(Scale):
    """1/|G|^2, so that the estimate is the projection of the target on the guess G."""

    behaviour: ClassVar[str | None] = "compiler.estimators.projections:SquaredNorm"
    projects: ClassVar[bool] = True
    bias: ClassVar[str] = "estimates the projection of the target on the guess"
    type: Literal["squared_norm"] = "squared_norm"


class Dimension(Scale):
    """1/d, where d numbers share a coefficient. The mean is 1/d of the target."""

    behaviour: ClassVar[str | None] = "compiler.estimators.projections:Dimension"
    of_unit_noise: ClassVar[bool] = True
    bias: ClassVar[str] = "estimates 1/d of the target"
    type: Literal["dimension"] = "dimension"


class Optimal(Scale):
    """K/(K + d + kurtosis - 2): the scale of least mean squared error (arXiv 2310.14168).

    K samples are averaged, d numbers share a coefficient, and the kurtosis is that of one number of
    the guess: 3 for `normal`, 1 for `rademacher` and `sphere`. The estimate is biased: too short.
    """

    behaviour: ClassVar[str | None] = "compiler.estimators.projections:Optimal"
    of_unit_noise: ClassVar[bool] = True
    bias: ClassVar[str] = "estimates the target times the scale of least mean squared error"
    type: Literal["optimal"] = "optimal"


class Coefficient(Kind):
    """What stands for the derivative along a guess.

    Attributes:
        control: what it is instead of the derivative, if it is a control.
    """

    table: ClassVar = COEFFICIENTS
    on_resume: ClassVar = Resume.FORKS
    control: ClassVar[str] = ""

    def coefficient(self, along: Any, coin: Any) -> Any:
        """The coefficient, from the derivative and a random sign of the same shape."""
        raise self.lacks("coefficient")


class Raw(Coefficient):
    """The derivative along the guess, as it is."""

    type: Literal["raw"] = "raw"

    def coefficient(self, along: Any, coin: Any) -> Any:
        """The derivative."""
        return along


class Sign(Coefficient):
    """The sign of the derivative: a control that drops its size."""

    behaviour: ClassVar[str | None] = "compiler.estimators.projections:Sign"
    control: ClassVar[str] = "a sign"
    type: Literal["sign"] = "sign"


class Coin(Coefficient):
    """A random sign in place of the derivative: a control that learns nothing from the loss."""

    control: ClassVar[str] = "a coin"
    type: Literal["coin"] = "coin"

    def coefficient(self, along: Any, coin: Any) -> Any:
        """The random sign."""
        return coin


class Granularity(Kind):
    """Who has a derivative of its own.

    Attributes:
        whole: whether the batch has one derivative.
        spans: whether targets are projected on the span of the guesses of all examples.
    """

    table: ClassVar = GRANULARITIES
    on_resume: ClassVar = Resume.FORKS
    whole: ClassVar[bool] = False
    spans: ClassVar[bool] = False

    def joint(self, space: Space) -> bool:
        """Whether it is that of noise in a space that moves all at once."""
        return False


class PerExample(Granularity):
    """Every example has a derivative of its own, along its own guess."""

    type: Literal["example"] = "example"

    def joint(self, space: Space) -> bool:
        """Where every example has noise of its own."""
        return space.rows > 0


class PerBatch(Granularity):
    """The whole batch has one derivative."""

    whole: ClassVar[bool] = True
    type: Literal["batch"] = "batch"

    def joint(self, space: Space) -> bool:
        """On weights; those of single examples are summed over the batch."""
        return space.of_weights


class Span(Granularity):
    """Each example's target is projected on the span of the guesses of all examples."""

    spans: ClassVar[bool] = True
    type: Literal["span"] = "span"


class Grouping(Kind):
    """What shares one derivative.

    Attributes:
        joint: whether it is that of noise that moves all at once.
    """

    table: ClassVar = GROUPINGS
    on_resume: ClassVar = Resume.FORKS
    joint: ClassVar[bool] = False

    def title(self, name: str, chains: Mapping[str, str]) -> str:
        """The group of a perturbed array.

        Args:
            name: of the array, such as `block0/dense/w`.
            chains: the first block of those that gradients connect a block with, by block, where
                blocks are isolated; empty where all are connected.
        """
        raise self.lacks("title")


class ByTensor(Grouping):
    """Every tensor has one of its own: a weight, a bias, the activation of a layer."""

    type: Literal["tensor"] = "tensor"

    def title(self, name: str, chains: Mapping[str, str]) -> str:
        """The array itself."""
        return name


class ByBlock(Grouping):
    """Every block has one of its own."""

    type: Literal["block"] = "block"

    def title(self, name: str, chains: Mapping[str, str]) -> str:
        """The block."""
        return name.split("/")[0]


class ByNet(Grouping):
    """All blocks that gradients connect share one: the net, or a chain of isolated blocks."""

    joint: ClassVar[bool] = True
    type: Literal["net"] = "net"

    def title(self, name: str, chains: Mapping[str, str]) -> str:
        """The chain of blocks."""
        return chains.get(name.split("/")[0], "net")
