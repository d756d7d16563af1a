"""Every objective, estimator, guess and the rest of what a rule is made of obeys its laws."""

import pytest

from fgspec.spec.backward_weights import BACKWARD_WEIGHTS
from fgspec.spec.estimators import ESTIMATORS
from fgspec.spec.guesses import GUESSES
from fgspec.spec.heads import HEADS
from fgspec.spec.objectives import OBJECTIVES, InfoNce
from fgspec.spec.predictions import PREDICTIONS
from fgspec.spec.projections import COEFFICIENTS, GRANULARITIES, GROUPINGS, SCALES
from fgspec.spec.rules import RULES
from fgspec.spec.sample_sets import SAMPLE_SETS
from fgspec.spec.spaces import SPACES
from fgspec.spec.targets import TARGETS
from fgspec.testing import learning


@pytest.mark.parametrize("name", OBJECTIVES.names())
def test_objective(name):
    learning.check_objective(OBJECTIVES.kind(name))


def test_objective_whose_rows_couple():
    learning.check_objective(InfoNce(keys="free", projection=3))


@pytest.mark.parametrize("name", PREDICTIONS.names())
def test_prediction(name):
    learning.check_prediction(PREDICTIONS.kind(name))


@pytest.mark.parametrize("name", ESTIMATORS.names())
def test_estimator(name):
    learning.check_estimator(ESTIMATORS.kind(name))


@pytest.mark.parametrize("name", GUESSES.names())
def test_guess(name):
    learning.check_guess(GUESSES.kind(name))


@pytest.mark.parametrize("name", SAMPLE_SETS.names())
def test_sample_set(name):
    learning.check_sample_set(SAMPLE_SETS.kind(name))


@pytest.mark.parametrize("name", SPACES.names())
def test_space(name):
    learning.check_space(SPACES.kind(name))


@pytest.mark.parametrize("name", SCALES.names())
def test_scale(name):
    learning.check_scale(SCALES.kind(name))


@pytest.mark.parametrize("name", COEFFICIENTS.names())
def test_coefficient(name):
    learning.check_coefficient(COEFFICIENTS.kind(name))


@pytest.mark.parametrize("name", GRANULARITIES.names())
def test_granularity(name):
    learning.check_granularity(GRANULARITIES.kind(name))


@pytest.mark.parametrize("name", GROUPINGS.names())
def test_grouping(name):
    learning.check_grouping(GROUPINGS.kind(name))


@pytest.mark.parametrize("name", TARGETS.names())
def test_target(name):
    learning.check_target(TARGETS.kind(name))


@pytest.mark.parametrize("name", BACKWARD_WEIGHTS.names())
def test_backward_weights(name):
    learning.check_backward_weights(BACKWARD_WEIGHTS.kind(name))


@pytest.mark.parametrize("name", HEADS.names())
def test_head(name):
    learning.check_head(HEADS.kind(name))


@pytest.mark.parametrize("name", RULES.names())
def test_rule(name):
    learning.check_rule(RULES.kind(name))
