"""FLOPs of one update, counted from its trace; all other code uses this count."""

from collections import Counter
from collections.abc import Mapping
from dataclasses import replace
from functools import lru_cache

from compiler.cost.flops import work
from compiler.cost.operations import operations
from compiler.cost.scopes import scope
from compiler.plan.plan import Plan
from compiler.update.program import Program
from fgspec.spec.mesh import Mesh


def flops_by_scope(plan: Plan) -> Mapping[str, int]:
    """FLOPs of one update on one device, by scope, such as `forward/block0`.

    All blocks of a stack are under the scope of its first block. Nothing is compiled.
    """
    # Without its mesh a plan is traced once for all meshes that it is predicted for.
    experiment = plan.experiment.model_copy(update={"mesh": Mesh()})
    return _flops_by_scope(replace(plan, experiment=experiment))


@lru_cache(maxsize=256)
def _flops_by_scope(plan: Plan) -> Mapping[str, int]:
    program = Program(plan)
    batch = plan.images(plan.experiment.data.batch_size)
    traced = program.update.trace(program.abstract(), batch)
    flops = Counter[str]()
    for where, count in work(operations(traced.jaxpr.jaxpr)).flops.items():
        flops[scope(where)] += count
    return flops


def update_flops(plan: Plan) -> int:
    """FLOPs of one update, over all devices."""
    return sum(flops_by_scope(plan).values())
