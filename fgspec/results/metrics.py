"""How the values of metrics are written."""

SHARES = ("error", "accuracy", "local_accuracy")
"""Words in the names of metrics that are fractions, and are written in per cent."""


def is_share(metric: str) -> bool:
    """Whether a metric is written in per cent."""
    return any(word in SHARES for word in metric.split("/"))


def scale(metric: str) -> float:
    """The factor that converts values to the unit of `titled`."""
    return 100.0 if is_share(metric) else 1.0


def titled(metric: str) -> str:
    """The metric's name with its unit, if it has one, for an axis or a column."""
    return f"{metric} (%)" if is_share(metric) else metric


def written(metric: str, value: float) -> str:
    """A value in a sentence, such as 2.69 % or 0.1234."""
    return f"{number(metric, value)} %" if is_share(metric) else number(metric, value)


def number(metric: str, value: float | None, sign: str = "") -> str:
    """A value in the unit of `titled`; empty if there is none.

    Args:
        metric: the name of the metric.
        value: the value as it was logged.
        sign: `+` also writes the sign of positive numbers.
    """
    if value is None:
        return ""
    return f"{value * scale(metric):{sign}.{2 if is_share(metric) else 4}f}"
