"""What a source that cannot be read says."""

import pytest

from fgspec.data.sources import read
from fgspec.errors import DataError


def refusal(source):
    """The one line of the error that reading a source raises."""
    with pytest.raises(DataError) as caught:
        read(source)
    text = str(caught.value)
    assert "\n" not in text
    return text
