"""What an update would be on more devices, as text."""

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
"""By which twice the devices must be quicker to be worth it."""


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
    """Seconds of an update along an axis, and where twice the devices are hardly quicker."""
    lines, before, stopped = [f"{axis:>6}  seconds  computing  sent by each"], None, ""
    for own in doubled(plan, axis):
        size, found = getattr(own.experiment.mesh, axis), predict(own, machine)
        share = found.computing / found.seconds
        sent = mebibytes(sum(found.traffic.values()))
        lines.append(f"{size:6d}  {found.seconds:7.2g}  {share:9.0%}  {sent}")
        if before is not None and not stopped and before < WORTH * found.seconds:
            stopped = f"stops scaling at {axis} = {size // 2}: twice as many are hardly quicker"
        before = found.seconds
    last = f"scales to {axis} = {lines[-1].split()[0]}, beyond which nothing divides"
    return [*lines, stopped or last]


def prediction_rows(plan: Plan, machine: Machine) -> dict[str, str]:
    """A prediction as shown."""
    found, devices = predict(plan, machine), prod(sizes(plan.experiment.mesh))
    return {
        "devices": f"{devices:,}, each {quantity(machine.flops, 'FLOP/s')} and "
        f"{quantity(machine.bandwidth, 'B/s')} to others",
        **mesh_rows(plan),
        "memory of each": f"{mebibytes(found.state)} state, {mebibytes(found.features)} features",
        "time of an update": f"{found.seconds:.2g} s: {found.computing:.2g} s computing, "
        f"{found.sending:.2g} s sending",
    }


def mesh_rows(plan: Plan) -> dict[str, str]:
    """A mesh, its rules and what each device sends; nothing on one device."""
    mesh = plan.experiment.mesh
    if prod(sizes(mesh)) == 1:
        return {}
    shape = " x ".join(f"{getattr(mesh, name)} {name}" for name in AXES if getattr(mesh, name) > 1)
    rules = ", ".join(f"{rule.axis} over {rule.over}" for rule in mesh.rules)
    found = sorted(predicted_traffic(plan).items(), key=lambda item: -item[1])
    sent = (f"{mebibytes(size)} {kind} over {axes}" for (kind, axes), size in found)
    rows = {"mesh": f"{shape}; {rules}", "sent by each": "; ".join(sent) or "nothing"}
    if mesh.stage > 1:
        share = utilisation(plan, calls_of(plan).steps)
        rows["pipeline"] = f"{mesh.stage} stages, which compute {share:.0%} of the time"
    return rows
