"""A few faults of every case that can make them in this process."""

import pytest

from tests.faults.suite import cases, outcome

SMALL = {name: case for name, case in cases().items() if hasattr(case, "SMALL")}


@pytest.mark.parametrize("name", SMALL)
def test_nothing_is_silent_nor_lost_and_no_traceback_is_shown(name, tmp_path):
    found = outcome(SMALL[name], SMALL[name].SMALL, tmp_path / name, 0)
    assert found.bad == []
    assert found.tried == found.survived
    assert found.tried > 0
