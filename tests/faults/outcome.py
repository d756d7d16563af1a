"""What a case of the fault suite found."""

from dataclasses import dataclass, field


@dataclass
class Outcome:
    """Of one case.

    Attributes:
        tried: how many faults were made.
        survived: how many of them ended as they should.
        silent: wrong results that nobody was told of, a line each.
        tracebacks: errors that no user can read, a line each.
        lost: work that was gone beyond the last save, a line each.
    """

    tried: int = 0
    survived: int = 0
    silent: list[str] = field(default_factory=list)
    tracebacks: list[str] = field(default_factory=list)
    lost: list[str] = field(default_factory=list)

    @property
    def bad(self) -> list[str]:
        """Every line that must not be there, with the column it is counted in."""
        columns = {"silent": self.silent, "traceback": self.tracebacks, "lost": self.lost}
        return [f"{name}: {line}" for name, lines in columns.items() for line in lines]
