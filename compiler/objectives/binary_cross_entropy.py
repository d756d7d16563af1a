"""Binary cross entropy of the sigmoid of outputs with labels of 0 and 1."""

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, Int, Shaped

from compiler.objectives.largest_output import LargestOutput
from fgspec.spec import binary_cross_entropy


class BinaryCrossEntropy(LargestOutput, binary_cross_entropy.BinaryCrossEntropy):
    """Binary cross entropy of one-hot classes."""

    def value(
        self,
        outputs: Float[Array, "n k"],
        targets: Int[Array, " n"],
        others: Float[Array, "n k"] | None = None,
    ) -> Float[Array, " n"]:
        """The sum over classes; `others` is not used, as no row depends on another."""
        return _summed(outputs, jax.nn.one_hot(targets, outputs.shape[-1], dtype=outputs.dtype))


class ManyBinaryCrossEntropy(binary_cross_entropy.ManyBinaryCrossEntropy):
    """Binary cross entropy of several labels."""

    def value(
        self,
        outputs: Float[Array, "n k"],
        targets: Int[Array, "n k"],
        others: Float[Array, "n k"] | None = None,
    ) -> Float[Array, " n"]:
        """The sum over labels; `others` is not used, as no row depends on another."""
        return _summed(outputs, targets.astype(outputs.dtype))

    def metrics(
        self, outputs: Float[Array, "n k"], targets: Int[Array, "n k"]
    ) -> dict[str, Shaped[Array, " n"]]:
        """The share of wrong labels, and whether all of them are right."""
        wrong = self.predict(outputs) != targets
        return {
            "label_error": wrong.astype(outputs.dtype).mean(-1),
            "exact_match": ~wrong.any(-1),
        }

    def predict(self, outputs: Float[Array, "n k"]) -> Int[Array, "n k"]:
        """1 where a label is more likely than not."""
        return (outputs > 0).astype(jnp.int32)

    def probabilities(self, outputs: Float[Array, "n k"]) -> Float[Array, "n k"]:
        """The sigmoid of the outputs."""
        return jax.nn.sigmoid(outputs)


def _summed(outputs: Float[Array, "n k"], wanted: Float[Array, "n k"]) -> Float[Array, " n"]:
    # -y log s(o) - (1 - y) log(1 - s(o)), which is the same, without the overflow of exp.
    return (jax.nn.softplus(outputs) - wanted * outputs).sum(-1)
