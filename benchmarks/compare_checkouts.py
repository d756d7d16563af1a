"""Two checkouts side by side: time, memory and compile time of the same updates, in turns.

    python benchmarks/compare_checkouts.py --before PYTHON --after PYTHON
        [--rounds N] [--only NAME ...] [--json FILE]

PYTHON is the interpreter of an environment in which a checkout of fgspec is installed. For each
case either environment gets a process of its own, which compiles the update for random images; then
both take turns, one at a time, so that what else the machine does falls on both. A round is some
turns in the order before, after, after, before, or the other way round, of which the quickest of
either counts. Ratios are taken within a round: of the time that passed, and of that which the
processor spent, which others move less and which says nothing on an accelerator. Seconds to trace
and compile are of the processor too; the JSON has those that passed. Name one environment twice to
see how far apart equal things are.
"""

import argparse
import importlib
import json
import math
import os
import subprocess
import sys
import tempfile
import time
import traceback
from collections.abc import Callable, Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import Any, NamedTuple

TURN = 0.1
"""Seconds that a turn of the slower of the two is meant to take."""

REPEATS = 4
"""How often a round has its four turns where one call takes less than `TURN`; else once."""

MOST = 1000
"""Calls in a turn at most; there is one at least, besides one to warm up."""

ENVIRONMENT = {
    "FGSPEC_CACHE": "off",
    "JAX_ENABLE_COMPILATION_CACHE": "false",
    "XLA_PYTHON_CLIENT_PREALLOCATE": "false",
    "TF_CPP_MIN_LOG_LEVEL": "2",
}
"""Of workers: everything is compiled anew, and two of them share a device."""

Tree = dict[str, Any]


# Cases


def spec_of(name: str, rule: str, guess: str, source: str, batch: int, architecture: Tree) -> Tree:
    """A spec as in `specs/ren2022/table3`, along a guess where its rule perturbs."""
    perturbed = {"gradient": {"perturbation": {"guess": {"type": guess}}}}
    return {
        "fgspec": 1,
        "name": name,
        "rule": rule,
        "data": {"source": {"type": source}, "batch_size": batch},
        "architecture": architecture,
        "optimizer": {
            "type": "sgd",
            "learning_rate": 0.01,
            "momentum": 0.9,
            "weight_decay": 1e-4,
            "schedule": {"type": "linear"},
            "factors": {"classifier": 0.1},
        },
        "training": {"epochs": 200, "evaluate_every": {"epochs": 5}, "log_every": {"epochs": 1}},
        "checkpoint": {"every": {"epochs": 5}},
        **(perturbed if "fg" in rule else {}),
    }


def _mixer(blocks: int, patches: int, channels: int, groups: int) -> Tree:
    sizes = {"blocks": blocks, "patches": patches, "channels": channels, "groups": groups}
    return {"type": "local_mixer", **sizes}


NETWORKS: dict[str, tuple[str, int, Tree]] = {
    "S/1/1": ("mnist", 128, _mixer(1, 1, 256, 1)),
    "M/1/16": ("mnist", 128, _mixer(1, 1, 512, 16)),
    "M/8/16 4 blocks": ("cifar10", 128, _mixer(4, 8, 512, 16)),
    "M/8/16 16 blocks": ("cifar10", 128, _mixer(16, 8, 512, 16)),
    "M/8/16 64 blocks": ("cifar10", 128, _mixer(64, 8, 512, 16)),
    "ResNet-18 8 blocks": ("cifar10", 8, {"type": "resnet18", "blocks": 8}),
}
"""Source (its shapes only are read), batch size and architecture."""

RULES = {
    "bp": ("bp", ""),
    "lg-bp": ("lg-bp", ""),
    "lg-fg-a": ("lg-fg-a", "rademacher"),
    "lg-fg-w": ("lg-fg-w", "rademacher"),
    "lg-fg-a normal": ("lg-fg-a", "normal"),
}
"""Rule and guess."""

CASES: dict[str, Tree] = {
    f"{network} {name}": spec_of("case", *rule, source, batch, architecture)
    for network, (source, batch, architecture) in NETWORKS.items()
    for name, rule in RULES.items()
}
"""Specs by name."""

TINY = spec_of("tiny", "lg-fg-a", "rademacher", "mnist", 4, _mixer(2, 2, 4, 2))
"""Traced and compiled first: the first of a process takes longer."""


# Worker: all that imports fgspec, in the interpreter of a checkout


def _found(*places: str) -> Any:
    """The first of the `module:name` places that there is.

    Raises:
        ImportError: there is none of them.
    """
    for place in places:
        module, name = place.split(":")
        try:
            return getattr(importlib.import_module(module), name)
        except (ImportError, AttributeError):
            continue
    raise ImportError(f"this checkout has none of {', '.join(places)}; add where it is now")


class Names(NamedTuple):
    """What a worker takes from fgspec."""

    load: Callable[[str], Any]  # the path of a file -> a spec
    compile: Callable[[Any], Any]  # a spec -> program, with .plan and .init(seed)
    calls_of: Callable[[Any], Any]  # plan -> what a call of a run is, with .steps
    call: Callable[[int, bool], Any]  # so many steps, whether the training set is on the device
    lower: Callable[[Any, Any], Any]  # program, call -> the update as a jax.stages.Lowered
    to_binary: Callable[[Any, Any], Any]  # program, that -> a jax.stages.Compiled
    records: Callable[[Any, int], Any]  # program, steps -> random batches of a call


def _compiles() -> Callable[[Any, Any], Any]:
    """(program, lowered) -> compiled, with the options that the checkout gives to XLA."""
    compile = _found(
        "compiler.cost.compiled:compile_for_memory", "compiler.analyze.compiled:compile_for_memory"
    )
    try:
        ynnpack = _found("compiler.cost.compiled:ynnpack")
    except ImportError:  # older ones ask for the same whatever the program
        return lambda program, lowered: compile(lowered)
    return lambda program, lowered: compile(lowered, ynnpack(program.plan))


def _names() -> Names:
    """The only imports of fgspec. Where a name has moved, add its new place in front."""
    return Names(
        load=_found("fgspec:load", "fgspec.api:load"),
        compile=_found("fgspec:compile", "fgspec.api:compile"),
        calls_of=_found(
            "compiler.cost.updates_per_call:calls_of", "compiler.analyze.calls:calls_of"
        ),
        call=_found("compiler.cost.updates_per_call:Calls", "compiler.analyze.calls:Calls"),
        lower=_found(
            "compiler.cost.compiled:lower_update", "compiler.analyze.compiled:lower_update"
        ),
        to_binary=_compiles(),
        records=_found(
            "compiler.cost.compiled:random_records", "compiler.analyze.compiled:random_records"
        ),
    )


class _Worker:
    """One compiled update, called when the parent says so."""

    def __init__(self) -> None:
        import jax

        import fgspec

        self._jax, self._names = jax, _names()
        self.about = {
            "python": sys.executable,
            "fgspec": str(Path(fgspec.__file__).parent),
            "jax": jax.__version__,
            "device": jax.devices()[0].device_kind,
        }

    def prepare(self, spec: Tree) -> Tree:
        """Compile a spec; its costs, and the seconds of a warm call."""
        self._compiled(TINY)
        program, steps, executable, seconds = self._compiled(spec)
        self._call, self._steps = executable, steps
        self._state = program.init(0)
        self._records = self._names.records(program, steps)
        self._run(1)  # the first call allocates
        return {
            **seconds,
            "temporary_bytes": int(executable.memory_analysis().temp_size_in_bytes),
            "steps_per_call": steps,
            "call_s": min(self._run(1) for _ in range(2)),
            "about": self.about,
        }

    def turn(self, calls: int) -> Tree:
        """Seconds that an update takes, after a call that brings its data near again."""
        self._run(1)
        spent, updates = time.process_time(), calls * self._steps
        seconds = self._run(calls)
        return {
            "seconds": seconds / updates,
            "cpu_seconds": (time.process_time() - spent) / updates,
        }

    def _compiled(self, spec: Tree) -> tuple[Any, int, Any, dict[str, float]]:
        """Program, updates in a call, the compiled update, and seconds to lower and compile."""
        names = self._names
        with tempfile.TemporaryDirectory() as folder:
            file = Path(folder) / "case.yaml"
            file.write_text(json.dumps(spec))  # which is YAML
            program = names.compile(names.load(str(file)))
        steps = names.calls_of(program.plan).steps
        call = names.call(steps, False)
        lowered, lowering = _timed(lambda: names.lower(program, call))
        executable, compiling = _timed(lambda: names.to_binary(program, lowered))
        seconds = {
            "lowering_s": lowering[0],
            "lowering_cpu_s": lowering[1],
            "xla_s": compiling[0],
            "xla_cpu_s": compiling[1],
        }
        return program, steps, executable, seconds

    def _run(self, calls: int) -> float:
        began, state, metrics = time.perf_counter(), self._state, None
        for _ in range(calls):
            state, metrics = self._call(state, self._records, None)
        self._jax.block_until_ready((state, metrics))
        self._state = state
        return time.perf_counter() - began


def _timed(function: Callable[[], Any]) -> tuple[Any, tuple[float, float]]:
    """What `function` returns, the seconds that passed and those of the processor."""
    began, spent = time.perf_counter(), time.process_time()
    result = function()
    return result, (time.perf_counter() - began, time.process_time() - spent)


def _work() -> None:
    """Answer requests of the parent, a line of JSON each, until there are no more."""
    with os.fdopen(os.dup(1), "w") as answers:
        os.dup2(2, 1)  # what libraries print is no answer
        worker: _Worker | None = None
        for line in sys.stdin:
            request = json.loads(line)
            try:
                worker = worker or _Worker()
                answer = getattr(worker, request["do"])(**request["with"])
            except Exception as error:
                traceback.print_exc()
                answer = {"error": f"{type(error).__name__}: {error}"}
            answers.write(json.dumps(answer) + "\n")
            answers.flush()


# Parent


class Failed(Exception):
    """A worker could not do what it was asked."""


class Process:
    """A worker in the environment of `python`; leaving the context ends it."""

    def __init__(self, python: str) -> None:
        kept = {k: v for k, v in os.environ.items() if k not in ("PYTHONPATH", "PYTHONHOME")}
        self._name = python
        self._process = subprocess.Popen(
            [python, "-P", str(Path(__file__).resolve()), "--worker"],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            env=kept | ENVIRONMENT,
            cwd=tempfile.gettempdir(),  # no checkout lies there
        )

    def __enter__(self) -> "Process":
        """The worker itself."""
        return self

    def __exit__(self, *_: object) -> None:
        """End the process, whatever it is doing."""
        self._process.kill()
        self._process.wait()
        for pipe in (self._process.stdin, self._process.stdout):
            if pipe is not None:
                pipe.close()

    def ask(self, do: str, **arguments: Any) -> Tree:
        """The worker's answer; nothing else goes on until it comes.

        Raises:
            Failed: there is none, or it is an error.
        """
        process: Any = self._process  # whose pipes are there
        try:
            print(json.dumps({"do": do, "with": arguments}), file=process.stdin, flush=True)
            line = process.stdout.readline()
        except BrokenPipeError:
            line = ""
        if not line:
            raise Failed(f"{self._name}: ended with {self._process.wait()} during {do}")
        answer = json.loads(line)
        if "error" in answer:
            raise Failed(f"{self._name}: {answer['error']}")
        return answer


def compare(spec: Tree, pythons: Sequence[str], rounds: int) -> Tree:
    """Figures of one case in two environments.

    Args:
        spec: the case.
        pythons: the interpreters before and after.
        rounds: turns of each.

    Raises:
        Failed: either environment cannot run the case.
    """
    with ExitStack() as stack:
        workers = [stack.enter_context(Process(python)) for python in pythons]
        costs = [worker.ask("prepare", spec=spec) for worker in workers]
        slower = max(cost["call_s"] for cost in costs)
        # As many calls of each, unless a call of one makes more updates.
        updates = max(1, math.ceil(TURN / slower)) * max(c["steps_per_call"] for c in costs)
        calls = [min(MOST, math.ceil(updates / cost["steps_per_call"])) for cost in costs]
        repeats = REPEATS if slower < TURN else 1
        found = [_round(workers, calls, turn % 2, repeats) for turn in range(rounds)]
    sides = [
        cost
        | {"calls": count}
        | {field: spread([one[which][kind] for one in found]) for field, kind in TIMES.items()}
        for which, (cost, count) in enumerate(zip(costs, calls, strict=True))
    ]
    ratios = {
        kind: spread([one[1][kind] / one[0][kind] for one in found]) for kind in TIMES.values()
    }
    return {
        "before": sides[0],
        "after": sides[1],
        "ratio": ratios["seconds"],
        "cpu_ratio": ratios["cpu_seconds"],
    }


TIMES = {"step_time_s": "seconds", "cpu_time_s": "cpu_seconds"}
"""What figures call the times that a worker answers."""


def _round(
    workers: Sequence[Process], calls: Sequence[int], first: int, repeats: int
) -> list[dict[str, float]]:
    """The times of an update of both workers, in the quickest turn of each."""
    answers: list[list[Tree]] = [[], []]
    for which in (first, 1 - first, 1 - first, first) * repeats:
        answers[which].append(workers[which].ask("turn", calls=calls[which]))
    return [
        {kind: min(answer[kind] for answer in own) for kind in TIMES.values()} for own in answers
    ]


def spread(values: Sequence[float]) -> Tree:
    """Median, quartiles and all values, one a round."""
    low, middle, high = (_quantile(sorted(values), share) for share in (0.25, 0.5, 0.75))
    return {
        "median": middle,
        "lower_quartile": low,
        "upper_quartile": high,
        "rounds": list(values),
    }


def _quantile(ordered: Sequence[float], share: float) -> float:
    """Between the two nearest values, as NumPy has it; workers alone need NumPy."""
    at = share * (len(ordered) - 1)
    below = math.floor(at)
    above = min(below + 1, len(ordered) - 1)
    return ordered[below] + (at - below) * (ordered[above] - ordered[below])


HEAD = (
    "case",
    "ms before",
    "ms after",
    "after/before",
    "quartiles",
    "by CPU time",
    "temporary MiB",
    "trace, lower CPU s",
    "XLA CPU s",
)
WIDTHS = (max(len(name) for name in CASES), 9, 9, 12, 11, 11, 15, 18, 13)


def _row(name: str, found: Tree) -> tuple[str, ...]:
    sides, ratio = (found["before"], found["after"]), found["ratio"]
    took = [f"{side['step_time_s']['median'] * 1e3:.4g}" for side in sides]
    memory = " / ".join(f"{side['temporary_bytes'] / 2**20:.4g}" for side in sides)
    lowering = " / ".join(f"{side['lowering_cpu_s']:.2f}" for side in sides)
    compiling = " / ".join(f"{side['xla_cpu_s']:.2f}" for side in sides)
    quartiles = f"{ratio['lower_quartile']:.3f}-{ratio['upper_quartile']:.3f}"
    by_cpu = f"{found['cpu_ratio']['median']:.3f}"
    return name, *took, f"{ratio['median']:.3f}", quartiles, by_cpu, memory, lowering, compiling


def _line(cells: Sequence[str]) -> str:
    """Aligned cells of a Markdown table."""
    padded = (cell.ljust(width) for cell, width in zip(cells, WIDTHS, strict=True))
    return f"| {' | '.join(padded)} |"


def _notes(name: str, found: Tree) -> list[str]:
    before, after = found["before"], found["after"]
    if before["steps_per_call"] == after["steps_per_call"]:
        return []
    counts = f"{before['steps_per_call']} updates before, {after['steps_per_call']} after"
    return [f"note: {name}: a call makes {counts}; temporaries and times are of such calls"]


def run(names: Sequence[str], pythons: Sequence[str], rounds: int) -> dict[str, Tree]:
    """Print a row of every case as soon as it is known, and return the figures."""
    results: dict[str, Tree] = {}
    print(_line(HEAD), _line(["-" * width for width in WIDTHS]), sep="\n", flush=True)
    notes: list[str] = []
    for name in names:
        try:
            results[name] = compare(CASES[name], pythons, rounds)
        except Failed as error:
            results[name] = {"error": str(error)}
            notes.append(f"note: {name}: {error}")
            print(_line((name, *["failed"] * 2, *["-"] * (len(HEAD) - 3))), flush=True)
        else:
            notes += _notes(name, results[name])
            print(_line(_row(name, results[name])), flush=True)
    about = next((found for found in results.values() if "error" not in found), {})
    for side in ("before", "after") if about else ():
        own = about[side]["about"]
        notes.append(f"{side}: {own['fgspec']}, jax {own['jax']} on {own['device']}")
    print("", *notes, f"medians of {rounds} rounds", sep="\n")
    return results


def main() -> None:
    """Compare the cases that are named, or all."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--before", required=True, metavar="PYTHON", help="of the one environment")
    parser.add_argument("--after", required=True, metavar="PYTHON", help="of the other")
    parser.add_argument("--rounds", type=int, default=7, help="turns of each (default 7)")
    parser.add_argument(
        "--only",
        action="append",
        metavar="NAME",
        help=f"cases whose names contain this, may be repeated; all are {', '.join(CASES)}",
    )
    parser.add_argument("--json", type=Path, metavar="FILE", help="write all figures to this file")
    given = parser.parse_args()
    if given.rounds < 1:
        parser.error("--rounds: give at least 1")
    unknown = [part for part in given.only or () if not any(part in name for name in CASES)]
    if unknown:
        parser.error(f"--only: no case contains {', '.join(unknown)}; known: {', '.join(CASES)}")
    chosen = [n for n in CASES if not given.only or any(part in n for part in given.only)]
    results = run(chosen, (given.before, given.after), given.rounds)
    if given.json is not None:
        given.json.write_text(json.dumps({"rounds": given.rounds, "cases": results}, indent=2))
    sys.exit(any("error" in found for found in results.values()))


if __name__ == "__main__":
    if sys.argv[1:] == ["--worker"]:
        _work()
    else:
        main()
