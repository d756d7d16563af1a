"""A compiled program as the loop calls it: with what each process reads, on all devices."""

from collections.abc import Callable, Mapping
from dataclasses import replace
from functools import cache, partial
from typing import Any

import jax
import numpy as np
from numpy.typing import NDArray

from compiler.cost.compiled import abstract_arguments, compile_update
from compiler.cost.updates_per_call import Calls
from compiler.plan.plan import Plan
from compiler.plan.sharding import layout_of, spread
from compiler.update.program import Program, one_by_one
from fgspec.data.dataset import Dataset, Images
from fgspec.data.pipeline import Rows
from fgspec.processes.join import from_own, from_whole, own_rows
from fgspec.spec.metrics import TEST, VALID
from fgspec.training.loop import Batch, Functions
from fgspec.training.timings import Timings

Arrays = Mapping[str, NDArray[Any]]


def rows_of(program: Program, calls: Calls) -> Rows:
    """Places in every training batch that this process reads."""
    _, records, _ = abstract_arguments(program, calls)
    return own_rows(next(iter(records.values())), axis=1)


def timed(called: Functions, timings: Timings, show: Callable[[str], None]) -> Functions:
    """The same functions; after the first update `show` gets the lines of where time went.

    That update is waited for.
    """
    first = True

    def init(seed: int) -> Any:
        with timings.part("the first state"):
            return jax.block_until_ready(called.init(seed))

    def updates(state: Any, records: Any) -> Any:
        nonlocal first
        if not first:
            return called.updates(state, records)
        first = False
        with timings.part("the first update"):
            done = jax.block_until_ready(called.updates(state, records))
        for line in timings.lines():
            show(line)
        return done

    return replace(called, init=init, updates=updates)


def functions(program: Program, dataset: Dataset, calls: Calls, compiled: Any) -> Functions:
    """What the loop calls, with records of those rows that `rows_of` names.

    Args:
        program: pure functions.
        dataset: its data.
        calls: what one call of the compiled update is.
        compiled: the update compiled for such calls.
    """
    training: Mapping[str, Any] = {}
    if calls.resident:
        training = {"image": dataset.train_images, "label": dataset.train_labels}
    lies = abstract_arguments(program, calls)[2]
    whole = {name: from_whole(training[name], lies[name]) for name in lies} if lies else None
    # Simulated devices wait for each other for ever where calls with collectives pile up.
    alone = layout_of(program.plan.experiment.mesh).devices == 1 or jax.default_backend() != "cpu"

    @cache
    def compiled_for(own: Program, steps: int) -> tuple[Any, Any]:
        shorter = calls._replace(steps=steps)
        _, records, _ = abstract_arguments(program, shorter)
        known = steps == calls.steps and own == program.at(0)
        return (compiled if known else compile_update(own, shorter).call), records

    def call(state: Any, records: Any) -> Any:
        own = program.at(int(state.step)) if program.by_host else program
        update, like = compiled_for(own, len(next(iter(records.values()))))
        own_records = {name: from_own(records[name], like[name]) for name in like}
        done = update(state, own_records, whole)
        return done if alone else jax.block_until_ready(done)

    def updates(state: Any, records: Any) -> Any:
        return one_by_one(call, state, records) if program.by_host else call(state, records)

    def diagnose(state: Any, records: Any) -> Any:
        own = {name: part[0] for name, part in records.items()}
        if calls.resident:
            own = {name: part[own["index"]] for name, part in training.items()}
        size = program.plan.experiment.data.batch_size
        return program.diagnose(state, _global(program, own, size))

    return Functions(
        program.init,
        program.abstract,
        updates,
        partial(evaluated, program),
        diagnose,
        steps=calls.steps,
        not_finite=program.not_finite,
        learning_rate=program.learning_rate,
        scales=scales_of(program.plan),
    )


def scales_of(plan: Plan) -> dict[str, float]:
    """What each loss among the metrics is for a model that knows nothing."""
    answer = plan.answer.scale(plan.data)
    found = {f"{when}/loss": answer for when in ("train", VALID, TEST)}
    found["train/objective"] = plan.objective.scale(plan.data)
    return found | {
        f"local_loss/{site.name}": plan.objective_at(site).scale(plan.data)
        for site in plan.headed_sites()
    }


def _global(program: Program, own: Arrays, size: int) -> Batch:
    """A batch of `size` examples of which every process has the rows it reads."""
    shapes = {n: jax.ShapeDtypeStruct((size, *p.shape[1:]), p.dtype) for n, p in own.items()}
    return {n: from_own(own[n], spread(program.plan, shapes[n], ("batch",))) for n in own}


def evaluated(program: Program, state: Any, batch: Mapping[str, Images]) -> Any:
    """Sums over a batch of the test set, of which each process reads what its devices hold."""
    put: dict[str, Any] = {}
    for name, part in batch.items():
        like = spread(program.plan, part, ("batch",))
        own = own_rows(like, axis=0)
        rows = np.arange(len(part)) if own is None else own
        put[name] = from_own(part.take(rows, axis=0), like)
    return program.evaluate(state, put)
