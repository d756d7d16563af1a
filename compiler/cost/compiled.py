"""Compiled updates: what XLA says of them, and arguments to run them with."""

from functools import lru_cache
from math import prod
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array

from compiler.cost.update_flops import update_flops
from compiler.cost.updates_per_call import Calls
from compiler.plan.loops import written_out
from compiler.plan.plan import Plan
from compiler.plan.sharding import spread
from compiler.update.program import Program


class CompiledUpdate(NamedTuple):
    """The compiled update and what the compiler reports of it.

    Attributes:
        call: (State, records, whole) -> (State, metrics), see `Program.updates`; donates the
            state.
        flops: FLOPs by XLA's count, which takes the body of a scan once.
        state_bytes: parameters, optimizer state and key.
        argument_bytes: the state and the batch.
        temporary_bytes: everything allocated during a call besides arguments and results.
    """

    call: Any
    flops: float
    state_bytes: int
    argument_bytes: int
    temporary_bytes: int


ONE = Calls(1, False)


def compile_update(program: Program, calls: Calls = ONE) -> CompiledUpdate:
    """Compile the update for the shapes of its plan, without running anything."""
    return compiled_update(program, lower_update(program, calls))


def compiled_update(program: Program, lowered: jax.stages.Lowered) -> CompiledUpdate:
    """Compile what `lower_update` has traced."""
    return reported(program, compile_for_memory(lowered, ynnpack(program.plan)))


ORDER = {"xla_cpu_scheduler_type": "CPU_SCHEDULER_TYPE_MEMORY_OPTIMIZED"}
"""Of operations on a CPU, that takes little memory.

XLA's default there lets as many run at once as can, which took 5.3 GiB instead of 1.9 in backprop
through 16 blocks, and was slower on two cores.
"""

YNNPACK = {
    "products": {
        "xla_cpu_experimental_ynn_fusion_type": "LIBRARY_FUSION_TYPE_INDIVIDUAL_DOT",
    },
    "none": {"xla_cpu_experimental_ynn_fusion_type": ""},
    "all": {},
}
"""Options of XLA for what it gives to YNNPACK, by the value of `compile.ynnpack`.

Time of an update with products instead of all, two cores, jax 0.10.2: 0.68 of LG-FG-A on M/1/16,
0.84 on S/1/1, 0.91 of BP on S/1/1, 0.96 on M/8/16 of 4 blocks with 442 instead of 574 MiB, 0.77 on
ResNet-18; but 1.1 and 1.3 of BP on an MLP of twice 1,024 and 2,048 without normalization, where
elementwise operations around products are quicker in the library.

With jax 0.12.0 short sums no longer wait: 1.21 of BP on S/1/1, 1.09 on M/1/16, 1.01 on M/8/16 with
442 instead of 541 MiB; of LG-FG-A along signs 1.11, 0.92 and 0.99 with 153 instead of 264 MiB;
along normal noise, whose inverse error function is quicker in the library, 1.08, 1.06 and 1.52; and
0.87 to 0.90 on ResNet-18.
"""

QUICK_SUMS = jax.__version_info__ >= (0, 11)
"""Whether a short sum in YNNPACK is cheap: not with 0.10.2, but with 0.12.0; 0.11 was not tried."""

HEAVY = 1e9
"""FLOPs of an update from which `auto` saves memory, where sums are quick.

M/1/16 takes a quarter of that and M/8/16 fifty times as many; between them only memory was
measured: overlapping losses of 1.7 GFLOP take 59 MiB of temporaries with all sums in YNNPACK.
"""


def ynnpack(plan: Plan) -> str:
    """What XLA gives to YNNPACK, a key of `YNNPACK`: as the spec says, or as is quickest.

    Empty where there is no such library, as the backend is no CPU.
    """
    if jax.default_backend() != "cpu":
        return ""
    choice = plan.experiment.compile.ynnpack
    if choice != "auto":
        return choice
    if written_out(plan):
        return "products"
    if not any(True for _ in plan.normalizations()):
        return "all"
    library_faster = QUICK_SUMS and (_draws_numbers(plan) or update_flops(plan) < HEAVY)
    return "all" if library_faster else "products"


def _draws_numbers(plan: Plan) -> bool:
    """Whether a step draws a random word for every number, and not for many signs."""
    guess = None if plan.perturbation is None else plan.perturbation.guess
    return guess is not None and not guess.made and not guess.stored


def compile_for_memory(lowered: jax.stages.Lowered, given: str = "all") -> jax.stages.Compiled:
    """Compile; on a CPU in an order of operations that takes little memory.

    Args:
        lowered: what to compile.
        given: what XLA gives to YNNPACK; a key of `YNNPACK`.
    """
    # Here and not in `Program.update`: a jitted function with options cannot be called by another.
    return lowered.compile(dict(_known(given)) if jax.default_backend() == "cpu" else None)


@lru_cache
def _known(given: str) -> dict[str, str]:
    """The options for a CPU; XLA's own choice where this XLA does not know that of YNNPACK."""
    try:
        jax.jit(lambda: 0).lower().compile(dict(YNNPACK[given]))
    except jax.errors.JaxRuntimeError:
        return ORDER
    return ORDER | YNNPACK[given]


def lower_update(program: Program, calls: Calls = ONE) -> jax.stages.Lowered:
    """Trace and lower the update for the shapes of its plan; `compile_for_memory` is XLA's work."""
    return program.updates.lower(*abstract_arguments(program, calls))


def reported(program: Program, compiled: jax.stages.Compiled) -> CompiledUpdate:
    """What the compiler reports of the compiled update of `program`."""
    state, _, _ = abstract_arguments(program)
    memory: Any = compiled.memory_analysis()
    analysis: Any = compiled.cost_analysis() or {}
    return CompiledUpdate(
        call=compiled,
        flops=float(analysis.get("flops", 0.0)),
        state_bytes=sum(prod(leaf.shape) * leaf.dtype.itemsize for leaf in jax.tree.leaves(state)),
        argument_bytes=int(memory.argument_size_in_bytes),
        temporary_bytes=int(memory.temp_size_in_bytes),
    )


def abstract_arguments(program: Program, calls: Calls = ONE) -> tuple[Any, Any, Any]:
    """Shapes of the state, of the records of a call and of the resident set, and where they lie."""
    plan = program.plan
    examples, size = plan.data.train_examples, plan.experiment.data.batch_size
    state = program.abstract()
    if calls.resident:
        index = jax.ShapeDtypeStruct((calls.steps, size), jnp.int32)
        records, whole = {"index": index}, plan.images(examples)
        return state, _records(plan, records), {name: spread(plan, s) for name, s in whole.items()}
    return state, _records(plan, plan.images(calls.steps, size)), None


def _records(plan: Plan, shapes: dict[str, jax.ShapeDtypeStruct]) -> dict[str, Any]:
    return {name: spread(plan, shape, (None, "batch")) for name, shape in shapes.items()}


def random_records(program: Program, steps: int = 1) -> dict[str, Array]:
    """Noise in the shape of the batches of a call, for measurements: no data set is read."""
    random, data = np.random.default_rng(0), program.plan.data
    _, records, _ = abstract_arguments(program, Calls(steps, False))

    def random_array(name: str, abstract: jax.ShapeDtypeStruct) -> Any:
        if name == "label":
            return random.integers(0, data.classes, abstract.shape, abstract.dtype)
        if jnp.issubdtype(abstract.dtype, jnp.integer):
            return random.integers(0, 256, abstract.shape, abstract.dtype)
        return random.random(abstract.shape, abstract.dtype)

    return {
        name: jax.device_put(random_array(name, shape), shape.sharding)
        for name, shape in records.items()
    }
