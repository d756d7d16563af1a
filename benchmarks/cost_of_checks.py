"""What the checks of a run cost: digests a step and a line, finite numbers and seals a save.

    python benchmarks/cost_of_checks.py [SPEC ...] [--rounds 30]

Each is measured by itself, warm, and given in microseconds and relative to what it goes with: a
step, or a save until its files are on disk. Medians; without SPEC the quickstart's and a larger
network.
"""

import argparse
import statistics
import tempfile
import time
from collections.abc import Callable
from dataclasses import asdict
from pathlib import Path
from typing import Any

import jax
import numpy as np

import fgspec
from compiler.cost.compiled import compile_update
from compiler.cost.updates_per_call import calls_of
from fgspec.data.pipeline import (
    NOTHING_CONSUMED,
    IdentifiedBatches,
    TrainBatches,
    chosen_examples,
    consumed,
    train_batches,
)
from fgspec.data.sources import read
from fgspec.loading.spec_file import Loaded, load, loads
from fgspec.show.text import columns
from fgspec.training.checkpoint import Checkpointer
from fgspec.training.device_calls import functions
from fgspec.training.health import Health
from fgspec.training.logbook import Logbook

SPECS = Path(__file__).parents[1] / "specs"
LARGER = """
fgspec: 1
name: larger
rule: bp
data: {source: {type: synthetic, image: [32, 32, 3], train_examples: 4096}, batch_size: 128}
architecture: {type: mlp, hidden: [1024, 1024, 1024]}
optimizer: {type: adam, learning_rate: 0.0001}
training: {steps: 64}
"""


def median(act: Callable[[], Any], rounds: int) -> float:
    """Seconds of one call, after one to warm up."""
    act()
    found = []
    for _ in range(rounds):
        began = time.perf_counter()
        act()
        found.append(time.perf_counter() - began)
    return statistics.median(found)


def measured(loaded: Loaded, rounds: int) -> list[tuple[str, ...]]:
    """Rows of a table for one spec."""
    program, dataset = fgspec.compile(loaded), read(loaded.experiment.data.source)
    calls, spec = calls_of(program.plan), loaded.experiment
    call = functions(program, dataset, calls, compile_update(program, calls).call)
    batches = TrainBatches(
        dataset.train_images, dataset.train_labels, spec.data.batch_size, spec.order_seed, 10**6
    )
    if calls.resident:
        reading = chosen_examples(batches, 0)
    else:
        reading = train_batches(IdentifiedBatches(batches), 0)
    taken = [next(reading) for _ in range(calls.steps)]
    records = {name: np.stack([one[name] for one in taken]) for name in taken[0]}
    examples = records.pop("examples")
    at = {"state": program.init(spec.seed)}

    def update() -> None:
        at["state"], at["metrics"] = jax.block_until_ready(call.updates(at["state"], records))

    step = median(update, rounds) / calls.steps
    state, health = at["state"], Health(call.scales, {})
    values = {name: list(map(float, each)) for name, each in at["metrics"].items()}
    line = {name: each[0] for name, each in values.items()}
    rows = [("", "microseconds", "share")]

    def row(what: str, seconds: float, of: float) -> None:
        rows.append((what, f"{seconds * 1e6:.1f}", f"{seconds / of:.3%}"))

    with tempfile.TemporaryDirectory() as folder:
        logbook = Logbook(Path(folder) / "metrics.jsonl")
        about = {"epoch": 1.5, "examples": NOTHING_CONSUMED}
        saver = Checkpointer(Path(folder) / "checkpoints", keep=1, identity="0" * 64)
        steps = iter(range(1, 10**6))

        def save() -> None:
            saver.save(next(steps), state, {"log": asdict(logbook.seal())})
            saver.wait()

        save_time = median(save, max(rounds // 3, 3))
        row("a step", step, step)
        row("  hash of its examples", median(lambda: consumed("", examples[0]), rounds), step)
        per_step = median(lambda: health.refuse_steps(0, values), rounds) / calls.steps
        row("  its metrics are finite", per_step, step)
        log_time = median(lambda: logbook.write(1, line, about), rounds)
        row("a line of the log, whole", log_time, step)
        row("  its learning rate", median(lambda: call.learning_rate(7), rounds), step)
        row("a save, until it is on disk", save_time, save_time)
        row("  all arrays are finite", median(lambda: call.not_finite(state), rounds), save_time)
        row("  seal of the log", median(logbook.seal, rounds), save_time)
        saver.close()
        logbook.close()
    return rows


def main() -> None:
    """Print a table for every spec."""
    asked = argparse.ArgumentParser()
    asked.add_argument("specs", nargs="*", type=Path)
    asked.add_argument("--rounds", type=int, default=30)
    found = asked.parse_args()
    specs = [load(path) for path in found.specs]
    for loaded in specs or [load(SPECS / "quickstart.yaml"), loads(LARGER)]:
        print(loaded.experiment.name)
        print("\n".join(columns(measured(loaded, found.rounds))), flush=True)


if __name__ == "__main__":
    main()
