"""The printed formula is the program: evaluated on a small network it gives the same gradient."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from networks import CHAIN, batch_of, program, state_of, wide

from compiler.named_arrays.paths import flatten
from explain.values import Values
from fgspec.explain.equations import equations_of, readout_equation
from fgspec.formulas.evaluation import Evaluation
from fgspec.formulas.notation import GRADIENT

CLOSE = 1e-5


def gap(made, seed=0):
    """The largest difference of formula and program, relative to the largest gradient."""
    rows, state = made.plan.experiment.data.batch_size, state_of(made, seed)
    batch, rng = batch_of(rows, seed), np.random.default_rng(seed + 2)
    shapes = made.perturbations()
    noise = {name: rng.standard_normal(s.shape).astype(np.float32) for name, s in shapes.items()}
    given = {name: jnp.asarray(part) for name, part in noise.items()}
    grads, _ = made.gradient(state, batch, given or None, float64=True)
    found = {k: np.asarray(v, np.float64) for k, v in flatten(grads["blocks"]).items()}
    with jax.enable_x64(True), jax.numpy_dtype_promotion("standard"):
        exact = {"image": batch["image"].astype(jnp.float64), "label": batch["label"]}
        values = Values(made, wide(state), exact, noise)
        equations = equations_of(made.plan)
        evaluation = Evaluation(equations, values)
        solved = {name: evaluation.solve(GRADIENT, w=name) for name in found}
    largest = max(np.abs(part).max() for part in found.values())
    assert largest > 1e-4, "nothing is learnt, so nothing is shown"
    return max(
        np.abs(solved[name].spread(values.axes("W", name)) - part).max() / largest
        for name, part in found.items()
    )


RULES = ["bp", "l-bp", "lg-bp", "fa", "l-fa", "lg-fa", "dfa", "fdfa", "fg-w", "fg-a"]
RULES += ["lg-fg-w", "lg-fg-a"]


@pytest.mark.parametrize("rule", RULES)
def test_rules(rule):
    assert gap(program(rule, batch=2)) < CLOSE
