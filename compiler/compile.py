"""Plan -> Program."""

from compiler.cost.pipeline_stages import stages
from compiler.plan.plan import Plan
from compiler.update.program import Program


def compile_plan(plan: Plan) -> Program:
    """The program of a plan; nothing is compiled before its first call."""
    return Program(plan, stages(plan) if plan.experiment.mesh.stage > 1 else ())
