"""What objectives have in common whose answer is the class of the largest output."""

from collections.abc import Mapping
from typing import Any

import jax
from jaxtyping import Array, Bool, Float, Int


class LargestOutput:
    """The answer is the class of the largest output; it is wrong (`error`) or right."""

    def quantities(
        self, outputs: Float[Array, "n k"], targets: Int[Array, " n"]
    ) -> Mapping[Any, tuple[Array, str]]:
        """The outputs, and classes as one-hot vectors."""
        return {"o": (outputs, "nc"), "t": (jax.nn.one_hot(targets, outputs.shape[-1]), "nc")}

    def metrics(
        self, outputs: Float[Array, "n k"], targets: Int[Array, " n"]
    ) -> dict[str, Bool[Array, " n"]]:
        """Whether the answer is wrong (`error`) or right (`accuracy`), for each row."""
        right = self.predict(outputs) == targets
        return {"error": ~right, "accuracy": right}

    def predict(self, outputs: Float[Array, "n k"]) -> Int[Array, " n"]:
        """The class of the largest output, the first of equals."""
        return outputs.argmax(-1)
