"""Every source, augmentation, optimizer, schedule, tracker and engine obeys its laws."""

import pytest

from fgspec.spec.augmentations import AUGMENTATIONS
from fgspec.spec.baselines import BASELINES
from fgspec.spec.clippings import CLIPPINGS
from fgspec.spec.optimizers import OPTIMIZERS
from fgspec.spec.schedules import SCHEDULES
from fgspec.spec.sources import SOURCES
from fgspec.spec.trackers import TRACKERS
from fgspec.sweeps.engines import ENGINES
from fgspec.testing import baselines, inputs


@pytest.mark.parametrize("name", SOURCES.names())
def test_source(name, tmp_path):
    inputs.check_source(SOURCES.kind(name), tmp_path)


@pytest.mark.parametrize("name", AUGMENTATIONS.names())
def test_augmentation(name):
    inputs.check_augmentation(AUGMENTATIONS.kind(name))


@pytest.mark.parametrize("name", OPTIMIZERS.names())
def test_optimizer(name):
    inputs.check_optimizer(OPTIMIZERS.kind(name))


@pytest.mark.parametrize("name", CLIPPINGS.names())
def test_clipping(name):
    inputs.check_clipping(CLIPPINGS.kind(name))


@pytest.mark.parametrize("name", SCHEDULES.names())
def test_schedule(name):
    inputs.check_schedule(SCHEDULES.kind(name))


# Of those that need a package, tests/trackers has the laws.
@pytest.mark.parametrize("name", [n for n in TRACKERS.names() if not TRACKERS.kind(n).needs])
def test_tracker(name, tmp_path):
    inputs.check_tracker(TRACKERS.kind(name), tmp_path)


@pytest.mark.parametrize("name", ENGINES.names())
def test_engine(name):
    inputs.check_engine(ENGINES.kind(name))


@pytest.mark.parametrize("name", BASELINES.names())
def test_baseline(name):
    baselines.check_baseline(BASELINES.kind(name))
