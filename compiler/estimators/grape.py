"""Gradient-aligned projected error (Caillon, Fagnou, Delattre and Allauzen, ICLR 2026)."""

from collections.abc import Mapping
from typing import Any

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float

from compiler.estimators.context import Context, Estimate
from compiler.estimators.direct_feedback import jacobian_samples, sent_to_layers
from compiler.named_arrays.precision import inner
from compiler.plan.plan import Plan
from fgspec.spec import grape
from fgspec.spec.shapes import ParamSpec

Matrix = Float[Array, "k p g c"]


class Grape(grape.Grape):
    """Direct feedback through matrices that turn towards samples of the layers' Jacobians.

    The samples are those of Bacho and Chu 2022, see `jacobian_samples`: noise moves all layers at
    once, and the rank-one estimates of the examples are averaged. Only what becomes of the samples
    differs: a gradient step on 1 - cos(B, sample) in place of a moving average. The matrices are
    aligned first, and the error of the same update goes through the aligned ones (the paper's
    abstract of its contributions; its text was not at hand).
    """

    def backward_weights(self, plan: Plan) -> dict[str, ParamSpec]:
        """One matrix [k, p, g, c] for every layer, drawn like initial weights."""
        return plan.to_every_layer()

    def network_gradient(
        self, plan: Plan, params: Mapping[str, Any], x: Float[Array, "n p g c"], context: Context
    ) -> Estimate:
        """Every layer's gradient through the aligned matrices, and these matrices."""
        (segment,), block_params = plan.segments, params["blocks"]
        sampled = jacobian_samples(segment, block_params, x, context)
        aligned = jax.tree.map(self._aligned, context.feedback, sampled.jacobians)
        estimate = sent_to_layers(segment, block_params, sampled.trace, sampled.error, aligned)
        return Estimate({"blocks": estimate.grads}, estimate.trace, aligned)

    def _aligned(self, matrix: Matrix, sample: Matrix) -> Matrix:
        """B + eta grad cos(B, J), where grad cos = (J / |J| - cos(B, J) B / |B|) / |B|.

        A sample of zero, as under a classifier of zero, has no direction: the matrix stays.
        """
        length, towards = _length(matrix), sample / _length(sample)
        unit = matrix / length
        cosine = inner(unit.reshape(-1), towards.reshape(-1))
        return matrix + self.alignment_rate / length * (towards - cosine * unit)


def _length(matrix: Matrix) -> Float[Array, ""]:
    """The root of the sum of squares; 1 in place of 0, to divide by."""
    length = jnp.linalg.norm(matrix.reshape(-1))
    return jnp.where(length > 0, length, 1)
