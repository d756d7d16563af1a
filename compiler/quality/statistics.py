"""Bias, variance and usefulness of a gradient estimate, from rounds of draws."""

from typing import Any, NamedTuple

import numpy as np


class Quality(NamedTuple):
    """How an estimate g compares with its target t; all is relative to |t|.

    Attributes:
        along: E<g, t> / |t|^2; 1 for an unbiased estimate.
        along_error: the standard error of `along`.
        bias: |E g - t| / |t|; the root of an unbiased estimate of its square, cut off at zero.
        bias_error: the standard error of `bias`; if `unbiased`, an upper bound of the bias.
        bias_z: the squared bias divided by its standard error.
        unbiased: whether `bias_z` is at most three.
        variance: E|g - E g|^2 / |t|^2.
        cosine: the mean cosine between g and t.
        error: E|g - t|^2 / |t|^2.
        progress: <E g, t>^2 / (|t|^2 E|g|^2): the decrease of the loss by a step along g, as a
            share of that by a step along t, for isotropic curvature and the best learning rate of
            each.
    """

    along: float
    along_error: float
    bias: float
    bias_error: float
    bias_z: float
    unbiased: bool
    variance: float
    cosine: float
    error: float
    progress: float


def quality(means: Any, variances: Any, cosine: float, target: Any) -> Quality:
    """The quality of an estimate, from its moments in several rounds of draws.

    Args:
        means: the mean of the estimate in every round, [rounds, d].
        variances: the total variance in every round, [rounds]; all rounds have as many draws.
        cosine: the mean cosine with the target.
        target: the exact gradient, [d].
    """
    size, off = float(target @ target), means.astype(np.float64) - target
    slopes = 1 + off @ target / size
    squared, spread = _squared_bias(off)
    bias = max(squared, 0.0) ** 0.5
    unbiased = squared <= 3 * spread
    bound = (max(squared, 0.0) + 3 * spread) ** 0.5
    variance = float(variances.mean()) / size
    # The mean of |g - t|^2 over many draws: their variance and the squared bias.
    error = variance + max(squared, 0.0) / size
    along, sure = float(slopes.mean()), float(slopes.var(ddof=1)) / len(slopes)
    power = max(error + 2 * along - 1, 1e-12)
    return Quality(
        along=along,
        along_error=sure**0.5,
        bias=bias / size**0.5,
        bias_z=squared / max(spread, 1e-300),
        bias_error=(bound if unbiased else spread / (2 * bias)) / size**0.5,
        unbiased=unbiased,
        variance=variance,
        cosine=cosine,
        error=error,
        progress=max(along**2 - sure, 0.0) / power,
    )


def _squared_bias(errors: np.ndarray) -> tuple[float, float]:
    """An unbiased estimate of |E errors|^2, and its standard error by the jackknife over rounds.

    It uses only products of different rounds, whose noise is independent.

    Args:
        errors: the mean estimate minus the target in every round, [rounds, d].
    """
    count, gram = len(errors), errors @ errors.T
    across = gram.sum(1) - gram.diagonal()
    total = across.sum()
    without = (total - 2 * across) / ((count - 1) * (count - 2))
    spread = ((count - 1) / count * np.square(without - without.mean()).sum()) ** 0.5
    return float(total / (count * (count - 1))), float(spread)
