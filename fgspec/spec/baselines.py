"""Baselines: what stands beside a learning rule in a sweep, one class each."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, ClassVar, Literal

from pydantic import Field

from fgspec.spec.kinds import Kind, table

BASELINES = table("baseline", "baselines")


@dataclass(frozen=True)
class ProgramCost:
    """What a program costs, from the trace of its update; nothing is run.

    Attributes:
        flops: of one update.
        steps: updates of a run.
        temporary_bytes: the predicted peak of the arrays that an update holds besides its
            arguments and results; computed when it is asked for.
    """

    flops: int
    steps: int
    temporary_bytes: Callable[[], int]


@dataclass(frozen=True)
class Fit:
    """A baseline fitted to what a rule costs.

    Attributes:
        fields: what it sets for that, by path; None if it cannot be had.
        says: the cost on both sides, or why it cannot be had, in a sentence without its full stop.
    """

    fields: Mapping[str, Any] | None
    says: str


class Baseline(Kind):
    """A spec made from that of a learning rule, to compare the rule with.

    It keeps the data, the network, the optimizer and the length of training, and replaces what
    says how the blocks learn.

    Attributes:
        title: what it is, in a sentence without its full stop.
        rule: that it is trained by.
        forgets: fields of the rule's spec that return to their defaults.
        fits: what of the rule's program it is fitted to, in words; empty if nothing.
    """

    table: ClassVar = BASELINES
    on_resume: ClassVar = None  # a sweep is no run
    title: ClassVar[str]
    rule: ClassVar[str] = "bp"
    forgets: ClassVar[tuple[str, ...]] = (
        "gradient",
        "losses.local",
        "losses.isolate",
        "losses.prediction",
        "phases",
        "freeze",
        "expect",
        "compile.losses",
        "compile.blocks",
        "compile.noise",
        "compile.directional",
        "compile.rematerialize",
    )
    fits: ClassVar[str] = ""
    set: tuple[str, ...] = Field(
        default=(),
        description="Fields that this baseline sets besides, such as a learning rate of its own; "
        "each as `--set` takes it.",
        examples=[["optimizer.learning_rate=0.1"]],
    )

    def fields(self) -> Mapping[str, Any]:
        """What it sets besides its rule, by path."""
        return {}

    def fitted(
        self, rule: ProgramCost, cost: Callable[[Mapping[str, Any]], ProgramCost | None]
    ) -> Fit:
        """What it sets further so that it costs what the rule does; only if `fits`.

        Args:
            rule: what the rule's program costs.
            cost: further fields by path -> what the baseline costs with them; None if the language
                refuses them.
        """
        raise self.lacks("fitted")


class BackpropEqualUpdates(Baseline):
    """Backprop of the final loss, for as many updates as the rule."""

    title: ClassVar[str] = "backprop, as many updates as the rule"
    type: Literal["bp_equal_updates"] = "bp_equal_updates"


class BackpropEqualMemory(Baseline):
    """Backprop that needs no more temporary memory than the rule: it computes blocks again.

    What is compared is the peak of temporary arrays, predicted from the trace of an update as
    `fgspec plan` shows it. `compile.rematerialize` is the first of `never`, 1, 2, 4, 8, ... up to
    the number of blocks that needs no more than the rule. If none does, the arm is left out, with
    what the least would take.
    """

    title: ClassVar[str] = "backprop in the rule's memory, as many updates as the rule"
    fits: ClassVar[str] = "its temporary memory"
    type: Literal["bp_equal_memory"] = "bp_equal_memory"

    def fitted(
        self, rule: ProgramCost, cost: Callable[[Mapping[str, Any]], ProgramCost | None]
    ) -> Fit:
        """The first way to rematerialize that needs no more than the rule."""
        limit, least = rule.temporary_bytes(), ("", float("inf"))
        every: int | str = "never"
        before: int | None = None
        while True:
            field = {"compile.rematerialize": every}
            found = cost(field)
            size = None if found is None else found.temporary_bytes()
            if size is not None and size <= limit:
                told = f"rematerialize: {every} takes {_kib(size)}, the rule {_kib(limit)}"
                return Fit(field, told)
            if size is not None and size < least[1]:
                least = (str(every), size)
            # From as many blocks on as there are, nothing changes any more.
            if size is None or (every not in ("never", 1) and size == before):
                break
            before, every = size, 1 if every == "never" else 2 * int(every)
        return Fit(
            None,
            f"backprop takes at least {_kib(least[1])} of temporary arrays (rematerialize: "
            f"{least[0]}), the rule {_kib(limit)}",
        )


class BackpropEqualTime(Baseline):
    """Backprop for as many updates as fit in the time of the rule's.

    Times are predicted: they are taken to be proportional to the FLOPs of an update, counted from
    its trace. So the number of updates is the same on every machine and in every call of the sweep.
    """

    title: ClassVar[str] = "backprop, as many updates as fit in the rule's FLOPs"
    fits: ClassVar[str] = "the FLOPs of its run"
    type: Literal["bp_equal_time"] = "bp_equal_time"

    def fitted(
        self, rule: ProgramCost, cost: Callable[[Mapping[str, Any]], ProgramCost | None]
    ) -> Fit:
        """The rule's FLOPs, divided by those of an update."""
        own = cost({})
        if own is None:
            return Fit(None, "backprop is refused for this spec")
        steps = max(1, rule.flops * rule.steps // own.flops)
        return Fit(
            {"training.steps": steps},
            f"{steps:,} updates of {own.flops / 1e6:,.3g} M FLOPs, the rule takes "
            f"{rule.steps:,} of {rule.flops / 1e6:,.3g} M",
        )


class LinearProbe(Baseline):
    """A linear readout of the inputs: no hidden layers at all."""

    title: ClassVar[str] = "a linear readout of the inputs"
    forgets: ClassVar[tuple[str, ...]] = (*Baseline.forgets, "architecture", "diagnostics")
    type: Literal["linear_probe"] = "linear_probe"

    def fields(self) -> Mapping[str, Any]:
        """Another architecture."""
        return {"architecture": {"type": "linear"}}


class RandomBlocks(Baseline):
    """A linear readout of the rule's network as it was initialised: all blocks are frozen."""

    title: ClassVar[str] = "a readout of frozen random blocks"
    type: Literal["random_blocks"] = "random_blocks"

    def fields(self) -> Mapping[str, Any]:
        """Frozen blocks."""
        return {"freeze": ["blocks"]}


def _kib(size: float) -> str:
    return f"{size / 2**10:,.1f} KiB"
