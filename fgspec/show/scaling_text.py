"""Predictions of a training step on more devices, as text."""

from collections.abc import Iterator
from dataclasses import replace
from math import prod

from compiler.cost.pipeline_stages import utilisation
from compiler.cost.predicted_traffic import predicted_traffic
from compiler.cost.scaling import Machine, predict
from compiler.cost.updates_per_call import calls_of
from compiler.plan.plan import Plan
from fgspec.check.mesh import mesh_problems
from fgspec.show.text import mebibytes, quantity
from fgspec.spec.mesh import AXES, sizes

WORTH = 1.1
"""The factor by which twice the devices must be faster to be worth it."""


def doubled(plan: Plan, axis: str) -> Iterator[Plan]:
    """The same plan on 1, 2, 4 ... devices along an axis of its mesh, as far as they divide."""
    size = 1
    while True:
        mesh = plan.experiment.mesh.model_copy(update={axis: size})
        experiment = plan.experiment.on(mesh)
        if mesh_problems(experiment):
            return
        yield replace(plan, experiment=experiment)
        size *= 2


def scaling_lines(plan: Plan, axis: str, machine: Machine) -> list[str]:
    """Seconds of a step by the devices along an axis, and where doubling them stops to help."""
    head = f"{'mesh.' + axis:>10}  seconds per step  computing  sent by each"
    lines, before, stopped = [head], None, ""
    for scaled in doubled(plan, axis):
        size, prediction = getattr(scaled.experiment.mesh, axis), predict(scaled, machine)
        seconds = prediction.seconds
        share = prediction.computing / seconds
        sent = mebibytes(sum(prediction.traffic.values()))
        lines.append(f"{size:10d}  {seconds:16.2g}  {share:9.0%}  {sent}")
        if before is not None and not stopped and before < WORTH * seconds:
            less = WORTH - 1
            stopped = (
                f"stops scaling at mesh.{axis}={size // 2}: doubling gains less than {less:.0%}"
            )
        before = seconds
    last = f"scales to mesh.{axis}={lines[-1].split()[0]}; no larger size divides the arrays"
    return [*lines, stopped or last]


def prediction_rows(plan: Plan, machine: Machine) -> dict[str, str]:
    """A prediction as shown: name of the row -> text."""
    prediction, devices = predict(plan, machine), prod(sizes(plan.experiment.mesh))
    memory = f"{mebibytes(prediction.state)} state, {mebibytes(prediction.features)} features"
    return {
        "devices": f"{devices:,}, each with {quantity(machine.flops, 'FLOP/s')} and "
        f"{quantity(machine.bandwidth, 'B/s')} to the others",
        **mesh_rows(plan),
        "memory of each": memory,
        "time per step": f"{prediction.seconds:.2g} s: {prediction.computing:.2g} s computing, "
        f"{prediction.sending:.2g} s sending",
    }


def mesh_rows(plan: Plan) -> dict[str, str]:
    """A mesh, its rules and what each device sends per step; empty on one device."""
    mesh = plan.experiment.mesh
    if prod(sizes(mesh)) == 1:
        return {}
    shape = " x ".join(f"{getattr(mesh, name)} {name}" for name in AXES if getattr(mesh, name) > 1)
    rules = ", ".join(f"{rule.axis} over {rule.over}" for rule in mesh.rules)
    traffic = sorted(predicted_traffic(plan).items(), key=lambda item: -item[1])
    sent = (f"{mebibytes(size)} by {kind} over {axes}" for (kind, axes), size in traffic)
    mean = " (mean over all updates)" if plan.chooses else ""
    rows = {"mesh": f"{shape}; {rules}", "sent by each": ("; ".join(sent) or "nothing") + mean}
    if mesh.stage > 1:
        share = utilisation(plan, calls_of(plan).steps)
        rows["pipeline"] = f"{mesh.stage} stages; each computes {share:.0%} of the time on average"
    return rows
