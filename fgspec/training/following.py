"""A run's trackers while it runs: none of them can end it."""

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from fgspec.spec.kinds import working
from fgspec.spec.trackers import Tracker


class Followers:
    """The trackers of one run, each left out after its first error, of which a line tells.

    Args:
        trackers: as the spec has them.
        say: called with a line of warning.
    """

    def __init__(self, trackers: Sequence[Tracker], say: Callable[[str], None]) -> None:
        self._say = say
        self._trackers: list[Tracker] = []
        for tracker in trackers:
            # A copy, as one working object stands for all equal ones, of other runs too.
            self._guarded(
                tracker, lambda t: self._trackers.append(working(t).model_copy()), "be loaded"
            )

    def open(self, run_folder: Path, values: Mapping[str, Any]) -> None:
        """The run begins or is resumed."""
        self._all(lambda tracker: tracker.open(run_folder, values), "open")

    def log(self, step: int, metrics: Mapping[str, float]) -> None:
        """A line of metrics; each tracker has a dictionary of its own."""
        plain = {name: float(value) for name, value in metrics.items()}
        self._all(lambda tracker: tracker.log(step, dict(plain)), "log")

    def close(self, status: str) -> None:
        """The run is over: `done`, `preempted` or `failed`."""
        self._all(lambda tracker: tracker.close(status), "close")
        self._trackers = []

    def _all(self, act: Callable[[Tracker], None], what: str) -> None:
        self._trackers = [t for t in self._trackers if self._guarded(t, act, what)]

    def _guarded(self, tracker: Tracker, act: Callable[[Tracker], None], what: str) -> bool:
        try:
            act(tracker)
        except Exception as error:  # whatever a tracker of others raises
            reason = " ".join(str(error).split()) or type(error).__name__
            failed = f"warning: tracker {tracker}: could not {what}: {reason}"
            self._say(f"{failed}; the run continues without it")
            return False
        return True
