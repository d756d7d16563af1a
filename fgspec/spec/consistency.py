"""What must agree between the fields of a spec, one small check each.

A check names the sections it reads as its parameters and runs when all of them are valid.
`given` answers whether the user, a base spec, `--set` or the rule set a field.
"""

import inspect
from collections.abc import Callable, Iterator, Mapping
from typing import Any

from fgspec.diagnostics import Problem, nearest
from fgspec.spec.architecture import Architecture, LocalMixer, Mlp
from fgspec.spec.base import Interval
from fgspec.spec.data import Data
from fgspec.spec.gradient import Exact, Gradient
from fgspec.spec.losses import InfoNce, Losses
from fgspec.spec.optimizer import Optimizer, WarmupCosine
from fgspec.spec.run import Checkpoint, Compile, Expect, Training
from fgspec.yaml12 import Path

Given = Callable[[Path], bool]

METRICS = (
    "train/loss",
    "train/accuracy",
    "eval/loss",
    "eval/error",
    "eval/accuracy",
    "optim/grad_norm",
    "perf/step_time_s",
    "perf/examples_per_s",
    "data/wait_s",
)
"""The metrics every run has; local losses add `local_loss/<block>`."""

PERTURBING = ("forward", "finite_difference")


def duration(training: Training) -> Iterator[Problem]:
    """Epochs or steps, not both and not neither."""
    if (training.epochs is None) == (training.steps is None):
        path: Path = ("training",) if training.epochs is None else ("training", "steps")
        others = () if training.epochs is None else (("training", "epochs"),)
        yield Problem(path, "give either epochs or steps", training.steps is not None, others)


def intervals(training: Training, checkpoint: Checkpoint) -> Iterator[Problem]:
    """Every interval counts epochs or steps."""
    found: dict[Path, Interval] = {
        ("training", "evaluate_every"): training.evaluate_every,
        ("training", "log_every"): training.log_every,
        ("checkpoint", "every"): checkpoint.every,
    }
    for path, interval in found.items():
        if (interval.epochs is None) == (interval.steps is None):
            yield Problem(path, "give either epochs or steps, such as {epochs: 1}")


def groups(architecture: Architecture) -> Iterator[Problem]:
    """Channels fall into equal groups."""
    if isinstance(architecture, LocalMixer) and architecture.channels % architecture.groups:
        channels = architecture.channels
        legal = [g for g in range(1, channels + 1) if channels % g == 0]
        near = sorted(sorted(legal, key=lambda g: abs(g - architecture.groups))[:3])
        message = f"must divide channels; nearest: {', '.join(map(str, near))}"
        yield Problem(("architecture", "groups"), message, others=(("architecture", "channels"),))


def normalization(architecture: Architecture, given: Given) -> Iterator[Problem]:
    """A normalization that is not there has no options."""
    base: Path = ("architecture", "normalization")
    norm = architecture.normalization
    if norm.type == "none":
        for field in ("placement", "readout", "gradient"):
            if given((*base, field)):
                message = "never read without a normalization; remove it"
                yield Problem((*base, field), message, others=((*base, "type"),))
    elif not norm.placement and not norm.readout:
        yield Problem(base, "normalizes nothing; name a placement or say type: none", False)
    if len(set(norm.placement)) < len(norm.placement):
        yield Problem((*base, "placement"), "names a place twice")


def token_mixing(architecture: Architecture, given: Given) -> Iterator[Problem]:
    """The first block mixes no tokens."""
    if isinstance(architecture, LocalMixer) and architecture.blocks == 1:
        path: Path = ("architecture", "token_mixing")
        if given(path):
            message = "never read: the first block has no token mixing; remove it"
            yield Problem(path, message, others=(("architecture", "blocks"),))


def loss_sites(architecture: Architecture, losses: Losses) -> Iterator[Problem]:
    """Local losses close the last block."""
    blocks = len(architecture.hidden) if isinstance(architecture, Mlp) else architecture.blocks
    if losses.local is not None and blocks % losses.local.every:
        legal = [k for k in range(1, blocks + 1) if blocks % k == 0]
        message = (
            f"must divide the {blocks} blocks, or the last would have no loss; "
            f"one of {', '.join(map(str, legal))}"
        )
        yield Problem(("losses", "local", "every"), message)


def replication(
    architecture: Architecture, losses: Losses, gradient: Gradient, given: Given
) -> Iterator[Problem]:
    """Losses are replicated over axes that exist, where copies make a difference."""
    path: Path = ("losses", "local", "replicate")
    axes = losses.local.replicate if losses.local is not None else None
    if axes is None:
        return
    if gradient.estimator.type not in PERTURBING:
        if given(path):
            message = "never read: the copies of a loss sum to the same exact gradient; remove it"
            yield Problem(path, message, others=(("gradient", "estimator", "type"),))
    elif isinstance(architecture, Mlp) and axes:
        message = "an mlp has neither a patch nor a group axis; remove it"
        yield Problem(path, message, others=(("architecture", "type"),))
    elif len(set(axes)) < len(axes):
        yield Problem(path, "names an axis twice")


def isolation(losses: Losses, gradient: Gradient) -> Iterator[Problem]:
    """What is isolated, what is targeted and where losses sit must fit together."""
    target: Path = ("gradient", "target")
    isolate: Path = ("losses", "isolate")
    local: Path = ("losses", "local")
    if gradient.target != "global" and losses.local is None:
        message = "needs local losses; add losses.local: {every: 1} or say global"
        yield Problem(target, message)
    elif losses.isolate == "block" and losses.local is None:
        yield Problem(isolate, "needs local losses to close a block; add losses.local: {every: 1}")
    elif losses.isolate == "block" and gradient.target != "local":
        message = "no gradient crosses isolated blocks; say local"
        yield Problem(target, message, others=(isolate,))
    elif gradient.target == "local" and losses.isolate == "none":
        message = "only the own loss counts, so blocks are isolated; say isolate: block"
        yield Problem(isolate, message, others=(target,))
    elif (losses.isolate == "layer") != (gradient.estimator.type == "direct_feedback"):
        message = "layers are isolated under direct feedback, and only there"
        yield Problem(isolate, message, others=(("gradient", "estimator", "type"),))
    elif gradient.target == "global" and losses.local is not None and not _guides(gradient):
        message = "never reaches a block under target global; remove it or say target: sum"
        yield Problem(local, message, shows=False, others=(target,))


def _guides(gradient: Gradient) -> bool:
    """Whether local losses provide the guess."""
    perturbation = gradient.perturbation
    return perturbation is not None and perturbation.guess.type in ("local", "ntk", "fixed_ntk")


def perturbation(losses: Losses, gradient: Gradient) -> Iterator[Problem]:
    """Perturbations belong to the estimators that perturb, and have what their space needs."""
    base: Path = ("gradient", "perturbation")
    kind: Path = ("gradient", "estimator", "type")
    found = gradient.perturbation
    if found is None:
        return
    if gradient.estimator.type not in PERTURBING:
        yield Problem(base, "never read by this estimator; remove it", False, (kind,))
        return
    if found.space == "weight" and found.sharing == "example":
        message = "a perturbation of the weights is shared by the batch; say batch or remove it"
        yield Problem((*base, "sharing"), message, others=((*base, "space"),))
    if found.sharing == "views" and not isinstance(losses.objective, InfoNce):
        message = "there are two views under info_nce only; say example or batch"
        yield Problem((*base, "sharing"), message, others=(("losses", "objective", "type"),))


def norm_gradient(architecture: Architecture, gradient: Gradient) -> Iterator[Problem]:
    """Only an activity-space estimate is pulled back layer by layer."""
    space = gradient.perturbation.space if gradient.perturbation is not None else None
    if architecture.normalization.gradient == "ignored" and space != "activation":
        other: Path = ("gradient", "perturbation", "space")
        if space is None:
            other = ("gradient", "estimator", "type")
        message = "read only when activations are perturbed; remove it"
        yield Problem(("architecture", "normalization", "gradient"), message, others=(other,))


def lowering(compile: Compile, gradient: Gradient) -> Iterator[Problem]:
    """Lowerings of tangents need tangents."""
    if isinstance(gradient.estimator, Exact):
        for field, value in (("losses", compile.losses), ("samples", compile.samples)):
            if value != "auto":
                message = "never read by an exact estimator; remove it"
                yield Problem(
                    ("compile", field), message, others=(("gradient", "estimator", "type"),)
                )


def readout_factors(optimizer: Optimizer, losses: Losses, given: Given) -> Iterator[Problem]:
    """A factor for heads needs heads."""
    path: Path = ("optimizer", "factors", "heads")
    if losses.local is None and given(path):
        yield Problem(path, "never read: there are no local losses, so no heads; remove it")


def warmup(optimizer: Optimizer, training: Training) -> Iterator[Problem]:
    """A warm-up ends before the run does."""
    schedule = optimizer.schedule
    if isinstance(schedule, WarmupCosine) and training.epochs is not None:
        if schedule.warmup_epochs >= training.epochs:
            path: Path = ("optimizer", "schedule", "warmup_epochs")
            yield Problem(path, "must be fewer than the run's", others=(("training", "epochs"),))


def expectation(expect: Expect | None) -> Iterator[Problem]:
    """An expectation is about a metric that a run writes."""
    if expect is not None and expect.metric not in METRICS:
        if not expect.metric.startswith("local_loss/"):
            message = f"no such metric; {nearest(expect.metric, METRICS)}"
            yield Problem(("expect", "metric"), message)


def views(data: Data, losses: Losses) -> Iterator[Problem]:
    """A contrastive loss compares two augmented views."""
    if isinstance(losses.objective, InfoNce) and data.augment == "none":
        message = "info_nce compares two augmented views; say byol"
        yield Problem(("data", "augment"), message, others=(("losses", "objective", "type"),))


CHECKS: tuple[Callable[..., Iterator[Problem]], ...] = (
    duration,
    intervals,
    groups,
    normalization,
    token_mixing,
    loss_sites,
    replication,
    isolation,
    perturbation,
    norm_gradient,
    lowering,
    readout_factors,
    warmup,
    expectation,
    views,
)


def check(sections: Mapping[str, Any], given: Given) -> list[Problem]:
    """Run every check whose sections are all valid.

    Args:
        sections: validated sections by name.
        given: whether a field was set by anything but the language's default.
    """
    known = dict(sections) | {"given": given}
    return [
        problem
        for run in CHECKS
        if all(name in known for name in inspect.signature(run).parameters)
        for problem in run(**{name: known[name] for name in inspect.signature(run).parameters})
    ]
