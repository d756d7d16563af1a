"""What the language can say and this compiler cannot do; no JAX, so that `check` is quick."""

import math
from collections.abc import Iterator

from compiler.layout import laid_out
from compiler.mesh import mesh_problems
from fgspec.diagnostics import Problem
from fgspec.spec.architecture import Chain, LocalMixer
from fgspec.spec.data import Byol
from fgspec.spec.dataset_info import DatasetInfo
from fgspec.spec.experiment import Experiment
from fgspec.spec.optimizer import WarmupCosine
from fgspec.spec.structure import divisors
from fgspec.yaml12 import Path


def refusals(experiment: Experiment) -> list[Problem]:
    """What of a resolved spec this version of the compiler does not support, one line each."""
    return mesh_problems(experiment)


def data_problems(experiment: Experiment, info: DatasetInfo) -> list[Problem]:
    """What of a spec does not fit its data set."""
    found = [*_batches(experiment, info), *_colours(experiment, info)]
    patches = list(_patches(experiment, info))
    return [*found, *patches, *([] if patches else _chain(experiment, info))]


def _colours(experiment: Experiment, info: DatasetInfo) -> Iterator[Problem]:
    """Changes of colour know grey images, and red, green and blue."""
    colours = info.image_shape[-1]
    if isinstance(experiment.data.augment, Byol) and colours not in (1, 3):
        message = f"byol changes images of 1 or 3 colours; those of {info.name} have {colours}"
        yield Problem(("data", "augment"), message, False)


def _chain(experiment: Experiment, info: DatasetInfo) -> list[Problem]:
    """The layers of a chain fit each other."""
    architecture = experiment.architecture
    return laid_out(architecture, info.image_shape)[1] if isinstance(architecture, Chain) else []


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


def _patches(experiment: Experiment, info: DatasetInfo) -> Iterator[Problem]:
    """Images fall into equal patches."""
    height, width, _ = info.image_shape
    common = math.gcd(height, width)
    architecture = experiment.architecture
    patches = architecture.patches if isinstance(architecture, LocalMixer | Chain) else None
    if patches is not None and common % patches:
        near = divisors(common, patches)
        message = f"must divide the {height}x{width} images of {info.name}; {near}"
        yield Problem(("architecture", "patches"), message)
