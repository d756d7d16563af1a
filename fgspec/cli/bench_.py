"""`fgspec bench`."""

import sys
from pathlib import Path
from typing import Any

from rich.console import Console

from compiler.cost.compiled import (
    compile_for_memory,
    lower_update,
    random_records,
    reported,
    ynnpack,
)
from compiler.cost.update_flops import update_flops
from compiler.cost.updates_per_call import Calls, calls_of
from compiler.update.program import Program
from fgspec import api
from fgspec.bench.measure import SCHEMA_VERSION, Subject, measure, timed, times
from fgspec.bench.plot import draw, plotting
from fgspec.bench.tables import lines
from fgspec.cli.arguments import ArgumentError, refuse_unwritable
from fgspec.cli.check_ import checked
from fgspec.loading.resolved import spec_hash
from fgspec.loading.spec_file import Loaded, load
from fgspec.problems.problems import SpecError
from fgspec.training.compile_cache import no_compilation_cache
from fgspec.training.jax_settings import refuse_interpreting
from fgspec.training.logbook import write_json
from fgspec.training.out_of_memory import enough_memory
from fgspec.training.provenance import collect


def run(
    specs: list[Path],
    against: Path | None,
    overrides: list[str] | None,
    json_file: Path | None,
    plot_file: Path | None,
    rounds: int,
) -> None:
    """What `fgspec bench` does."""
    _refuse_files(json_file, plot_file)
    refuse_interpreting()
    paths, reference = _ordered(specs, against)
    loaded = _checked(paths, overrides or [])
    names = _distinct([one.experiment.name for one in loaded])
    with no_compilation_cache(), Console(stderr=True).status("compiling") as status:
        lower_update(api.compile(loaded[0]))  # the first trace of a process takes longer
        ready = [prepared(one, name) for one, name in zip(loaded, names, strict=True)]
        status.update("measuring")
        measured = measure([subject for subject, _ in ready], rounds)
    found = [
        facts | times(own, measured[reference], facts["batch_size"])
        for own, (_, facts) in zip(measured, ready, strict=True)
    ]
    results = {
        "version": SCHEMA_VERSION,
        "environment": _environment(),
        "overrides": list(overrides or ()),
        "rounds": rounds,
        "against": names[reference],
        "specs": found,
    }
    print("\n".join(lines(results)))
    if json_file is not None:
        write_json(json_file, results)
    if plot_file is not None:
        draw(results, plot_file)


def _refuse_files(json_file: Path | None, plot_file: Path | None) -> None:
    """Refuse files that cannot be written, before anything is measured."""
    for option, path in (("--json", json_file), ("--plot", plot_file)):
        if path is not None and (path.is_dir() or not path.parent.is_dir()):
            raise ArgumentError(
                f"bench: {option} {path}: is a folder, or is in a folder that does not exist; give "
                "another file name"
            )
        if path is not None:
            refuse_unwritable(f"bench: {option}", path)
    if plot_file is not None:
        if plot_file.suffix.lower() != ".png":
            raise ArgumentError(f"bench: --plot {plot_file}: must end in .png")
        plotting("bench: --plot")


def _ordered(specs: list[Path], against: Path | None) -> tuple[list[Path], int]:
    """All specs to measure, and the index of the one that ratios refer to."""
    if against is None:
        return specs, 0
    resolved = [path.resolve() for path in specs]
    if against.resolve() in resolved:
        return specs, resolved.index(against.resolve())
    return [against, *specs], 0


def _checked(paths: list[Path], overrides: list[str]) -> list[Loaded]:
    """All specs, or a single error with the mistakes of all of them."""
    found, wrong = [], []
    for path in paths:
        try:
            found.append(checked(load(path, overrides)))
        except SpecError as error:
            wrong += error.lines
    if wrong:
        raise SpecError(list(dict.fromkeys(wrong)))
    return found


def _distinct(names: list[str]) -> list[str]:
    """Names without duplicates: `a` and `a (2)` for two specs with the name `a`."""
    before = [names[:index].count(name) for index, name in enumerate(names)]
    return [
        f"{name} ({count + 1})" if count else name
        for name, count in zip(names, before, strict=True)
    ]


def prepared(loaded: Loaded, name: str) -> tuple[Subject, dict[str, Any]]:
    """Compile a spec; returns it with what is known about it before it runs, as JSON.

    Raises:
        RunError: it does not fit into memory.
    """
    with enough_memory(name):
        return _prepared(loaded, name)


def _prepared(loaded: Loaded, name: str) -> tuple[Subject, dict[str, Any]]:
    program: Program = api.compile(loaded)
    calls = Calls(calls_of(program.plan).steps, False)
    lowered, lowering = timed(lambda: lower_update(program, calls))
    executable, compiling = timed(lambda: compile_for_memory(lowered, ynnpack(program.plan)))
    compiled = reported(program, executable)
    state = program.init(loaded.experiment.seed)
    records = random_records(program, calls.steps)

    def call(state: Any, records: Any) -> Any:
        return compiled.call(state, records, None)

    subject = Subject(name, call, state, records, calls.steps)
    facts = {
        "name": name,
        "file": str(loaded.file),
        "sha256": spec_hash(loaded),
        "batch_size": loaded.experiment.data.batch_size,
        "steps_per_call": subject.steps,
        "compile_s": {"lowering": lowering, "xla": compiling},
        "memory": {
            "temporary_bytes": compiled.temporary_bytes,
            "argument_bytes": compiled.argument_bytes,
            "state_bytes": compiled.state_bytes,
        },
        "flops": {"plan": update_flops(program.plan), "xla": compiled.flops},
    }
    return subject, facts


def _environment() -> dict[str, Any]:
    """Versions, devices, CPU count and the source's commit."""
    record = collect(command=sys.argv, hashes={}, seeds={}, source_dir=Path.cwd())
    return {name: value for name, value in record.items() if name not in ("hashes", "seeds")}
