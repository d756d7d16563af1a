"""Every rule on one device and on simulated meshes of eight: how far the answers are apart.

    python benchmarks/meshes.py [--rules lg-fg-a ...] [--meshes 4x2 ...] [--steps 50] [--json]

The largest difference of what a parameter changed by, and of a metric of any step, in units of the
largest number of its array. LocalMixer on random images; meshes are data x group. Rounding grows
with training itself: the last column is one device again, from weights off by 1e-7 of themselves.
"""

import argparse
import json
import os

os.environ["XLA_FLAGS"] = " ".join(
    (os.environ.get("XLA_FLAGS", ""), "--xla_force_host_platform_device_count=8")
)
os.environ["JAX_PLATFORMS"] = "cpu"

from typing import Any

import jax
import numpy as np

from compiler.compile import compile_plan
from compiler.plan.plan import make_plan
from compiler.update.program import Program
from fgspec.data.describe import describe
from fgspec.loading.spec_file import loads
from fgspec.spec.rules import RULES

BATCH = 32
SPEC = """
fgspec: 1
name: meshes
rule: {rule}
data: {{source: {{type: synthetic, image: [8, 8, 3]}}, batch_size: {batch}}}
architecture: {architecture}
optimizer: {{{optimizer}}}
training: {{steps: 50}}
mesh: {{{mesh}}}
{more}
"""
MIXER = """
  {{type: local_mixer, blocks: {blocks}, patches: 2, channels: {channels}, groups: 8,
    normalization: {{epsilon: 1.0}}}}"""
MESHES = {
    "8x1": "data: 8",
    "4x2": "data: 4, group: 2",
    "2x4": "data: 2, group: 4",
    "1x8": "group: 8",
}
DEFAULTS = {
    "architecture": MIXER,
    "blocks": 2,
    "channels": 32,
    "optimizer": "type: sgd, learning_rate: 0.1",
    "more": "",
}


def program(rule: str, mesh: str = "", **asked: Any) -> Program:
    """The program of a small network on a mesh, a LocalMixer if no other is asked for.

    `DEFAULTS` are what may be asked for.
    """
    given = DEFAULTS | asked
    given["architecture"] = given["architecture"].format(**given)
    text = SPEC.format(rule=rule, mesh=mesh, batch=BATCH, **given)
    experiment = loads(text).experiment
    return compile_plan(make_plan(experiment, describe(experiment.data.source)))


def records(steps: int) -> Any:
    """Random batches, each array with a leading axis of steps."""
    random = np.random.default_rng(0)
    images = random.integers(0, 256, (steps, BATCH, 8, 8, 3), np.uint8)
    return {"image": images, "label": random.integers(0, 10, (steps, BATCH)).astype(np.int32)}


def trained(made: Program, steps: int, off: float = 0.0) -> Any:
    """What parameters changed by in so many steps of one call, and the metrics of each.

    Weights begin `off` by that part of themselves, up or down.
    """
    state, random = made.init(0), np.random.default_rng(1)
    start = jax.device_get(state.params)
    if off:
        params = jax.tree.map(lambda a: a + off * a * random.choice([-1.0, 1.0], a.shape), start)
        state = state._replace(params=jax.tree.map(np.float32, params))
    state, metrics = jax.block_until_ready(made.updates(state, records(steps)))
    return jax.tree.map(np.subtract, jax.device_get(state.params), start), jax.device_get(metrics)


def difference(found: Any, wanted: Any) -> float:
    """Largest difference of two trees, in units of the largest number of each array."""
    pairs = zip(jax.tree.leaves(found), jax.tree.leaves(wanted), strict=True)
    return max(float(np.abs(a - b).max() / max(np.abs(b).max(), 1e-3)) for a, b in pairs)


def main() -> None:
    """Print the differences."""
    asked = argparse.ArgumentParser()
    asked.add_argument("--rules", nargs="*", default=list(RULES.names()))
    asked.add_argument("--meshes", nargs="*", default=list(MESHES))
    asked.add_argument("--steps", type=int, default=50)
    asked.add_argument("--blocks", type=int, default=2)
    asked.add_argument("--json", action="store_true")
    given = asked.parse_args()
    found: dict[str, dict[str, float]] = {}
    for rule in given.rules:
        alone = program(rule, blocks=given.blocks)
        wanted = trained(alone, given.steps)
        made = {name: program(rule, MESHES[name], blocks=given.blocks) for name in given.meshes}
        ends = {name: trained(on, given.steps) for name, on in made.items()}
        ends["off"] = trained(alone, given.steps, 1e-7)
        found[rule] = {name: difference(end, wanted) for name, end in ends.items()}
        if not given.json:
            row = " | ".join(f"{d:.0e}" for d in found[rule].values())
            print(f"| {rule} | {row} |", flush=True)
    if given.json:
        print(json.dumps(found))


if __name__ == "__main__":
    main()
