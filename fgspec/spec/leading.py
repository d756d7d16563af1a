"""Which metric of a run is selected by."""

from fgspec.spec.experiment import Experiment


def leading_metric(experiment: Experiment) -> tuple[str, bool]:
    """The metric that runs, and steps of a run, are selected by; whether less of it is better."""
    answer = experiment.losses.objective.answer()
    return f"eval/{answer.headline}", answer.lower_is_better


def stopping_metric(experiment: Experiment) -> tuple[str, bool]:
    """The metric that ends a run once it gets no better, and whether less of it is better."""
    leading, lower = leading_metric(experiment)
    stop = experiment.training.stop_early
    if stop is None or stop.metric == "leading":
        return leading, lower
    return f"{leading.split('/')[0]}/loss", True
