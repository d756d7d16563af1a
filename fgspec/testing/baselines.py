"""The law of baselines, with which a sweep compares a learning rule."""

import numpy as np

from compiler.compile import compile_plan
from compiler.named_arrays.paths import flatten
from compiler.plan.plan import make_plan
from fgspec.loading.spec_file import Loaded, loads
from fgspec.problems.problems import Origin, SpecError
from fgspec.spec.baselines import Baseline, ProgramCost
from fgspec.spec.rules import RULES
from fgspec.sweeps.expand import Arm, beside_rule
from fgspec.testing.law import law, method_of
from fgspec.testing.learning import INFO, batch_of

_SPEC = """
fgspec: 1
name: law
rule: {rule}
data: {{source: {{type: synthetic}}, batch_size: 4}}
architecture: {{type: mlp, hidden: [4, 3]}}
training: {{steps: 8}}
expect: {{metric: test/error, value: 0.1, tolerance: 0.1, source: a law}}
"""
_LARGE = ProgramCost(10**9, 8, lambda: 10**12)
"""The cost of a rule that is so high that every baseline fits."""


@law
def check_baseline(baseline: Baseline | type[Baseline]) -> None:
    """A baseline can be made from the spec of every rule, and its readout learns.

    It drops `expect`, and keeps the data. If it is fitted to the cost of a rule, it sets fields
    that the language accepts, states what it was fitted to, and gives the same fit for the same
    cost.

    Args:
        baseline: an instance, or a class whose defaults give one.
    """
    made = method_of(baseline)
    for name in RULES.names():
        rule = loads(_SPEC.format(rule=name))
        experiment = _beside(rule, made).experiment
        assert experiment.expect is None, f"{made}: keeps `expect` of the spec of rule {name}"
        assert experiment.data == rule.experiment.data, f"{made}: has other data than rule {name}"
    assert made.title.rstrip("."), f"{made}: has no title"
    assert not made.title.endswith("."), f"{made}: its title ends in a full stop"
    loaded = _beside(loads(_SPEC.format(rule="lg-fg-a")), made)
    program = compile_plan(make_plan(loaded.experiment, INFO))
    state, batch = program.init(0), batch_of(program)
    before = {name: np.array(leaf) for name, leaf in flatten(state.params["classifier"]).items()}
    after = flatten(program.update(state, batch)[0].params["classifier"])
    assert any((before[name] != np.asarray(after[name])).any() for name in before), (
        f"{made}: its readout does not learn"
    )
    if made.fits:
        _check_fit(made, Arm("law", loaded))


def _beside(rule: Loaded, made: Baseline) -> Loaded:
    try:
        return beside_rule(rule, made, "law", Origin("--set"))
    except SpecError as error:
        raise AssertionError(
            f"{made}: its spec for the rule {rule.rule} is refused: {error}"
        ) from error


def _check_fit(made: Baseline, arm: Arm) -> None:
    small = ProgramCost(1000, 8, lambda: 1000)
    fits = [made.fitted(_LARGE, lambda fields: small) for _ in range(2)]
    assert fits[0] == fits[1], f"{made}: two fits to the same cost differ"
    assert fits[0].fields is not None, f"{made}: is not fitted although it would fit: {fits[0]}"
    try:
        arm.over(fits[0].fields)
    except SpecError as error:
        raise AssertionError(f"{made}: the fields of its fit are refused: {error}") from error
    none = made.fitted(ProgramCost(1, 1, lambda: 0), lambda fields: None)
    assert none.fields is None, f"{made}: is fitted although all fields that it tries are refused"
    for fit in (fits[0], none):
        assert fit.says, f"{made}: does not say what it was fitted to"
