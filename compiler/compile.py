"""Plan -> Program."""

from compiler.cost.pipeline_stages import stages
from compiler.plan.plan import Plan
from compiler.update.program import Given, Program


def compile_plan(plan: Plan, given: Given = dict) -> Program:
    """The program of a plan; nothing is compiled before its first call.

    Args:
        plan: the plan.
        given: parameters that are not drawn, by path; asked for when a run begins.
    """
    return Program(plan, stages(plan) if plan.experiment.mesh.stage > 1 else (), given)
