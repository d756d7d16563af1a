"""Which checkpoint of a run is meant: the newest, the best, or that of a step."""

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
"""`newest`, `best`, or updates done."""

_PASSES = (VALID, TEST)
"""What metrics of evaluations begin with."""


def wanted(step: Step) -> Step:
    """A step as `restored` takes it; digits are a number.

    Raises:
        UserError: it is none.
    """
    text = str(step)
    if text in (NEWEST, BEST):
        return text
    if not text.isdecimal():
        raise UserError(
            f"step: must be {BEST}, {NEWEST}, or the updates done at a checkpoint (got {text})"
        )
    return int(text)


def restored(run: RunDir, identity: str, template: Any, step: Step, answer: Objective) -> Restored:
    """A checkpoint of a run.

    Args:
        run: the run.
        identity: of its spec.
        template: the shapes of its state.
        step: see `Step`.
        answer: what its classifier is evaluated by.

    Raises:
        ResumeError: there is none, it is damaged, or no evaluation tells which is best.
        UserError: `step` is no step.
    """
    step = wanted(step)
    if step == NEWEST:
        found = newest(run.checkpoints, identity, template)
        if found is None:
            raise ResumeError(f"{run.path}: no checkpoint yet; resume it first")
        return found
    if step == BEST and (marked := best(run.checkpoints, identity, template)) is not None:
        return marked  # of a run with `checkpoint.best`
    at = best_step(run, answer) if step == BEST else int(step)
    return at_step(run.checkpoints, identity, template, at)


def best_step(run: RunDir, answer: Objective) -> int:
    """The step of the checkpoint on disk whose evaluation is best by the leading metric.

    Of equals it is the first.

    Raises:
        ResumeError: no step that has a checkpoint was evaluated.
        DamagedRecord: the log is damaged.
    """
    on_disk, lines = steps_in(run.checkpoints), checked_lines(run)
    metric = leading(lines, answer)
    values = {line["step"]: line[metric] for line in lines if metric in line}
    known = {step: values[step] for step in on_disk if step in values}
    if not known:
        there, done = (", ".join(map(str, steps)) or "none" for steps in (on_disk, values))
        raise ResumeError(
            f"{run.path}: no checkpoint is of a step that was evaluated, so none is best: "
            f"checkpoints at {there}; {metric} at {done}; use --step {NEWEST} or a number, and "
            "give the next run checkpoint.every like training.evaluate_every"
        )
    sign = 1 if answer.lower_is_better else -1
    return min(known, key=lambda step: sign * known[step])


def leading(lines: Sequence[Mapping[str, Any]], answer: Objective) -> str:
    """The metric that checkpoints of a run are chosen by, from the lines of its log."""
    names = [f"{name}/{answer.headline}" for name in _PASSES]
    return next((name for name in names if any(name in line for line in lines)), names[-1])
