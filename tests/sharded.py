"""Findings on eight simulated devices, as JSON; run as a process of its own, as they must be many
before JAX starts."""

import json
import shutil
import sys
import tempfile
from dataclasses import replace
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1] / "benchmarks"))

import jax
import jax.numpy as jnp
import meshes  # asks for eight devices
import numpy as np
import runs
from compiled_traffic import compiled_traffic
from jax.sharding import NamedSharding, PartitionSpec

import fgspec
from compiler.cost.compiled import lower_update
from compiler.cost.pipeline_stages import schedule
from compiler.cost.predicted_traffic import predicted_traffic
from compiler.cost.updates_per_call import Calls
from compiler.estimators.context import drawn
from compiler.plan.sharding import devices_of, layout_of, traced_on
from compiler.update.program import Program
from fgspec.spec.architectures import ARCHITECTURES
from fgspec.spec.rules import RULES
from fgspec.testing.law import method_of

STEPS = 3
CLIPPED = "type: sgd, learning_rate: 0.1, average: {decay: 0.5}, clip: {type: global_norm}"
SECOND = "gradient: {exact_every: 2}"
CHOOSING = """
phases: [{steps: 1, gradient: {estimator: grape}}]
gradient: {exact_every: 3}
"""
"""Three updates by three gradients, two of them with backward weights of their own."""
KEPT = "accumulate: 2, average: {decay: 0.5}, clip: {type: block_norm, limit: 0.1}"
"""Of an optimizer, beside its moments."""


def agreement():
    """How far steps on a mesh are from those on one device, by rule, blocks and mesh."""
    rules, found = RULES.names(), {}
    plain, clipped = {"blocks": 2}, {"blocks": 4, "optimizer": CLIPPED}
    cases = [*((rule, plain, "4x2") for rule in rules), ("lg-fg-a", clipped, "2x4")]
    cases += [("fa", {"blocks": 3, "more": CHOOSING}, "4x2")]
    for rule, asked, name in cases:
        wanted = meshes.trained(meshes.program(rule, **asked), STEPS)
        made = meshes.program(rule, meshes.MESHES[name], **asked)
        found[f"{rule} {asked['blocks']} {name}"] = meshes.difference(
            meshes.trained(made, STEPS), wanted
        )
    return found


def pipelines():
    """The same for pipelines, and what they send."""
    adam, found = f"type: adam, learning_rate: 0.001, epsilon: 0.001, {KEPT}", {}
    cases = (
        ("stage: 3", {"rule": "lg-fg-a", "blocks": 5, "optimizer": adam, "more": SECOND}),
        ("stage: 2, data: 2", {"rule": "lg-bp"}),
    )
    for mesh, asked in cases:
        wanted = meshes.trained(meshes.program(**asked), STEPS)
        made = meshes.program(mesh=mesh, **asked)
        found[mesh] = {
            "apart": meshes.difference(meshes.trained(made, STEPS), wanted),
            "picture": list(schedule(made.plan, STEPS)),
        }
    text = lower_update(made, Calls(1, False)).compile().as_text()
    sizes = layout_of(made.plan.experiment.mesh).sizes
    found["sent"] = {
        f"{kind} {axis}": size
        for (kind, axis), size in compiled_traffic(text, sizes).items()
        if axis == "stage"
    }
    return found


def elastic():
    """Metrics of a run that goes on on another mesh, and of one on one device."""
    more = ("checkpoint.every={steps: 3}", "architecture.normalization={epsilon: 1.0}")
    ended = {}
    with tempfile.TemporaryDirectory() as folder:
        path = runs.write_spec(Path(folder), steps=6)
        for name, begun in (("alone", ()), ("moved", ("mesh.data=4", "mesh.group=2"))):
            run = Path(fgspec.train(fgspec.load(path, [*more, *begun]), run_dir=folder)["run"])
            if begun:
                shutil.rmtree(run / "checkpoints" / "6")
                (run / "summary.json").unlink()
                fgspec.train(fgspec.load(path, [*more, "mesh.stage=2"]), resume=run)
            ended[name] = runs.lines(run)[-1]
        ended["evaluated"] = fgspec.evaluate(run)
    return ended


def noise():
    """Whether perturbations have the same bits on a mesh, and what is sent to draw them."""
    name, shape = "block1/channel", (meshes.BATCH, 4, 8, 4)
    key, found = jnp.array([3, 4], jnp.uint32), {}
    for guess in ("rademacher", "normal"):
        more, outs = f"gradient: {{perturbation: {{guess: {{type: {guess}}}}}}}", []
        for mesh in ("", meshes.MESHES["4x2"]):
            plan = meshes.program("lg-fg-a", mesh, more=more).plan

            def draw(key, plan=plan):
                return drawn(plan, key, jnp.int32(5))({name: shape}, 0)[name]

            layout = layout_of(plan.experiment.mesh)
            known = jax.device_put(key, NamedSharding(devices_of(layout), PartitionSpec()))
            compiled = jax.jit(traced_on(plan, draw)).lower(known).compile()
            outs.append(compiled(known))
        text, sizes = compiled.as_text(), layout.sizes
        found[guess] = {
            "same": np.asarray(outs[0]).tobytes() == np.asarray(outs[1]).tobytes(),
            "sent": sum(compiled_traffic(text, sizes).values()),
            "part": outs[1].addressable_shards[0].data.shape,
        }
    return found


def traffic():
    """Bytes of an update that are predicted, and those of the compiled program."""
    found = {}
    rules = ("bp", "lg-fg-a", "lg-fg-w")
    cases = [(rule, name, "") for name in ("1x8", "4x2") for rule in rules]
    for rule, name, more in (*cases, ("lg-fg-w", "4x2", SECOND)):
        made = meshes.program(rule, meshes.MESHES[name], channels=256, more=more)
        if more:  # the second of two updates, which is exact
            made = Program(replace(made.plan, fixed=made.plan.choice(1)))
        sizes = layout_of(made.plan.experiment.mesh).sizes
        text = lower_update(made, Calls(1, False)).compile().as_text()
        compiled, predicted = compiled_traffic(text, sizes), predicted_traffic(made.plan)
        found[f"{rule} {name}{' exact' * bool(more)}"] = {
            " ".join(key): (wanted, compiled[key])
            for key, wanted in (dict.fromkeys(compiled, 0) | predicted).items()
        }
    return found


def groups():
    """The same for every other network whose channels fall into groups, such as heads.

    Groups are spread over two devices. Each is as small as its `example`.
    """
    rule, found = "lg-fg-a", {}
    for name in ARCHITECTURES.names():
        made = method_of(ARCHITECTURES.kind(name))
        if "group" not in made.loss_axes:
            continue
        fields = made.model_dump(mode="json")
        # The normalization of a few nearly equal numbers would blow up what is rounded otherwise.
        fields["normalization"]["epsilon"] = 1.0
        asked = {"architecture": json.dumps(fields).replace("{", "{{").replace("}", "}}")}
        wanted = meshes.trained(meshes.program(rule, **asked), STEPS)
        spread = meshes.program(rule, meshes.MESHES["4x2"], **asked)
        found[name] = meshes.difference(meshes.trained(spread, STEPS), wanted)
    return found


FINDINGS = (agreement, groups, noise, traffic, pipelines, elastic)

if __name__ == "__main__":
    asked = sys.argv[1:] or [find.__name__ for find in FINDINGS]
    print(json.dumps({find.__name__: find() for find in FINDINGS if find.__name__ in asked}))
