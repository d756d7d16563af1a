"""The steps up to where a run broke, once more, and the last of them quantity by quantity."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from compiler.update.examine import Seen, first_broken
from compiler.update.program import Program
from fgspec.data.dataset import Dataset
from fgspec.data.pipeline import TrainBatches, fingerprint
from fgspec.errors import DataError
from fgspec.show.text import columns
from fgspec.training.bundle import Bundle


@dataclass(frozen=True)
class Replay:
    """What a replay saw.

    Attributes:
        bundle: that was replayed.
        step: the last that was done: the first that broke, or that at which the run had ended.
        seen: the quantities of that step, in the order in which they are computed.
    """

    bundle: Bundle
    step: int
    seen: Sequence[Seen]

    @property
    def first(self) -> Seen | None:
        """The first quantity that is not finite."""
        return first_broken(self.seen)

    @property
    def broke_again(self) -> bool:
        """Whether what ended the run came again."""
        return self.first is not None or self.bundle.diverged

    def lines(self) -> list[str]:
        """A table of the quantities, and what was found."""
        rows = [("quantity", "where", "largest", "not finite")]
        rows += [
            (
                one.quantity,
                one.where,
                f"{one.largest:.3g}",
                f"{one.not_finite} of {one.size}" if one.not_finite else "",
            )
            for one in self.seen
        ]
        head = f"step {self.step}, replayed from step {self.bundle.start}:"
        return [head, *columns(rows), self._finding()]

    def _finding(self) -> str:
        first = self.first
        if first is not None:
            told = f"{first.not_finite} of {first.size} numbers"
            return f"step {self.step}: first not finite: {first.quantity} {first.where} ({told})"
        if self.bundle.diverged:
            return f"step {self.step}: all numbers are finite; the run ended with: " + (
                self.bundle.reason
            )
        return (
            f"step {self.step}: all numbers are finite this time; the run ended with: "
            f"{self.bundle.reason}; if nothing else changed, the hardware may be faulty"
        )


def replayed(bundle: Bundle, program: Program, dataset: Dataset, state: Any, data: str) -> Replay:
    """Train from a bundle's checkpoint to where the run broke.

    Args:
        bundle: the bundle.
        program: of its spec, on one device.
        dataset: of its spec.
        state: of its checkpoint, or before the first step.
        data: fingerprint of the data when the run began.

    Raises:
        DataError: the data are others than those of the run.
    """
    spec = program.plan.experiment
    sized = (spec.data.batch_size, spec.order_seed)
    if fingerprint(dataset, *sized) != data:
        raise DataError(
            f"{bundle.run.path}: cannot be replayed: the {spec.data.source} data differ from those "
            "of the run (contents, order or batches)"
        )
    batches = TrainBatches(dataset.train_images, dataset.train_labels, *sized, bundle.step)
    for step, examples in enumerate(bundle.examples, start=bundle.start + 1):
        batch: Any = batches.of(examples)
        before = jax.tree.map(jnp.copy, state)  # an update takes the buffers of its state
        state, metrics = program.update(state, batch)
        finite = all(np.isfinite(value).all() for value in jax.device_get(metrics).values())
        if step == bundle.step or not finite or program.not_finite(state):
            return Replay(bundle, step, program.examined(before, jax.tree.map(jnp.asarray, batch)))
    raise AssertionError("a bundle has at least one step")
