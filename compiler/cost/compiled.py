"""Compiling an update: options for XLA, what XLA reports, and arguments to run it with."""

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
    """The compiled update and what XLA reports about it.

    Attributes:
        call: (State, records, whole) -> (State, metrics), see `Program.updates`; donates the
            state.
        flops: FLOPs by XLA's count, which counts the body of a loop once.
        state_bytes: bytes of parameters, optimizer state and key.
        argument_bytes: bytes of the state and the batches of a call.
        temporary_bytes: bytes allocated during a call, without arguments and results.
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
    """Compile the result of `lower_update`."""
    return reported(program, compile_for_memory(lowered, ynnpack(program.plan)))


ORDER = {"xla_cpu_scheduler_type": "CPU_SCHEDULER_TYPE_MEMORY_OPTIMIZED"}
"""Options for an order of operations that needs little memory on a CPU.

XLA's default there runs as many operations at once as possible. In backprop through 16 blocks that
took 5.3 GiB instead of 1.9, and was slower on two cores.
"""

YNNPACK = {
    "products": {
        "xla_cpu_experimental_ynn_fusion_type": "LIBRARY_FUSION_TYPE_INDIVIDUAL_DOT",
    },
    "none": {"xla_cpu_experimental_ynn_fusion_type": ""},
    "all": {},
}
"""Options for which operations XLA leaves to YNNPACK, by the value of `compile.ynnpack`.

YNNPACK is a library for CPUs in XLA. Measured on two cores: the time of an update with `products`,
divided by that with `all`.

* jax 0.10.2: LG-FG-A on M/1/16 0.68, on S/1/1 0.84; BP on S/1/1 0.91, on M/8/16 of 4 blocks 0.96
  (442 MiB instead of 574), on ResNet-18 0.77; but BP on MLPs without normalization, with two layers
  of 1,024 and of 2,048 units, 1.1 and 1.3, because elementwise operations around products are
  faster in YNNPACK.
* jax 0.12.0, where short sums in YNNPACK are cheap: BP on S/1/1 1.21, on M/1/16 1.09, on M/8/16
  1.01 (442 MiB instead of 541); LG-FG-A with signs on the same 1.11, 0.92 and 0.99 (153 MiB
  instead of 264), with normal noise 1.10, 1.01 and 0.97 (212 MiB instead of 309); ResNet-18 0.87
  to 0.90.
"""

QUICK_SUMS = jax.__version_info__ >= (0, 11)
"""Whether short sums in YNNPACK are cheap: not with jax 0.10.2, but with 0.12.0 (0.11 untested)."""

HEAVY = 1e9
"""FLOPs of an update from which `auto` saves memory, where sums are cheap.

M/1/16 needs a quarter of that, M/8/16 fifty times as many. Between them only memory was measured:
overlapping losses of 1.7 GFLOP need 59 MiB of temporary arrays with all sums in YNNPACK.
"""


def ynnpack(plan: Plan) -> str:
    """Which operations XLA leaves to YNNPACK: a key of `YNNPACK`, by the spec or what is fastest.

    Empty if the backend is not a CPU.
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
    return "all" if QUICK_SUMS and update_flops(plan) < HEAVY else "products"


def compile_for_memory(lowered: jax.stages.Lowered, to_ynnpack: str = "all") -> jax.stages.Compiled:
    """Compile; on a CPU with an order of operations that needs little memory.

    Args:
        lowered: the lowered program.
        to_ynnpack: which operations XLA leaves to YNNPACK; a key of `YNNPACK`.
    """
    # Not an option of the jit in `Program`: other jitted functions could not call it then.
    return lowered.compile(
        dict(_cpu_options(to_ynnpack)) if jax.default_backend() == "cpu" else None
    )


@lru_cache
def _cpu_options(to_ynnpack: str) -> dict[str, str]:
    """The options for a CPU, without that for YNNPACK if this version of XLA does not know it."""
    try:
        jax.jit(lambda: 0).lower().compile(dict(YNNPACK[to_ynnpack]))
    except jax.errors.JaxRuntimeError:
        return ORDER
    return ORDER | YNNPACK[to_ynnpack]


def lower_update(program: Program, calls: Calls = ONE) -> jax.stages.Lowered:
    """Trace and lower the update for the shapes of its plan; XLA does not compile yet."""
    return program.updates.lower(*abstract_arguments(program, calls))


def reported(program: Program, compiled: jax.stages.Compiled) -> CompiledUpdate:
    """A compiled update of `program`, with what XLA reports about it."""
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
    """Shapes and shardings of a call's arguments: state, records, and resident training set."""
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
    """Random images and labels in the shapes of a call's batches, for measurements."""
    random, data = np.random.default_rng(0), program.plan.data
    _, records, _ = abstract_arguments(program, Calls(steps, False))

    def random_array(name: str, abstract: jax.ShapeDtypeStruct) -> Any:
        if name == "label" and jnp.issubdtype(abstract.dtype, jnp.integer):
            return random.integers(0, data.classes or 2, abstract.shape, abstract.dtype)
        if jnp.issubdtype(abstract.dtype, jnp.integer):
            return random.integers(0, 256, abstract.shape, abstract.dtype)
        return random.random(abstract.shape, abstract.dtype)

    return {
        name: jax.device_put(random_array(name, shape), shape.sharding)
        for name, shape in records.items()
    }
