"""Findings on eight simulated devices, as JSON; run as a process of its own, as they must be many
before JAX starts."""

import json
import sys
from pathlib import Path
from typing import get_args

sys.path.insert(0, str(Path(__file__).parents[1] / "benchmarks"))

import jax
import jax.numpy as jnp
import meshes  # asks for eight devices
import numpy as np

from compiler.analyze.calls import Calls
from compiler.analyze.collectives import compiled_traffic
from compiler.analyze.compiled import lower_update
from compiler.analyze.traffic import predicted_traffic
from compiler.estimate import drawn
from compiler.sharding import layout_of, traced_on
from fgspec.spec.presets import RuleName

STEPS = 3


def agreement():
    """Of every rule on one mesh, of one rule on all, unrolled and scanned: see `meshes`."""
    found = {}
    cases = {(rule, "4x2", 2) for rule in get_args(RuleName)}
    cases |= {("lg-fg-a", name, 2) for name in meshes.MESHES} | {("lg-fg-a", "2x4", 4)}
    for rule, blocks in sorted({(rule, blocks) for rule, _, blocks in cases}):
        wanted = meshes.trained(meshes.program(rule, (1, 1), blocks), STEPS)
        for name in sorted(name for r, name, b in cases if (r, b) == (rule, blocks)):
            made = meshes.program(rule, meshes.MESHES[name], blocks)
            found[f"{rule} {name} {blocks}"] = meshes.difference(
                meshes.trained(made, STEPS), wanted
            )
    return found


def noise():
    """Whether perturbations have the same bits on a mesh, and what is sent to draw them."""
    name, shape = "block1/channel", (meshes.BATCH, 4, 8, 4)
    key, found = jnp.array([3, 4], jnp.uint32), {}
    for guess in ("rademacher", "normal"):
        more, outs = f"gradient: {{perturbation: {{guess: {{type: {guess}}}}}}}", []
        for mesh in ((1, 1), (4, 2)):
            plan = meshes.program("lg-fg-a", mesh, more=more).plan

            def draw(key, plan=plan):
                return drawn(plan, key, jnp.int32(5))(name, shape, 0)

            compiled = jax.jit(traced_on(plan, draw)).lower(key).compile()
            outs.append(compiled(key))
        text, sizes = compiled.as_text(), layout_of(plan.experiment.mesh).sizes
        found[guess] = {
            "same": np.asarray(outs[0]).tobytes() == np.asarray(outs[1]).tobytes(),
            "sent": sum(compiled_traffic(text, sizes).values()),
            "part": outs[1].addressable_shards[0].data.shape,
        }
    return found


def traffic():
    """Bytes of an update that are predicted, and those of the compiled program."""
    found = {}
    for rule in ("bp", "lg-fg-a", "lg-fg-w"):
        for name in ("1x8", "4x2"):
            made = meshes.program(rule, meshes.MESHES[name], channels=256)
            sizes = layout_of(made.plan.experiment.mesh).sizes
            text = lower_update(made, Calls(2, False)).compile().as_text()
            compiled, predicted = compiled_traffic(text, sizes), predicted_traffic(made.plan)
            found[f"{rule} {name}"] = {
                " ".join(key): (wanted, compiled[key] / 2)
                for key, wanted in (dict.fromkeys(compiled, 0.0) | predicted).items()
            }
    return found


if __name__ == "__main__":
    print(json.dumps({f.__name__: f() for f in (agreement, noise, traffic)}))
