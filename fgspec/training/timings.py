"""Where the time of a start goes, until the first update is done.

It imports nothing that takes time, as a command begins with it.
"""

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field

WHOLE, OTHER = "to the end of the first update", "other"


@dataclass
class Timings:
    """A stopwatch for the parts of a start.

    Attributes:
        began: when the start did, by `clock`.
        clock: in seconds.
        seconds: of every part, in the order in which they began first.
    """

    began: float = field(default_factory=time.perf_counter)
    clock: Callable[[], float] = time.perf_counter
    seconds: dict[str, float] = field(default_factory=dict)

    @contextmanager
    def part(self, name: str) -> Iterator[None]:
        """Count what happens meanwhile to a part; parts do not overlap."""
        began = self.clock()
        self.seconds.setdefault(name, 0.0)
        try:
            yield
        finally:
            self.seconds[name] += self.clock() - began

    def begun(self, name: str) -> None:
        """Count what there was of the time so far beside other parts to this one."""
        self.seconds[name] = self.clock() - self.began - sum(self.seconds.values())

    def lines(self) -> list[str]:
        """The parts so far and what they leave of the time since the start, in seconds."""
        whole = self.clock() - self.began
        known = {WHOLE: whole} | self.seconds
        known |= {OTHER: whole - sum(self.seconds.values())}
        width = max(map(len, known))
        return [f"{name.ljust(width)}  {seconds:6.2f} s" for name, seconds in known.items()]


START = Timings()
"""Of this process: `fgspec.cli.entry` imports it first of all."""
