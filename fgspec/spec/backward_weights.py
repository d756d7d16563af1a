"""The weights that errors travel backward through under feedback alignment, one class each."""

from typing import Any, ClassVar, Literal

from fgspec.spec.base import Resume
from fgspec.spec.kinds import Kind, table

BACKWARD_WEIGHTS = table("backward weights", "backward_weights")


class BackwardWeights(Kind):
    """What stands for a forward weight on the way back."""

    table: ClassVar = BACKWARD_WEIGHTS
    on_resume: ClassVar = Resume.FIXED

    def matched(self, drawn: Any, forward: Any) -> Any:
        """The backward weight, in the shape of the forward one.

        Args:
            drawn: a fixed random weight, drawn like the initial forward one.
            forward: the forward weight of this step.
        """
        raise self.lacks("matched")


class Random(BackwardWeights):
    """Fixed random weights, drawn like initial weights (Lillicrap et al. 2016)."""

    type: Literal["random"] = "random"

    def matched(self, drawn: Any, forward: Any) -> Any:
        """As drawn."""
        return drawn


class SignSymmetric(BackwardWeights):
    """Fixed random magnitudes with the present signs of the forward weights (Liao et al. 2016)."""

    behaviour: ClassVar[str | None] = "compiler.estimators.backward_weights:SignSymmetric"
    type: Literal["sign_symmetric"] = "sign_symmetric"


class Signs(BackwardWeights):
    """The present signs of the forward weights, all of magnitude 1 (uSF of Liao et al. 2016)."""

    behaviour: ClassVar[str | None] = "compiler.estimators.backward_weights:Signs"
    type: Literal["signs"] = "signs"
