"""Which metric ends a run early."""

from fgspec.spec.experiment import Experiment
from fgspec.spec.metrics import leading, selecting


def stopping_metric(experiment: Experiment) -> tuple[str, bool]:
    """The metric that ends a run once it gets no better, and whether less of it is better."""
    stop = experiment.training.stop_early
    if stop is None or stop.metric == "leading":
        return leading(experiment.data, experiment.losses)
    return f"{selecting(experiment.data)}/loss", True
