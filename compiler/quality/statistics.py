"""Bias, variance and worth of an estimate of a gradient, from rounds of draws."""

from typing import Any, NamedTuple

import numpy as np


class Quality(NamedTuple):
    """What an estimate g is worth against its target t, all relative to |t|.

    Attributes:
        along: E<g, t> / |t|^2; 1 if there is no bias.
        along_error: its standard error.
        bias: |E g - t| / |t|; the squared bias is estimated without bias and cut at zero.
        bias_error: its standard error, or what the bias stays below if `unbiased`.
        bias_z: the squared bias in standard errors of its estimate.
        unbiased: whether that is at most three.
        variance: E|g - E g|^2 / |t|^2.
        cosine: mean cosine of g with t.
        error: E|g - t|^2 / |t|^2.
        progress: <E g, t>^2 / (|t|^2 E|g|^2): of the decrease of the loss by an exact gradient
            step, what a step along g brings where curvature is isotropic and the learning rate
            the best for each.
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
    """From the moments of several rounds of draws.

    Args:
        means: of the estimate in every round, [rounds, d].
        variances: total variance in every round, [rounds], each of as many draws.
        cosine: mean cosine with the target.
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
    """|E off|^2 from products of different rounds, which noise does not add to, and its error.

    The standard error is the jackknife's over rounds; `off` is [rounds, d].
    """
    count, gram = len(errors), errors @ errors.T
    across = gram.sum(1) - gram.diagonal()
    total = across.sum()
    without = (total - 2 * across) / ((count - 1) * (count - 2))
    spread = ((count - 1) / count * np.square(without - without.mean()).sum()) ** 0.5
    return float(total / (count * (count - 1))), float(spread)
