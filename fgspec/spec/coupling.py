"""What makes the examples of a batch move each other's losses."""

from typing import NamedTuple

from fgspec.yaml.load import Path


class Coupling(NamedTuple):
    """One thing that couples examples.

    Attributes:
        name: as messages say it.
        path: of the field that says so; that of an objective begins at the objective.
    """

    name: str
    path: Path
