"""Going on with a run under another spec: what its fields allow, and what is recorded of it.

Every field says itself whether it may change on resume (`fgspec.spec.base.Resume`). What changed is
kept in the run's `provenance.json`, under `changes`; a fork names its parent there, as `lineage`.
"""

import getpass
import logging
import platform
import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, replace
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from compiler.plan.plan import Plan
from fgspec.data.dataset import Dataset
from fgspec.data.pipeline import fingerprint, part_digests
from fgspec.errors import DamagedRecord, ResumeError, UserError
from fgspec.loading.resolved import Difference, differences, resolved_text
from fgspec.loading.spec_file import Loaded, load
from fgspec.problems.problems import MISSING, dotted, lookup, shown
from fgspec.spec.base import Resume
from fgspec.spec.dataset_info import DatasetInfo
from fgspec.spec.experiment import Experiment
from fgspec.spec.kinds import working
from fgspec.spec.language import on_resume
from fgspec.training.logbook import write_text
from fgspec.training.records import read_record, write_record
from fgspec.training.run_folder import RunDir, hash_today, recorded_hash

LOG = logging.getLogger("fgspec")

LENGTH = ("training.epochs", "training.steps")
"""Fields that say how long a run is."""


def allowed(run: RunDir, recorded: Loaded, given: Loaded, *, fork: bool) -> list[Difference]:
    """The fields in which `given` differs from the spec of a run, if it may.

    Args:
        run: the run.
        recorded: the spec that it has had so far.
        given: the spec to go on with.
        fork: whether a new run begins at its last checkpoint.

    Raises:
        ResumeError: naming every field that differs and may not, with both values.
    """
    found = differences(recorded, given)
    values = (recorded.values(), given.values())
    said = [on_resume(Experiment, one.path, values) for one in found]
    free = {Resume.MAY_CHANGE, Resume.FORKS} if fork else {Resume.MAY_CHANGE}
    refused = [(one, what) for one, what in zip(found, said, strict=True) if what not in free]
    if not refused:
        return found
    lines = [f"  {_both(one)}: {what}" for one, what in refused]
    if all(what is Resume.FORKS for _, what in refused):
        remedy = (
            "add --fork (in Python: fork=True) to start a new run from its last checkpoint, or "
        )
    else:
        remedy = "start a new run with fgspec train SPEC, or "
    done = "forked" if fork else "resumed"
    raise ResumeError(
        f"{run.path}: cannot be {done} with {given.file}: these fields cannot change:\n"
        + "\n".join(lines)
        + f"\n{remedy}set them back"
    )


def reading(run: RunDir, recorded: Loaded, overrides: Sequence[str]) -> Loaded:
    """The spec of a run, with its data from where overrides say.

    Raises:
        SpecError: the overrides are wrong.
        UserError: they set something else.
    """
    if not overrides:
        return recorded
    given = load(run.resolved, overrides)
    others = [one for one in differences(recorded, given) if one.path[:2] != ("data", "source")]
    if others:
        raise UserError(
            f"{run.path}: {_both(others[0])}: this field is fixed; only fields of data.source can "
            "be set here, such as data.source.path"
        )
    return replace(given, search=None)


def continued(
    run: RunDir, recorded: Loaded, given: Loaded, *, fork: bool
) -> tuple[Loaded, list[Difference]]:
    """The spec to go on with, which knows where its data are, and the fields that it changes.

    A path that is given now is relative to where it is given; one of the run, to where it began.

    Raises:
        ResumeError: as `allowed`.
    """
    changed = allowed(run, recorded, given, fork=fork)
    search = None if reads_elsewhere(changed) else recorded.search
    return replace(given, search=search), changed


def _both(one: Difference) -> str:
    run, spec = ("absent" if v is MISSING else shown(v) for v in (one.a, one.b))
    return f"{dotted(one.path)}: run {run}, spec {spec} ({one.b_origin})"


def reads_elsewhere(found: Sequence[Difference]) -> bool:
    """Whether a spec names other files of data, relative to where it is given."""
    return any(one.path[:2] == ("data", "source") for one in found)


def change_lines(found: Sequence[Difference]) -> list[str]:
    """What a run goes on with that it did not have before, for people."""
    return [f"changed: {_both(one)}" for one in found]


def steps_of(experiment: Experiment, per_epoch: int) -> int:
    """Updates of a whole run."""
    training = experiment.training
    return training.steps or (training.epochs or 0) * per_epoch


def refuse_length(run: RunDir, before: Loaded, plan: Plan, step: int) -> None:
    """Raise if a run cannot go on to the length of `plan`, or only as another run.

    Args:
        run: the run.
        before: the spec that it has had so far.
        plan: of the spec to go on with.
        step: updates done.

    Raises:
        ResumeError: the length is over already, or would have had another learning rate.
    """
    old, new = steps_of(before.experiment, plan.steps_per_epoch), plan.steps
    if old == new:
        return
    refuse_length_over(run, new, step)
    optimizer = plan.experiment.optimizer
    rate, per_epoch = working(optimizer.schedule).rate, plan.steps_per_epoch
    of_old, of_new = (
        partial(_rates, rate(optimizer.learning_rate, steps, per_epoch)) for steps in (old, new)
    )
    if np.array_equal(of_old(np.arange(min(old, new))), of_new(np.arange(min(old, new)))):
        return
    (was,), (would_be,) = of_old(np.array([step])), of_new(np.array([step]))
    raise ResumeError(
        f"{run.path}: cannot be resumed with {_length(plan.experiment)} instead of "
        f"{_length(before.experiment)}: under optimizer.schedule {optimizer.schedule} the "
        f"learning rate depends on the length of the run; at step {step} it would be "
        f"{would_be:.6g} instead of {was:.6g}, and past steps would have had other rates; add "
        "--fork (in Python: fork=True) to start a new run from its last checkpoint, or set the "
        "length back"
    )


def refuse_length_over(run: RunDir, total: int, step: int) -> None:
    """Raise if a run that is at `step` has no update left of `total`."""
    if total <= step:
        raise ResumeError(
            f"{run.path}: is already at step {step}, and a run of this length ends at step "
            f"{total}; increase training.epochs or training.steps"
        )


def went_on(run: RunDir) -> bool:
    """Whether a run has had a checkpoint for certain: as a fork, or as its spec was changed."""
    provenance = read_record(run.provenance)
    steps = [one["step"] for one in provenance.get("changes", ())]
    return "lineage" in provenance or any(steps)


def ended_done(run: RunDir) -> bool:
    """Whether a run's summary says that it came to its end."""
    try:
        return read_record(run.summary)["status"] == "done"
    except (OSError, DamagedRecord, KeyError, TypeError):
        return False


def _length(experiment: Experiment) -> str:
    training = experiment.training
    named = "epochs" if training.steps is None else "steps"
    return f"training.{named}: {getattr(training, named)}"


def _rates(rate: Callable[[Any], Any], steps: np.ndarray) -> np.ndarray:
    # As inside the compiled update, where optax mixes step counts with floats.
    with jax.numpy_dtype_promotion("standard"):
        return np.asarray(jax.vmap(lambda step: jnp.asarray(rate(step)))(jnp.asarray(steps)))


def data_record(loaded: Loaded, dataset: Dataset, info: DatasetInfo | None) -> dict[str, Any]:
    """What a run records of its data, besides their fingerprint.

    `directory`: where relative paths of its spec are looked for first, from wherever it is resumed
    or evaluated. `parts`: a digest of each part. `info`, `classes`: what a trained model needs to
    know of images where the data are not.
    """
    return {
        "directory": str(loaded.search[0] if loaded.search else Path.cwd()),
        "parts": part_digests(dataset),
        **({"info": asdict(info), "classes": list(dataset.names)} if info is not None else {}),
    }


def other_data(run: RunDir, loaded: Loaded, dataset: Dataset, saved: str | None) -> str:
    """What of the data is not as it was when a run was trained, in words; empty if all is.

    Args:
        run: the run.
        loaded: its spec.
        dataset: read as that says.
        saved: the fingerprint that its checkpoint holds; None without a checkpoint.
    """
    provenance = read_record(run.provenance)
    recorded = saved or provenance.get("hashes", {}).get("data")
    if not recorded:
        LOG.warning(
            "note: %s has no fingerprint of its data, so the data cannot be compared", run.path
        )
        return ""
    data = loaded.experiment.data
    found = fingerprint(dataset, data.batch_size, loaded.experiment.order_seed)
    if found == recorded:
        return ""
    parts = provenance.get("data", {}).get("parts")
    if parts is None:
        what = "contents, order or batches"
    else:
        today = part_digests(dataset)
        what = ", ".join(name for name in today if today[name] != parts.get(name))
        what = what or "order of the batches (drawn by NumPy)"
    return (
        f"the data of data.source {shown(data.source.named())} differ from those of the run: "
        f"{what} (fingerprint {found[:8]}, recorded {recorded[:8]})"
    )


def refuse_other_data(
    run: RunDir, loaded: Loaded, dataset: Dataset, saved: str | None, instead: str
) -> None:
    """Raise if the data are not those that a run was trained with; see `other_data`.

    Args:
        run: the run.
        loaded: its spec.
        dataset: read as that says.
        saved: the fingerprint that its checkpoint holds; None without a checkpoint.
        instead: what else than those data can be used, as a remedy.

    Raises:
        ResumeError: naming the source and what of it differs.
    """
    if what := other_data(run, loaded, dataset, saved):
        raise ResumeError(
            f"{run.path}: {what}; restore them, give their place with --set "
            f"data.source.path=PATH, or {instead}"
        )


def record(run: RunDir, found: Sequence[Difference], loaded: Loaded, step: int) -> None:
    """Write down that a run goes on with another spec, and give it that.

    The resolved spec that it had stays beside the new one, and its summary in the record.

    Args:
        run: the run.
        found: the fields that differ.
        loaded: the spec that it goes on with.
        step: at which it goes on.
    """
    provenance = read_record(run.provenance)
    before, after = recorded_hash(run), hash_today(loaded, provenance)
    # One that a kill kept from coming into force is not part of the history.
    changes = list(provenance.get("changes", ()))
    if changes and changes[-1]["spec"]["after"] != before:
        changes.pop()
    changes.append(
        author()
        | {"step": step, "fields": fields(found), "spec": {"before": before, "after": after}}
        | ({"summary": read_record(run.summary)} if run.summary.is_file() else {})
    )
    write_text(run.resolved_before(before), run.resolved.read_text())
    # In this order: with the new spec alone, the run would seem to have been tampered with.
    moved = {"data": provenance["data"] | {"directory": str(Path.cwd())}}
    elsewhere = moved if reads_elsewhere(found) and "data" in provenance else {}
    write_record(run.provenance, provenance | {"changes": changes} | elsewhere)
    write_text(run.resolved, resolved_text(loaded))


def compared(run: RunDir, loaded: Loaded) -> dict[str, Any]:
    """Values of a run's spec by which it is compared with others.

    What it went on with that decides no number is as it began: a run that moved to another mesh is
    still one of its arm. Its length is that of now.
    """
    values = loaded.values()
    for change in reversed(read_record(run.provenance).get("changes", [])):
        for one in change["fields"]:
            *sections, name = one["field"].split(".")
            if one["field"] not in LENGTH:
                section = lookup(values, tuple(sections))
                section[name] = one["from"]
    return values


def author() -> dict[str, Any]:
    """Who does this, when, where and by which command."""
    try:
        who = getpass.getuser()
    except (ImportError, KeyError, OSError):  # a container's user without a name
        who = "unknown"
    return {
        "when": datetime.now(UTC).isoformat(),
        "who": who,
        "host": platform.node(),
        "command": list(sys.argv),
    }


def fields(found: Sequence[Difference]) -> list[dict[str, Any]]:
    """What changed from what to what, as JSON; None where there was, or is, no such field."""
    return [
        {
            "field": dotted(one.path),
            "from": None if one.a is MISSING else one.a,
            "to": None if one.b is MISSING else one.b,
            "by": str(one.b_origin),
        }
        for one in found
    ]


def lineage(
    parent: RunDir, found: Sequence[Difference], before: Loaded, step: int
) -> dict[str, Any]:
    """What a fork records of the run that it begins from.

    Args:
        parent: that run.
        found: the fields that differ.
        before: the parent's spec.
        step: of the checkpoint.
    """
    provenance: Mapping[str, Any] = read_record(parent.provenance)
    return author() | {
        "parent": str(parent.path.resolve()),
        "step": step,
        "parent_hashes": provenance["hashes"] | {"resolved": hash_today(before, provenance)},
        "fields": fields(found),
        "parent_lineage": provenance.get("lineage"),
    }


def refuse_other_parent(run: Path, parent: Path) -> None:
    """Raise unless `run` is a fork of `parent`."""
    own = read_record(RunDir(run).provenance).get("lineage") or {}
    if own.get("parent") != str(parent.resolve()):
        raise ResumeError(
            f"{run}: is already a run, but not a fork of {parent}; choose another folder for "
            f"--run, or resume this one: fgspec train --resume {run}"
        )
