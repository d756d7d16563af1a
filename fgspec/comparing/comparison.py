"""Two specs compared in three layers: fields, consequences, and what both make of one batch."""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp

from compiler.compile import compile_plan
from compiler.equivalence.consequences import Consequence, consequences
from compiler.equivalence.fingerprint import fingerprint
from compiler.named_arrays.paths import flatten, unflatten
from compiler.plan.plan import Plan
from compiler.quality.probe import ROUNDS, Probe, probed
from compiler.update.program import Program
from compiler.update.state import State
from fgspec.data.dataset import Dataset
from fgspec.data.pipeline import TrainBatches
from fgspec.loading.resolved import Difference, differences, spec_hash, spelled_out_once
from fgspec.loading.spec_file import Loaded
from fgspec.problems.problems import dotted


class Probing(NamedTuple):
    """How estimates are probed.

    Attributes:
        steps: updates before it, as the classifier's first weights send no errors back.
        draws: of estimates that are drawn.
    """

    steps: int = 20
    draws: int = 128


@dataclass(frozen=True)
class Probed:
    """What the estimates of two specs are worth.

    Attributes:
        a, b: by `block/layer`.
        where: at which parameters and on which batch, in words.
        draws: of each estimate that is drawn.
    """

    a: Mapping[str, Probe]
    b: Mapping[str, Probe]
    where: str
    draws: int

    def json(self) -> dict[str, Any]:
        """Plain values."""
        sides = {"a": self.a, "b": self.b}
        layers = {side: {k: v._asdict() for k, v in own.items()} for side, own in sides.items()}
        return {"where": self.where, "draws": self.draws, **layers}


@dataclass(frozen=True)
class Comparison:
    """What two specs have not in common.

    Attributes:
        names: what to call them.
        hashes: their identities.
        fields: in which they differ.
        spelled_out: fields that only one of them states, and that are equal.
        consequences: of these differences; empty where there are none, or nobody asked.
        cost: counts of an update of either, where they differ.
        probe: what their estimates are worth, if asked.
    """

    names: tuple[str, str]
    hashes: tuple[str, str]
    fields: tuple[Difference, ...]
    spelled_out: tuple[str, ...]
    consequences: tuple[Consequence, ...] = ()
    cost: Mapping[str, tuple[int, int]] | None = None
    probe: Probed | None = None

    def json(self) -> dict[str, Any]:
        """Plain values for `fgspec diff --json`."""
        cost = {k: dict(zip("ab", pair, strict=True)) for k, pair in (self.cost or {}).items()}
        return {
            "names": dict(zip("ab", self.names, strict=True)),
            "sha256": dict(zip("ab", self.hashes, strict=True)),
            "fields": [difference.json() for difference in self.fields],
            "spelled_out_once": list(self.spelled_out),
            "consequences": [one.json() for one in self.consequences],
            "cost": cost,
            "probe": None if self.probe is None else self.probe.json(),
        }


def of_fields(a: Loaded, b: Loaded) -> Comparison:
    """The first layer: what the specs say."""
    return Comparison(
        names=(a.file, " ".join([b.file, *(f"--set {text}" for text in b.overrides)])),
        hashes=(spec_hash(a), spec_hash(b)),
        fields=tuple(differences(a, b)),
        spelled_out=tuple(dotted(path) for path in spelled_out_once(a, b)),
    )


def with_consequences(found: Comparison, a: Plan, b: Plan) -> Comparison:
    """The second layer: what that changes in what is computed; nothing is compiled or run."""
    first, second = fingerprint(a), fingerprint(b)
    counted = dict.fromkeys([*first.cost, *second.cost])
    cost = {name: (first.cost.get(name, 0), second.cost.get(name, 0)) for name in counted}
    differing = {name: pair for name, pair in cost.items() if pair[0] != pair[1]}
    return replace(found, consequences=tuple(consequences(first, second)), cost=differing)


def with_probe(
    found: Comparison, a: Program, data_a: Dataset, b: Program, data_b: Dataset, how: Probing
) -> Comparison:
    """The third layer: what the estimates of both are worth, layer by layer, on one batch.

    Both are measured at the parameters of `a` after some updates, and on its batch, where these
    fit `b`; else each at its own.
    """
    plan_a, state_a, batch_a = _warm(a, data_a, how)
    plan_b, state_b, batch_b = _warm(b, data_b, how)
    first, second = a.plan.experiment.data, b.plan.experiment.data
    batch, params = "the same batch", "the parameters of the first"
    if first.source == second.source and first.batch_size == second.batch_size:
        batch_b = batch_a
    else:
        batch = "a batch of each"
    shared = _shared(state_a.params, state_b.params)
    if shared is None:
        params = "the parameters of each"
    else:
        state_b = state_b._replace(params=shared)
    each = max(2, how.draws // ROUNDS)
    return replace(
        found,
        probe=Probed(
            probed(plan_a, state_a, batch_a, each),
            probed(plan_b, state_b, batch_b, each),
            f"{batch}, at {params} after {how.steps} update{'s' * (how.steps != 1)}",
            each * ROUNDS,
        ),
    )


def _warm(of: Program, data: Dataset, how: Probing) -> tuple[Plan, State, Any]:
    """The plan unrolled, its state after some updates, and the next batch."""
    plan = replace(of.plan, stacks=())
    program, spec = compile_plan(plan, of.given), plan.experiment
    batches = TrainBatches(
        data.train_images, data.train_labels, spec.data.batch_size, spec.order_seed, how.steps + 1
    )
    state = program.init(spec.seed)
    for index in range(how.steps):
        state, _ = program.update(state, jax.tree.map(jnp.asarray, dict(batches[index])))
        jax.block_until_ready(state)
    return plan, state, jax.tree.map(jnp.asarray, dict(batches[how.steps]))


def _shared(a: Mapping[str, Any], b: Mapping[str, Any]) -> dict[str, Any] | None:
    """Parameters `a` in the structure of `b`, heads that only `b` has as they are.

    None where blocks or classifier differ in shape.
    """
    ours, theirs = flatten(a), flatten(b)
    fits = {p for p, part in theirs.items() if p in ours and ours[p].shape == part.shape}
    if any(path not in fits and not path.startswith("heads/") for path in theirs):
        return None
    return unflatten({path: ours[path] if path in fits else theirs[path] for path in theirs})
