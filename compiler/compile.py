"""Plan -> Program: the last step of compiling a spec before JAX and XLA."""

from compiler.cost.pipeline_stages import stages
from compiler.plan.plan import Plan
from compiler.update.program import Given, Program


def compile_plan(plan: Plan, given: Given = dict) -> Program:
    """The program of a plan; XLA compiles it at the first call.

    Args:
        plan: the plan.
        given: a function that returns the parameters that are read instead of drawn, by path. It is
            called when a run begins.
    """
    return Program(plan, stages(plan) if plan.experiment.mesh.stage > 1 else (), given)
