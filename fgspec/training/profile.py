"""A profiler trace of some steady updates of a run, which changes nothing but their time."""

import gzip
import json
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import jax

from fgspec.training.loop import Batch, Functions

WARM_UP = 10
"""Updates before the first traced one; fewer where the run has not so many."""

_HOLDERS = ("while", "call", "conditional")
"""Operations whose time is that of those in them, which are events of their own."""

_NOISE = ("ThreadpoolListener::", "end: ")
"""Events of XLA's own bookkeeping on CPUs, about half of all, that say nothing of the program."""

Event = dict[str, Any]
"""Of Chrome's trace format: `name`, `ts` and `dur` in microseconds, `args`."""

Scopes = Mapping[tuple[str, str], str]
"""(module, operation) -> the part of the update that it belongs to."""


@dataclass(frozen=True)
class Profile:
    """What is to be traced.

    Attributes:
        steps: how many updates.
        scopes: the parts of the update, asked for once the trace is made.
        steps_per_call: updates that one call of the program makes.
    """

    steps: int
    scopes: Callable[[], Scopes]
    steps_per_call: int = 1


@contextmanager
def profiled(
    program: Functions,
    profile: Profile | None,
    span: tuple[int, int],
    folder: Path,
    say: Callable[[str], None],
) -> Iterator[Functions]:
    """`program` with an update that traces some of its calls; itself if there is no `profile`.

    Args:
        program: of the run.
        profile: what to trace.
        span: updates done so far, and of the whole run.
        folder: where traces go; made if missing.
        say: called with each line for the log.
    """
    if profile is None:
        yield program
        return
    tracer = _Tracer(program.updates, profile, span, folder, say)
    try:
        yield replace(program, updates=tracer.updates)
    finally:
        tracer.close()


class _Tracer:
    def __init__(
        self,
        update: Callable[[Any, Batch], tuple[Any, Mapping[str, Any]]],
        profile: Profile,
        span: tuple[int, int],
        folder: Path,
        say: Callable[[str], None],
    ) -> None:
        self._update, self._profile, self._folder, self._say = update, profile, folder, say
        self._done, self._total = span
        left = self._total - self._done
        self._first = self._done + max(min(WARM_UP, left - profile.steps), 0)
        self._tracing = self._finished = False

    def updates(self, state: Any, batch: Batch) -> tuple[Any, Mapping[str, Any]]:
        """One call of the update, which starts the trace before it or ends it after it if due."""
        if not self._tracing and not self._finished and self._done >= self._first:
            jax.block_until_ready(state)
            self._start()
        if not self._tracing:
            self._done += self._profile.steps_per_call
            return self._update(state, batch)
        with jax.profiler.StepTraceAnnotation("update", step_num=self._done + 1):
            result = self._update(state, batch)
        self._done += self._profile.steps_per_call
        if self._done - self._began >= self._profile.steps or self._done >= self._total:
            jax.block_until_ready(result)
            self.close()
        return result

    def _start(self) -> None:
        options = jax.profiler.ProfileOptions()
        options.python_tracer_level = 0  # every Python call would be an event
        self._folder.mkdir(parents=True, exist_ok=True)
        jax.profiler.start_trace(str(self._folder), profiler_options=options)
        self._began, self._tracing = self._done, True

    def close(self) -> None:
        """End the trace and write it down; say so, or that there was nothing to trace."""
        if self._finished:
            return
        self._finished = True
        if not self._tracing:
            self._say("profile: none, because the run ended before the update was warm")
            return
        self._tracing = False
        jax.profiler.stop_trace()
        path = self._folder / f"steps_{self._began + 1}-{self._done}.trace.json.gz"
        events = _readable(self._folder, self._profile.scopes())
        _write(path, events)
        self._say(
            f"profile of steps {self._began + 1} to {self._done}: {path}\n"
            f"  time of operations: {_shown(shares(events))}\n"
            "  open it at https://ui.perfetto.dev, or the whole folder with "
            f"tensorboard --logdir {self._folder} (pip install tensorboard xprof)"
        )


def _readable(folder: Path, scopes: Scopes) -> list[Event]:
    """The events of the newest trace below `folder`, every operation under its scope.

    That of an operation `dot.3` in the scope `tangents/block0` is named `tangents/block0 dot.3`.
    """
    newest = max(folder.glob("plugins/profile/*/*.trace.json.gz"), key=lambda p: p.stat().st_mtime)
    with gzip.open(newest, "rt", encoding="utf-8") as file:
        events = json.load(file)["traceEvents"]
    return [_named(e, scopes) for e in events if not e.get("name", "").startswith(_NOISE)]


def _write(path: Path, events: list[Event]) -> None:
    """Write Chrome's trace format, which Perfetto reads."""
    with gzip.open(path, "wt", encoding="utf-8") as file:
        json.dump({"displayTimeUnit": "ns", "traceEvents": events}, file)


def shares(events: Iterable[Event]) -> dict[str, float]:
    """The fraction of the operations' time that each part of the update takes, largest first.

    Operations that run at the same time count in full. What is in no part is `other`.
    """
    spent: Counter[str] = Counter()
    for event in events:
        about = event.get("args", {})
        if "hlo_op" in about and not about["hlo_op"].startswith(_HOLDERS):
            spent[about.get("scope", "other").split("/")[0]] += event["dur"]
    total = sum(spent.values())
    return {part: seconds / total for part, seconds in spent.most_common()}


def _shown(parts: Mapping[str, float]) -> str:
    return ", ".join(f"{part} {share:.0%}" for part, share in parts.items()) or "not recorded"


def _named(event: Event, scopes: Scopes) -> Event:
    about = event.get("args", {})
    scope = scopes.get((about.get("hlo_module", ""), about.get("hlo_op", "")))
    if scope is None:
        return event
    return event | {"name": f"{scope} {event['name']}", "args": about | {"scope": scope}}
