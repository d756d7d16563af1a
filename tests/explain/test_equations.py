"""The printed formula is the program: evaluated on a small network it gives the same gradient."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from explain.values import Values
from networks import LOCAL_NORM, MIXER, batch_of, program, state_of, wide

from compiler.named_arrays.paths import flatten
from fgspec.explaining.equations import equations_of
from fgspec.formulas.evaluation import Evaluation
from fgspec.formulas.notation import GRADIENT
from fgspec.spec.estimators import ESTIMATORS
from fgspec.spec.guesses import GUESSES
from fgspec.spec.kinds import methods_in
from fgspec.spec.projections import COEFFICIENTS, GRANULARITIES, GROUPINGS, SCALES
from fgspec.spec.rules import RULES as RULES_TABLE
from fgspec.spec.sample_sets import SAMPLE_SETS
from fgspec.spec.spaces import SPACES
from fgspec.spec.targets import TARGETS

CLOSE = 1e-5
TABLES_OF_ESTIMATES = (
    ESTIMATORS,
    TARGETS,
    SPACES,
    GUESSES,
    SAMPLE_SETS,
    SCALES,
    COEFFICIENTS,
    GRANULARITIES,
    GROUPINGS,
)


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
        solved = {name: evaluation.solve(GRADIENT, W=name) for name in found}
    largest = max(np.abs(part).max() for part in found.values())
    assert largest > 1e-4, "nothing is learnt, so nothing is shown"
    return max(
        np.abs(solved[name].spread(values.axes("W", name)) - part).max() / largest
        for name, part in found.items()
    )


RULES = [
    "bp",
    "l-bp",
    "lg-bp",
    "fa",
    "l-fa",
    "lg-fa",
    "dfa",
    "fdfa",
    "drtp",
    "grape",
    "fg-w",
    "fg-a",
]
RULES += ["lg-fg-w", "lg-fg-a"]


def of_rule(rule):
    """The program of a rule; on a network with all axes and residuals where these matter."""
    network = MIXER % LOCAL_NORM if rule in ("fa", "lg-fg-w", "lg-fg-a") else TWO
    return program(rule, architecture=network, batch=2)


@pytest.mark.parametrize("rule", RULES)
def test_rules(rule):
    assert gap(of_rule(rule)) < CLOSE


MLP = "{type: mlp, hidden: [4, 3, 3], normalization: {type: layer_norm}}"
TWO = "{type: mlp, hidden: [4, 3], normalization: {type: layer_norm}}"
CONV = "{type: conv_net, channels: [2, 3], downsample: [0, 1], normalization: {type: batch_norm}}"
PAST = "{type: local_layer_norm, gradient: ignored}"
LOCAL, FINAL = "{local: {}}", "{local: {last: final}}"

# target, what is perturbed and how, network, losses, estimator
CASES = {
    "copies": ("above", "space: activation", MIXER % LOCAL_NORM, LOCAL, "forward"),
    "block outputs": ("sum", "space: block_output, guess: normal", MLP, LOCAL, "forward"),
    "weights of examples": (
        "local",
        "space: weight, guess: {type: sphere}, sharing: example",
        MLP,
        LOCAL,
        "forward",
    ),
    "difference": ("local", "space: activation", MIXER % LOCAL_NORM, LOCAL, "finite_difference"),
    "antithetic": (
        "global",
        "space: block_output, samples: 2, guess: {type: normal, set: antithetic}",
        MLP,
        "{}",
        "finite_difference",
    ),
    "orthogonal": (
        "sum",
        "space: activation, samples: 2, guess: {type: normal, set: orthogonal}",
        MLP,
        LOCAL,
        "forward",
    ),
    "coordinates": (
        "sum",
        "space: activation, samples: 2, guess: {type: normal, set: coordinates}",
        MLP,
        LOCAL,
        "finite_difference",
    ),
    "guided": (
        "global",
        "space: weight, samples: 3, guess: {type: low_rank, set: {type: guided, momentum: 0.5}}",
        MLP,
        "{}",
        "forward",
    ),
    "projected": (
        "local",
        "space: weight, samples: 2, guess: {type: normal, set: projected}",
        MLP,
        LOCAL,
        "forward",
    ),
    "paper's credit, past norms": (
        "local",
        "space: activation, credit: paper, sharing: batch",
        MIXER % PAST,
        LOCAL,
        "forward",
    ),
    "local": ("global", "space: weight, guess: {type: local}", MLP, FINAL, "forward"),
    "ntk": ("local", "space: block_output, guess: {type: ntk}", MLP, FINAL, "forward"),
    "fixed ntk": (
        "above",
        "space: weight, guess: {type: fixed_ntk}, projection: {granularity: batch}",
        MLP,
        FINAL,
        "forward",
    ),
    "global": (
        "sum",
        "space: activation, guess: {type: global}, projection: {coefficient: sign}",
        MLP,
        FINAL,
        "forward",
    ),
    "above": (
        "global",
        "space: block_output, guess: {type: above}, projection: {type: none, grouping: net}",
        MLP,
        FINAL,
        "forward",
    ),
    "jacobian": ("global", "space: activation, guess: {type: jacobian}", MLP, FINAL, "forward"),
    "span": (
        "global",
        "space: block_output, guess: {type: local}, projection: {granularity: span}",
        MLP,
        FINAL,
        "forward",
    ),
    "1/d": (
        "global",
        "space: activation, samples: 2, last_block: exact, "
        "projection: {type: dimension, grouping: tensor}",
        MLP,
        "{}",
        "forward",
    ),
    "optimal": (
        "sum",
        "space: activation, guess: normal, projection: {type: optimal, grouping: block}",
        MLP,
        LOCAL,
        "forward",
    ),
    "coin": (
        "global",
        "space: block_output, samples: 2, projection: {coefficient: coin}",
        MLP,
        "{}",
        "forward",
    ),
    "control variate": (
        "global",
        "space: block_output, samples: 2, control_variate: local",
        MLP,
        FINAL,
        "forward",
    ),
    "scaled weights": (
        "global",
        "space: block_output, guess: {type: local}, projection: {applies_to: weights}",
        CONV,
        "{local: {last: final}}",
        "forward",
    ),
    "scaled weights around a prediction": (
        "global",
        "space: block_output, control_variate: local, projection: {applies_to: weights}",
        CONV,
        "{local: {last: final}}",
        "forward",
    ),
}


def made(name):
    """The program of a case."""
    target, how, network, losses, estimator = CASES[name]
    step = ", epsilon: 0.1" if estimator == "finite_difference" else ""
    more = f"""
losses: {losses.replace("{local", "{isolate: block, local") if target == "local" else losses}
gradient:
  target: {target}
  estimator: {{type: {estimator}{step}}}
  perturbation: {{{how}}}
"""
    return program("", architecture=network, batch=2, more=more)


@pytest.mark.parametrize("name", CASES)
def test_perturbations(name):
    assert gap(made(name)) < CLOSE


def test_every_method_has_a_formula_that_is_evaluated():
    """Of every table that decides the estimate; what is added to one needs a case above."""
    experiments = [made(name).plan.experiment for name in CASES]
    experiments += [of_rule(rule).plan.experiment for rule in RULES]
    seen = {}
    for experiment in experiments:
        for _, method in methods_in(experiment.gradient):
            seen.setdefault(method.table.group, set()).add(str(method))
    for table in (*TABLES_OF_ESTIMATES, RULES_TABLE):
        wanted = set(RULES) if table is RULES_TABLE else seen[table.group]
        assert wanted >= set(table.names()), table.what
