"""fgspec's updates beside a hand-written one in plain JAX and Flax's training steps, in turns.

    python benchmarks/peers.py [NETWORK ...] [--rounds N] [--json FILE]

All train the same network on the same random batch from the same parameters. Their gradients are
compared first, along the same perturbations; whoever's is another is not timed. Then every round
gives each a turn, so that what else the machine does falls on all, and ratios are taken within a
round: to the hand-written backprop. A call of the others is one update; fgspec makes as many as in
a run.
"""

import argparse
import json
import platform
from collections.abc import Callable, Mapping
from datetime import date
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple

import by_flax
import by_hand
import jax
import jax.numpy as jnp
import markdown_tables
import numpy as np
from jax.flatten_util import ravel_pytree

from compiler.cost.compiled import random_records
from compiler.plan.stacks import stacked
from compiler.update.state import by_name
from fgspec import api
from fgspec.bench.measure import Subject, measure, times
from fgspec.cli.bench_ import prepared
from fgspec.show.text import mebibytes

SPECS = Path(__file__).parents[1] / "specs" / "ren2022" / "table3"
NETWORKS = {
    "S/1/1": ("mnist_s_1_1", []),
    "M/1/16": ("mnist_m_1_16", []),
    "M/8/16, 4 blocks": ("cifar10_m_8_16", ["architecture.blocks=4"]),
    "M/8/16, 16 blocks": ("cifar10_m_8_16", ["architecture.blocks=16"]),
}
"""Folder of specs, and what is changed in them."""

GUESS = "gradient.perturbation.guess.type={}"
STEPS = 100_000
BATCH = 128
CLOSE = 5e-3
"""Largest difference of two gradients, of their length: rectifiers near zero may differ."""


class Row(NamedTuple):
    """One update to time.

    Attributes:
        subject: what is timed.
        temporary: bytes that it allocates, if that can be asked.
        gap: of its gradient to the hand-written one's, of its length.
    """

    subject: Subject
    temporary: int | None
    gap: float


def rows(network: str) -> list[Row]:
    """All updates of a network, hand-written backprop first.

    Raises:
        SystemExit: two gradients differ.
    """
    folder, words = NETWORKS[network]

    def spec(rule: str, *more: str) -> Any:
        return api.load(SPECS / folder / f"{rule}.yaml", [*words, *more])

    bp, local = spec("bp"), spec("lg_fg_a")
    program, other = api.compile(bp), api.compile(local)
    plan = program.plan
    setting = by_hand.Setting(bp.experiment.architecture.patches, plan.data.mean, plan.data.std)
    batch = {name: part[0] for name, part in random_records(program).items()}
    # Not those of a first state, whose classifier is zero, so that no gradient vanishes.
    rng = np.random.default_rng(0)

    def drawn(shapes: Any) -> Any:
        return jax.tree.map(
            lambda a: jnp.asarray(rng.standard_normal(a.shape) * 0.1, jnp.float32), shapes
        )

    known = drawn(_named(other))
    backbone = {name: known[name] for name in ("blocks", "classifier")}
    noise = {
        name: jnp.asarray(rng.standard_normal(like.shape), jnp.float32)
        for name, like in other.perturbations().items()
    }

    def given(name: str, shape: tuple[int, ...]) -> Any:
        return noise[name][0]

    wanted = {
        "bp": jax.jit(partial(by_hand.backprop, setting))(backbone, batch)[0],
        "lg-fg-a": jax.jit(partial(by_hand.local_forward_gradient, setting, noise=given))(
            known, batch
        )[0],
    }
    found = [_by_hand("BP", setting, backbone, batch, "bp", "rademacher", 0.0)]
    found += _flax(setting, backbone, batch, wanted["bp"])
    ours = {
        "bp": _own_gradient(program, backbone, batch, None),
        "lg-fg-a": _own_gradient(other, known, batch, noise),
    }
    found.append(_ours("fgspec, BP", bp, distance(ours["bp"], wanted["bp"])))
    gap = distance(ours["lg-fg-a"], wanted["lg-fg-a"])
    for guess, name in (("rademacher", "signs"), ("normal", "normal noise")):
        label = f"LG-FG-A, {name}"
        found.append(_by_hand(label, setting, known, batch, "lg-fg-a", guess, 0.0))
        found.append(_ours(f"fgspec, {label}", spec("lg_fg_a", GUESS.format(guess)), gap))
    for row in found:
        if row.gap > CLOSE:
            raise SystemExit(f"{network}: {row.subject.name}: its gradient is another: {row.gap}")
    return found


def distance(found: Any, wanted: Any) -> float:
    """Of two trees as vectors, of the length of the second."""
    a, b = ravel_pytree(found)[0], ravel_pytree(wanted)[0]
    return float(jnp.linalg.norm(a - b) / jnp.linalg.norm(b))


def _named(program: Any) -> Any:
    """Parameters in the shapes of a program's, every block under its own name."""
    return by_name(program.plan, program.init(0)).params


def _own_gradient(program: Any, params: Any, batch: Any, noise: Any) -> Any:
    state = program.init(0)._replace(params=stacked(program.plan.stacks, params))
    return program.gradient(state, batch, noise)[0]


def _by_hand(
    label: str, setting: Any, params: Any, batch: Any, rule: str, guess: str, gap: float
) -> Row:
    update = by_hand.make_update(setting, rule, guess, STEPS)
    state = by_hand.start(params, STEPS)
    return _compiled(f"by hand, {label}", update, state, batch, gap)


def _compiled(name: str, update: Callable[..., Any], state: Any, batch: Any, gap: float) -> Row:
    compiled = jax.jit(update, donate_argnums=0).lower(state, batch).compile()

    def call(state: Any, batch: Any) -> tuple[Any, Mapping[str, Any]]:
        state, loss = compiled(state, batch)
        return state, {"loss": loss}

    temporary = int(compiled.memory_analysis().temp_size_in_bytes)
    return Row(Subject(name, call, state, batch), temporary, gap)


def _flax(setting: Any, params: Any, batch: Any, wanted: Any) -> list[Row]:
    own = by_flax.linen_params(params)
    gradient = jax.jit(jax.grad(by_flax.make_linen(setting, params)))(own, batch)
    state = (own, by_flax.optimizer(STEPS).init(own))
    update = by_flax.linen_update(setting, params, STEPS)
    linen = _compiled(
        "Flax linen, BP", update, state, batch, distance(gradient, by_flax.linen_params(wanted))
    )
    network = by_flax.Nnx(params)
    _, found = by_flax.nnx_gradient(setting, network, batch)
    gap = distance(by_flax.nnx_named(found, params), wanted)
    step = by_flax.nnx_update(setting, params, STEPS)

    def call(state: Any, batch: Any) -> tuple[Any, Mapping[str, Any]]:
        return state, {"loss": step(batch)}

    return [linen, Row(Subject("Flax NNX, BP", call, (), batch), None, gap)]


def _ours(name: str, loaded: Any, gap: float) -> Row:
    subject, facts = prepared(loaded, name)
    return Row(subject, facts["memory"]["temporary_bytes"], gap)


def measured(network: str, rounds: int) -> list[dict[str, Any]]:
    """Time and memory of all updates of a network."""
    found = rows(network)
    results = measure([row.subject for row in found], rounds)
    return [
        {"name": row.subject.name, "temporary_bytes": row.temporary, "gradient_gap": row.gap}
        | times(own, results[0], BATCH)
        for row, own in zip(found, results, strict=True)
    ]


def table(network: str, results: list[dict[str, Any]]) -> str:
    """A network's results as Markdown."""
    head = ["", "ms an update", "ratio", "quartiles", "temporary", "gradient differs by"]
    rows = []
    for one in results:
        ratio, memory = one["ratio"], one["temporary_bytes"]
        cells = [
            one["name"],
            f"{one['step_time_s']['median'] * 1e3:.3g}",
            f"{ratio['median']:.2f}",
            markdown_tables.quartiles(ratio),
            "" if memory is None else mebibytes(memory),
            f"{one['gradient_gap']:.0e}" if one["gradient_gap"] else "",
        ]
        rows.append(cells)
    return f"### {network}\n\n{markdown_tables.table(head, rows)}"


def main() -> None:
    """Compare on the networks that are named, or on all."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("networks", nargs="*", metavar="NETWORK", help=", ".join(NETWORKS))
    parser.add_argument("--rounds", type=int, default=9)
    parser.add_argument("--json", type=Path)
    given = parser.parse_args()
    unknown = sorted(set(given.networks) - set(NETWORKS))
    if unknown:
        parser.error(f"no such network: {', '.join(unknown)}; known: {', '.join(NETWORKS)}")
    device = jax.devices()[0].device_kind
    print(
        f"{date.today()}, Python {platform.python_version()}, jax {jax.__version__}, {device}, "
        f"medians of {given.rounds} rounds\n"
    )
    results = {}
    for network in given.networks or NETWORKS:
        results[network] = measured(network, given.rounds)
        print(table(network, results[network]) + "\n", flush=True)
    if given.json is not None:
        given.json.write_text(json.dumps(results, indent=1) + "\n")


if __name__ == "__main__":
    main()
