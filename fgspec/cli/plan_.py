"""`fgspec plan`."""

import json
from pathlib import Path

from rich.console import Console

from compiler.cost.by_part import dissect
from compiler.cost.compiled import compile_update
from compiler.cost.pipeline_stages import schedule
from compiler.cost.scaling import Machine, mesh_values, predict
from compiler.cost.updates_per_call import calls_of
from compiler.plan.plan import Plan
from fgspec import api
from fgspec.cli.arguments import refuse_unwritable, then, with_mesh
from fgspec.explaining.picture import picture as draw
from fgspec.loading.resolved import spec_hash
from fgspec.loading.spec_file import Loaded, load
from fgspec.show.bias_notes import notes
from fgspec.show.cost_tables import anatomy_lines
from fgspec.show.lines import say
from fgspec.show.plan_tables import cost_rows, cost_values, layer_lines, layer_values
from fgspec.show.progress import waiting
from fgspec.show.scaling_text import mesh_rows, prediction_rows, scaling_lines
from fgspec.show.text import table
from fgspec.spec.mesh import sizes
from fgspec.training.compile_cache import compilation_cache
from fgspec.training.logbook import write_text

DEFAULT = Machine()


def run(
    spec: Path,
    overrides: list[str] | None,
    mesh: str | None,
    flops: float | None,
    bandwidth: float | None,
    as_json: bool,
    picture: Path | None,
) -> None:
    """What `fgspec plan` does."""
    if picture is not None:
        refuse_unwritable("plan: --picture", picture)
    loaded = load(spec, with_mesh(overrides, mesh))
    if picture is not None:
        write_text(picture, draw(api.plan(loaded, here=mesh is None)))
    if mesh is not None:
        _predict(loaded, Machine(flops or DEFAULT.flops, bandwidth or DEFAULT.bandwidth), as_json)
        return
    program = api.compile(loaded)
    api.refuse_untold(loaded)
    with compilation_cache(), waiting("compiling", Console(stderr=True)):
        plan = program.plan
        compiled, found = compile_update(program, calls_of(plan)), dissect(program)
    if as_json:
        values = {"name": loaded.experiment.name, "sha256": spec_hash(loaded)}
        values |= {"layers": layer_values(plan), "cost": cost_values(plan, compiled, found)}
        values |= {"mesh": mesh_values(plan)}
        print(json.dumps(values | {"notes": notes(plan)}, indent=2))
        return
    print("\n".join(layer_lines(plan)))
    rows = cost_rows(plan, compiled, found, plan.idle_params()) | mesh_rows(plan)
    console = Console()
    print()
    table(f"cost of one training step of {loaded.experiment.name}", rows, console)
    print()
    print("\n".join(anatomy_lines(plan, found)))
    _picture(plan)
    for note in notes(plan):
        say(console, f"note: {note}")
    then("train", spec, *(overrides or ()))


def _predict(loaded: Loaded, machine: Machine, as_json: bool) -> None:
    plan = api.plan(loaded, here=-1 in sizes(loaded.experiment.mesh))
    found = predict(plan, machine)
    if as_json:
        values = {"name": loaded.experiment.name, "machine": machine._asdict()}
        values |= mesh_values(plan) | {"seconds": found.seconds, "computing": found.computing}
        print(json.dumps(values | {"state": found.state, "features": found.features}, indent=2))
        return
    console = Console()
    title = f"one training step of {loaded.experiment.name}, predicted"
    table(title, prediction_rows(plan, machine), console)
    _picture(plan)
    for axis in ("data", "group"):
        if len(lines := scaling_lines(plan, axis, machine)) > 3:
            print("\n".join(lines))


def _picture(plan: Plan) -> None:
    """The schedule of a pipeline."""
    if plan.experiment.mesh.stage > 1:
        print("\n".join(schedule(plan, calls_of(plan).steps)))
