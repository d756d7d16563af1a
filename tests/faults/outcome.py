"""What became of the faults of one kind."""

from dataclasses import dataclass


@dataclass
class Outcome:
    """What became of the faults that one module tried.

    Attributes:
        tried: how many.
        survived: of them, those after which everything was as it should be.
        silent: wrong results of which nothing told, one line each.
        tracebacks: of those that users saw, one line each.
        lost: work that was saved and is gone, or a process that did not end, one line each.
    """

    tried: int
    survived: int
    silent: list[str]
    tracebacks: list[str]
    lost: list[str]
