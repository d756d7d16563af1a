"""What the language can say and this compiler cannot do; no JAX, so that `check` is quick."""

from collections.abc import Iterator

from compiler.mesh import mesh_problems
from fgspec.diagnostics import Problem
from fgspec.spec.architectures import AT
from fgspec.spec.data import Byol
from fgspec.spec.dataset_info import DatasetInfo
from fgspec.spec.experiment import Experiment
from fgspec.spec.optimizer import WarmupCosine
from fgspec.yaml12 import Path


def refusals(experiment: Experiment) -> list[Problem]:
    """What of a resolved spec this version of the compiler does not support, one line each."""
    return mesh_problems(experiment)


def data_problems(experiment: Experiment, info: DatasetInfo) -> list[Problem]:
    """What of a spec does not fit its data set."""
    found = [*_batches(experiment, info), *_colours(experiment, info)]
    return [*found, *experiment.architecture.data_problems(info, AT)]


def _colours(experiment: Experiment, info: DatasetInfo) -> Iterator[Problem]:
    """Changes of colour know grey images, and red, green and blue."""
    colours = info.image_shape[-1]
    if isinstance(experiment.data.augment, Byol) and colours not in (1, 3):
        message = f"byol changes images of 1 or 3 colours; those of {info.name} have {colours}"
        yield Problem(("data", "augment"), message, False)


def _batches(experiment: Experiment, info: DatasetInfo) -> Iterator[Problem]:
    """A batch is at most an epoch, and a warm-up ends before the run does."""
    batch, schedule = experiment.data.batch_size, experiment.optimizer.schedule
    if batch > info.train_examples:
        message = f"must be at most the {info.train_examples} training examples of {info.name}"
        yield Problem(("data", "batch_size"), message)
        return
    per_epoch, steps = info.train_examples // batch, experiment.training.steps
    if not isinstance(schedule, WarmupCosine) or steps is None:
        return
    if schedule.warmup_epochs * per_epoch >= steps:
        message = f"must end before the run does; an epoch has {per_epoch} updates"
        path: Path = ("optimizer", "schedule", "warmup_epochs")
        yield Problem(path, message, others=(("training", "steps"),))
