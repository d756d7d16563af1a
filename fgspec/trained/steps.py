"""Chooses a checkpoint of a run: the newest, the best, or that of a step."""

from collections.abc import Mapping, Sequence
from typing import Any

from fgspec.errors import ResumeError, UserError
from fgspec.spec.metrics import TEST, VALID
from fgspec.spec.objectives import Objective
from fgspec.training.checkpoint import Restored, at_step, best, newest
from fgspec.training.run_folder import RunDir
from fgspec.training.run_log import checked_lines
from fgspec.training.steps import steps_in

NEWEST, BEST = "newest", "best"

Step = int | str
"""`newest`, `best`, or the step of a checkpoint."""

_PASSES = (VALID, TEST)
"""The first parts of the names of evaluation metrics."""


def wanted(step: Step) -> Step:
    """Check a step, and turn digits into a number.

    Raises:
        UserError: it is not a valid step.
    """
    text = str(step)
    if text in (NEWEST, BEST):
        return text
    if not text.isdecimal():
        raise UserError(f"step: must be {BEST}, {NEWEST}, or the step of a checkpoint (got {text})")
    return int(text)


def restored(run: RunDir, identity: str, template: Any, step: Step, answer: Objective) -> Restored:
    """Read a checkpoint of a run.

    Args:
        run: the run.
        identity: the identity of its spec.
        template: the shapes of its state.
        step: which checkpoint, see `Step`.
        answer: the objective by which its classifier is evaluated.

    Raises:
        ResumeError: there is no such checkpoint, it is damaged, or no checkpoint was evaluated.
        UserError: `step` is not a valid step.
    """
    step = wanted(step)
    if step == NEWEST:
        checkpoint = newest(run.checkpoints, identity, template)
        if checkpoint is None:
            raise ResumeError(
                f"{run.path}: no checkpoint yet; resume it with fgspec train --resume {run.path}"
            )
        return checkpoint
    if step == BEST and (marked := best(run.checkpoints, identity, template)) is not None:
        return marked  # the run has `checkpoint.best`
    at = best_step(run, answer) if step == BEST else int(step)
    return at_step(run.checkpoints, identity, template, at)


def best_step(run: RunDir, answer: Objective) -> int:
    """The step of the checkpoint on disk with the best evaluation, or the first of equal ones.

    Raises:
        ResumeError: no step that has a checkpoint was evaluated.
        DamagedRecord: the log is damaged.
    """
    on_disk, lines = steps_in(run.checkpoints), checked_lines(run)
    metric = leading(lines, answer)
    values = {line["step"]: line[metric] for line in lines if metric in line}
    evaluated = {step: values[step] for step in on_disk if step in values}
    if not evaluated:
        there, done = (", ".join(map(str, steps)) or "none" for steps in (on_disk, values))
        raise ResumeError(
            f"{run.path}: no step with a checkpoint was evaluated, so none is the best: "
            f"checkpoints at {there}; {metric} at {done}; use --step {NEWEST} or a number, and "
            "set checkpoint.every to training.evaluate_every in the next run"
        )
    sign = 1 if answer.lower_is_better else -1
    return min(evaluated, key=lambda step: sign * evaluated[step])


def leading(lines: Sequence[Mapping[str, Any]], answer: Objective) -> str:
    """The metric by which the best checkpoint of a run is chosen, from the lines of its log."""
    names = [f"{name}/{answer.headline}" for name in _PASSES]
    return next((name for name in names if any(name in line for line in lines)), names[-1])
