"""Which metric of a run is selected by."""

from fgspec.spec.experiment import Experiment
from fgspec.spec.metrics import leading, selecting


def leading_metric(experiment: Experiment) -> tuple[str, bool]:
    """The metric that runs, and steps of a run, are selected by; whether less of it is better."""
    return leading(experiment.data, experiment.losses)


def stopping_metric(experiment: Experiment) -> tuple[str, bool]:
    """The metric that ends a run once it gets no better, and whether less of it is better."""
    stop = experiment.training.stop_early
    if stop is None or stop.metric == "leading":
        return leading_metric(experiment)
    return f"{selecting(experiment.data)}/loss", True
