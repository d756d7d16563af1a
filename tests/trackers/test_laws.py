"""Every tracker that needs a package obeys the law of trackers."""

import pytest

from fgspec.spec.trackers import TRACKERS
from fgspec.testing import inputs

pytestmark = pytest.mark.filterwarnings("ignore::DeprecationWarning")  # of other packages
NEED_ONE = [name for name in TRACKERS.names() if TRACKERS.kind(name).needs]


@pytest.mark.parametrize("name", NEED_ONE)
def test_tracker(name, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    kind = TRACKERS.kind(name)
    assert not list(kind().missing(("training", "trackers", 0)))
    inputs.check_tracker(kind, tmp_path)
