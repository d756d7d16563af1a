"""The law of baselines, which stand beside a learning rule in a sweep."""

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
"""What a rule costs that leaves room for everything."""


@law
def check_baseline(baseline: Baseline | type[Baseline]) -> None:
    """It can be made of the spec of every rule, expects nothing, trains a readout, and is fitted.

    A baseline that is fitted to what a rule costs sets fields that the language takes, says why,
    and does so in the same way for the same cost.

    Args:
        baseline: an instance, or a class whose defaults give one.
    """
    made = method_of(baseline)
    for name in RULES.names():
        rule = loads(_SPEC.format(rule=name))
        experiment = _beside(rule, made).experiment
        assert experiment.expect is None, f"{made}: keeps what the spec of rule {name} expects"
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
            f"{made}: is refused beside a rule: {error}; rule {rule.rule}"
        ) from error


def _check_fit(made: Baseline, arm: Arm) -> None:
    own = ProgramCost(1000, 8, lambda: 1000)
    found = [made.fitted(_LARGE, lambda fields: own) for _ in range(2)]
    assert found[0] == found[1], f"{made}: two fits to one cost differ"
    assert found[0].fields is not None, f"{made}: cannot be had although there is room: {found[0]}"
    try:
        arm.over(found[0].fields)
    except SpecError as error:
        raise AssertionError(f"{made}: what it is fitted with is refused: {error}") from error
    none = made.fitted(ProgramCost(1, 1, lambda: 0), lambda fields: None)
    assert none.fields is None, f"{made}: is fitted although the language refuses all that it tries"
    for fit in (found[0], none):
        assert fit.says, f"{made}: does not say what it was fitted to"
