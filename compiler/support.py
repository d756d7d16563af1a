"""What the language can say and this compiler cannot do; no JAX, so that `check` is quick.

Each row names a field, the values that compile, and what to say of the others. Removing a row is
the last act of supporting something.
"""

from collections.abc import Callable, Iterator
from typing import Any, NamedTuple

from fgspec.data.describe import DatasetInfo
from fgspec.diagnostics import MISSING, Problem, lookup
from fgspec.spec.architecture import LocalMixer
from fgspec.spec.experiment import Experiment
from fgspec.yaml12 import Path


class _Row(NamedTuple):
    path: Path
    compiles: Callable[[Any], bool]
    use: str


def _one_of(*values: Any) -> Callable[[Any], bool]:
    return lambda value: value in values


_PERTURBATION: Path = ("gradient", "perturbation")

_ROWS: tuple[_Row, ...] = (
    _Row(("data", "augment"), _one_of("none"), "none"),
    _Row(("architecture", "token_mixing"), _one_of("dense"), "dense"),
    _Row(("losses", "objective", "type"), _one_of("cross_entropy"), "cross_entropy"),
    _Row(("losses", "local", "overlap"), _one_of(False), "false"),
    _Row(("losses", "local", "aggregation"), _one_of("replicated"), "replicated"),
    _Row(("losses", "local", "head", "type"), _one_of("linear"), "linear"),
    _Row(("losses", "isolate"), _one_of("none", "block"), "none or block"),
    _Row(("gradient", "target"), _one_of("global", "local", "sum"), "global, local or sum"),
    _Row(("gradient", "estimator", "type"), _one_of("exact", "forward"), "exact or forward"),
    _Row((*_PERTURBATION, "space"), _one_of("weight", "activation"), "weight or activation"),
    _Row(
        (*_PERTURBATION, "guess", "type"),
        _one_of("normal", "rademacher"),
        "normal or rademacher",
    ),
    _Row((*_PERTURBATION, "guess", "set"), _one_of("independent"), "independent"),
    _Row((*_PERTURBATION, "sharing"), _one_of("example", "batch"), "example or batch"),
    _Row((*_PERTURBATION, "projection", "type"), _one_of("none"), "none"),
    _Row(("mesh", "data"), _one_of(1), "1"),
    _Row(("mesh", "group"), _one_of(1), "1"),
    _Row(("mesh", "stage"), _one_of(1), "1"),
    _Row(("compile", "blocks"), _one_of("auto", "unrolled"), "auto or unrolled"),
    _Row(("compile", "precision"), _one_of("float32"), "float32"),
    _Row(("compile", "steps_per_call"), _one_of("auto", 1), "auto or 1"),
)


def refusals(experiment: Experiment) -> list[Problem]:
    """What of a resolved spec this version of the compiler does not support, one line each."""
    values = experiment.model_dump(mode="json")
    found = [
        Problem(row.path, f"not supported by this version; use {row.use}")
        for row in _ROWS
        if (value := lookup(values, row.path)) is not MISSING and not row.compiles(value)
    ]
    return [*found, *_downstream(experiment)]


def _downstream(experiment: Experiment) -> Iterator[Problem]:
    """A forward estimator has one loss per chain of blocks."""
    if experiment.gradient.estimator.type == "forward" and experiment.gradient.target == "sum":
        message = "not supported by this version under a forward estimator; use global or local"
        yield Problem(("gradient", "target"), message)


def data_problems(experiment: Experiment, info: DatasetInfo) -> list[Problem]:
    """What of a spec does not fit its data set."""
    problems = []
    batch = experiment.data.batch_size
    if batch > info.train_examples:
        message = f"must be at most the {info.train_examples} training examples of {info.name}"
        problems.append(Problem(("data", "batch_size"), message))
    if isinstance(experiment.architecture, LocalMixer):
        patches, (height, width, _) = experiment.architecture.patches, info.image_shape
        if height % patches or width % patches:
            legal = [p for p in range(1, height + 1) if height % p == 0 and width % p == 0]
            message = (
                f"must divide the {height}x{width} images of {info.name}; "
                f"one of {', '.join(map(str, legal))}"
            )
            problems.append(Problem(("architecture", "patches"), message))
    return problems
