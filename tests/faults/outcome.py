"""What became of a number of faults."""

from dataclasses import dataclass, field


@dataclass
class Outcome:
    """The faults of one case.

    Attributes:
        tried: how many faults were made.
        survived: those after which every answer was right, or a refusal that names what is wrong.
        silent: those after which an answer was wrong and nothing was said, one line each.
        tracebacks: those that ended in another exception than a user's error, one line each.
        lost: those after which work that was saved was gone, one line each.
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
