"""What the language can say and this compiler cannot do; no JAX, so that `check` is quick."""

import inspect
from collections.abc import Iterator

from fgspec.check.mesh import mesh_problems
from fgspec.problems.problems import Problem
from fgspec.spec.dataset_info import DatasetInfo, is_channels_first
from fgspec.spec.experiment import Experiment
from fgspec.spec.kinds import methods_in


def refusals(experiment: Experiment) -> list[Problem]:
    """What of a resolved spec this version of the compiler does not support, one line each."""
    return mesh_problems(experiment)


def not_installed(experiment: Experiment) -> list[Problem]:
    """Packages that trackers of a spec need and that are not there; only training needs them."""
    trackers = enumerate(experiment.training.trackers)
    return [
        problem
        for index, tracker in trackers
        for problem in tracker.missing(("training", "trackers", index))
    ]


def data_problems(experiment: Experiment, info: DatasetInfo) -> list[Problem]:
    """What of a spec does not fit its data set."""
    found = [*_axes(info), *_batches(experiment, info), *_phases(experiment, info)]
    found += [*_labels(experiment, info), *_methods(experiment, info)]
    return found or list(_normalizations(experiment, info))


def _axes(info: DatasetInfo) -> Iterator[Problem]:
    """Channels are the last axis of images."""
    if is_channels_first(info.image_shape):
        channels, rows, columns = info.image_shape
        message = (
            f"images of {info.name} seem to have their {channels} channels first "
            f"({rows}x{columns} pixels), but channels must be last; use numpy.moveaxis(images, 1, "
            f"-1), or, if they really are {channels} rows of {rows} pixels with {columns} "
            "channels, numpy.swapaxes(images, 1, 2)"
        )
        yield Problem(("data", "source"), message, shows=False)


def _normalizations(experiment: Experiment, info: DatasetInfo) -> Iterator[Problem]:
    """Whatever is normalized has more than one value."""
    batch = experiment.data.batch_size * experiment.losses.rows
    yield from experiment.architecture.single_values(info.image_shape, experiment.losses, batch)


def _methods(experiment: Experiment, info: DatasetInfo) -> Iterator[Problem]:
    """What each method of the spec says of the data set."""
    sections = {name: getattr(experiment, name) for name in Experiment.model_fields}
    for at, method in methods_in(experiment):
        names = inspect.signature(method.data_problems).parameters.keys() - {"at", "info"}
        yield from method.data_problems(at, info, **{name: sections[name] for name in names})


def _labels(experiment: Experiment, info: DatasetInfo) -> Iterator[Problem]:
    """Some training examples have a label, and all of them where a method reads every label."""
    missing, total = info.unlabelled, info.train_examples
    if missing and missing >= total and experiment.losses.answering.needs_labels:
        message = f"no training example of {info.name} has a label, so no classifier can learn"
        yield Problem(("data", "source"), f"{message}; add labelled examples", shows=False)
        return
    for at, method in methods_in(experiment) if missing else ():
        # An objective of the classifier alone leaves out the examples that have no label.
        if method.needs_labels and not experiment.losses.only_answers(at):
            message = (
                f"{method} reads the label of every training example, but {missing:,} of the "
                f"{total:,} of {info.name} have none; leave them out of data.source, or use "
                f"another {method.table.what}, which reads no labels"
            )
            yield Problem((*at, "type"), message, others=(("data", "source", "type"),), shows=False)


def _phases(experiment: Experiment, info: DatasetInfo) -> Iterator[Problem]:
    """The phases leave some updates to the spec's own gradient."""
    per_epoch, training = info.train_examples // experiment.data.batch_size, experiment.training
    updates = training.steps or (training.epochs or 0) * per_epoch
    lasting = sum(phase.length(per_epoch) for phase in experiment.phases)
    if experiment.phases and lasting >= updates > 0:
        message = (
            f"the phases last {lasting} updates ({per_epoch} in an epoch), but must leave some of "
            f"the run's {updates} to the spec's own gradient; make them shorter"
        )
        yield Problem(("phases",), message, False)


def _batches(experiment: Experiment, info: DatasetInfo) -> Iterator[Problem]:
    """Some training examples are left, and a batch is at most an epoch."""
    if info.train_examples < 1:
        all_of_them = info.train_examples + info.valid_examples
        message = f"leaves none of the {all_of_them} training examples of {info.name}"
        yield Problem(("data", "validation", "examples"), f"{message}; give fewer")
    elif experiment.data.batch_size > info.train_examples:
        message = f"must be at most the {info.train_examples} training examples of {info.name}"
        yield Problem(("data", "batch_size"), message)
