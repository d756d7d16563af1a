"""`fgspec train`."""

import importlib
from contextlib import nullcontext
from pathlib import Path
from typing import Any

from rich.console import Console

from fgspec.cli.arguments import ArgumentError, meant, then, with_mesh
from fgspec.loading.spec_file import load
from fgspec.show.lines import say
from fgspec.show.progress import opening, waiting
from fgspec.spec.metrics import TEST, VALID, is_error
from fgspec.training.timings import START

_IMPORTS = "import fgspec and the rest"

_WITH_JAX = ("fgspec.api", "fgspec.cli.joining", "fgspec.processes.join")
"""What waits for JAX, and is imported when the first line is said."""


def run(
    spec: Path | None,
    overrides: list[str] | None,
    run_dir: Path,
    run: Path | None,
    resume: Path | None,
    fork: bool,
    profile: int | None,
    mesh: str | None,
    break_lock: bool,
    timings: bool,
    track: list[str] | None,
    distributed: bool,
    coordinator: str | None,
    num_processes: int | None,
    process_id: int | None,
) -> None:
    """What `fgspec train` does."""
    refuse_unclear("train", spec, run, resume, fork)
    resume = resume and meant(resume)
    over = with_mesh(overrides, mesh)
    START.begun(_IMPORTS)
    console = Console()
    with START.part("read the spec"):
        loaded = load(spec, over) if spec is not None else None
    # Of many processes only the first may speak, and which that is they know once JAX is there.
    alone = not (distributed or coordinator)
    if loaded is not None and alone:
        say(console, opening(loaded))
    wait = waiting("importing JAX", console) if alone else nullcontext()
    with wait, START.part(_IMPORTS):
        api, joining, join = map(importlib.import_module, _WITH_JAX)
    many = joining.joined(distributed, coordinator, num_processes, process_id)
    if loaded is not None:
        if many and join.is_first():
            say(console, opening(loaded))
        api.refuse_untold(loaded)
    asked = {"run_dir": run_dir, "run": run, "resume": resume, "profile": profile or 0}
    asked |= {"timings": START if timings else None, "track": track or ()}
    asked |= {"break_lock": break_lock, "fork": fork, "overrides": over if loaded is None else ()}
    with join.leaving_promptly() if many else nullcontext():
        summary = api.train(loaded, console=console, **asked)
    if join.is_first():
        for line in _ending(summary):
            say(console, line)
        then("report", summary["run"])


def refuse_unclear(
    command: str, spec: Path | None, run: Path | None, resume: Path | None, fork: bool
) -> None:
    """What to train must be one spec or one run.

    Raises:
        ArgumentError: it is none, or two.
    """
    if spec is None and resume is None:
        raise ArgumentError(f"{command}: give a SPEC, or --resume RUN")
    if fork and resume is None:
        raise ArgumentError(f"{command}: --fork needs --resume RUN, the run that it begins from")
    if run is not None and not fork and (spec is None or resume is not None):
        raise ArgumentError(f"{command}: --run needs a SPEC, and takes the place of --resume")


def _ending(summary: dict[str, Any]) -> list[str]:
    metrics = summary["metrics"]
    told = [
        name
        for which in (VALID, TEST)
        for name in (*filter(is_error, sorted(metrics)), f"{which}/loss")
        if name.startswith(f"{which}/") and name in metrics
    ]
    named = [f"{name} {metrics[name]:.4f}" for name in told]
    early = ", stopped early" if summary.get("stopped_early") else ""
    lines = [f"done at step {summary['step']}{early}: {', '.join(named)}"]
    if best := summary.get("best"):
        lines.append(f"best at step {best['step']}: {best['metric']} {best['value']:.4f}")
    expected = summary.get("expectation")
    if expected is not None:
        agrees = "within" if expected["within"] else "NOT within"
        lines.append(
            f"expected {expected['metric']} {expected['expected']:g} +- {expected['tolerance']:g} "
            f"({expected['source']}): measured {expected['measured']:.4f}, {agrees}"
        )
    return lines
