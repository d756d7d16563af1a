"""`fgspec plan`."""

import json

from rich.console import Console

from compiler.analyze.calls import calls_of
from compiler.analyze.compiled import compile_update
from compiler.analyze.notes import notes
from compiler.analyze.tables import cost_rows, cost_values, layer_lines, layer_values
from fgspec import api
from fgspec.canonical import identity
from fgspec.cli.options import JsonOption, SetOption, SpecArgument
from fgspec.compile_cache import compilation_cache
from fgspec.report import table
from fgspec.source import load


def run(spec: SpecArgument, overrides: SetOption = None, as_json: JsonOption = False) -> None:
    """Print every layer with its losses and credit routes, and what an update costs.

    The update is compiled for this machine, but nothing is run and no data are read.

    Example: fgspec plan specs/quickstart.yaml
    """
    loaded = load(spec, overrides or ())
    program = api.compile(loaded)
    api.refuse_untold(loaded)
    with compilation_cache():
        plan = program.plan
        compiled = compile_update(program, calls_of(plan))
    if as_json:
        values = {"name": loaded.experiment.name, "sha256": identity(loaded.values())}
        values |= {"layers": layer_values(plan), "cost": cost_values(plan, compiled)}
        print(json.dumps(values | {"notes": notes(plan)}, indent=2))
        return
    print("\n".join(layer_lines(plan)))
    console = Console()
    table(f"cost of an update of {loaded.experiment.name}", cost_rows(plan, compiled), console)
    for note in notes(plan):
        console.print(f"note: {note}", highlight=False, soft_wrap=True)
