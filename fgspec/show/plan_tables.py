"""A plan and its cost as tables for people and as plain values for machines."""

from collections.abc import Collection
from math import prod
from typing import Any

from compiler.cost.by_part import Anatomy, anatomy_values, by_part
from compiler.cost.compiled import CompiledUpdate, ynnpack
from compiler.cost.counts import counts
from compiler.cost.updates_per_call import calls_of
from compiler.equivalence.consequences import summarized
from compiler.named_arrays.paths import flatten
from compiler.plan.loops import written_out
from compiler.plan.plan import Plan
from compiler.plan.segment import Site
from compiler.plan.stacks import FEWEST
from fgspec.show.text import aligned, mebibytes, quantity
from fgspec.spec.directional import irreversible
from fgspec.spec.scanning import stores_all, unscannable


def cost_rows(plan: Plan, compiled: CompiledUpdate, found: Anatomy) -> dict[str, str]:
    """What an update costs, as shown before a run."""
    counted, batch = counts(plan), plan.experiment.data.batch_size
    views = f" in {plan.objective.views} views" if plan.objective.views > 1 else ""
    foreseen = mebibytes(sum(found.memory.values()))
    memory = (
        f"{mebibytes(compiled.state_bytes)} state, {mebibytes(compiled.temporary_bytes)} temporary"
        f" (predicted {foreseen})"
    )
    xla = quantity(compiled.flops + found.repeated)
    rows = {
        "parameters": f"{counted.parameters:,}",
        "FLOPs a step": f"{quantity(sum(found.flops.values()))} (XLA counts {xla})",
        "memory": memory,
        "losses": f"{counted.losses:,} copies over a batch of {batch}{views}",
        "perturbed elements": f"{counted.perturbed:,}" if counted.perturbed else "none",
        "steps": f"{plan.steps:,} of {plan.steps_per_epoch:,} an epoch; {_calls(plan)}",
        "blocks": _stacks(plan),
    }
    if aside := plan.data.valid_examples:
        rows["validation"] = (
            f"{aside:,} training examples are set aside; the test set is read once, at the end"
        )
    if given := ynnpack(plan):
        rows["YNNPACK"] = GIVEN[given]
    if idle := plan.idle_params():
        rows["cannot learn"] = f"{', '.join(idle)}: the normalization behind takes it out"
    if plan.experiment.start_from is not None:
        rows["begins with"] = _begins(plan)
    if plan.frozen:
        rows["frozen"] = _frozen(plan)
    perturbing = {"derivatives": _derivatives(plan), "noise": _noise(plan)}
    rows |= {name: text for name, text in perturbing.items() if text}
    if counted.head_parameters:
        parts, whole = by_part(found.flops), sum(found.flops.values())
        share = parts["losses"] + parts["readouts"]
        told = f"{quantity(share)} FLOPs with the classifier ({share / whole:.1%} of all)"
        rows["heads of local losses"] = f"{counted.head_parameters:,} parameters, {told}"
    return rows


GIVEN = {
    "products": "takes matrix products one by one",
    "all": "takes what XLA gives it, sums too",
    "none": "takes nothing",
}
"""What XLA gives to its library on a CPU, by the value of `compile.ynnpack`."""

SLOW = "this backend is slow at gradients of convolutions in them"
"""Why nothing is a loop; see `compiler.plan.loops`."""


def _frozen(plan: Plan) -> str:
    """What does not learn, and how much that is."""
    return _share(plan, plan.frozen)


def _begins(plan: Plan) -> str:
    """What is read from elsewhere, and from where."""
    start: Any = plan.experiment.start_from
    place = start.file if start.run is None else f"{start.run}, step {start.step}"
    return f"{_share(plan, plan.begins_elsewhere)} from {place}"


def _share(plan: Plan, paths: Collection[str]) -> str:
    """The parameters of these paths: how many numbers, and as few names as tell them."""
    sizes = {path: prod(spec.shape) for path, spec in flatten(plan.parameters()).items()}
    own = [path for path in sizes if path in paths]
    count, named = sum(sizes[path] for path in own), summarized(own, sizes.keys() - set(own))
    return f"{count:,} of {sum(sizes.values()):,} parameters: {', '.join(named)}"


def _calls(plan: Plan) -> str:
    calls = calls_of(plan)
    place = "the training set is on the device" if calls.resident else "batches are sent"
    loops = f"; no loops: {SLOW}" if written_out(plan) else ""
    return f"{calls.steps} a call, {place}{loops}"


def _stacks(plan: Plan) -> str:
    """What is scanned, or why nothing is."""
    if plan.stacks:
        found = (f"{stack.name} ({len(stack.units)} equal)" for stack in plan.stacks)
        how = "one array, unrolled" if written_out(plan) else "scanned"
        return f"{how}: {', '.join(found)}; others unrolled"
    spec = plan.experiment
    if spec.compile.blocks == "unrolled":
        return "unrolled"
    why = unscannable(spec.architecture, spec.losses, spec.gradient)
    if why is None and stores_all(spec.gradient, spec.compile):
        why = "a reverse pass through all blocks stores more where they are scanned"
    return f"unrolled: {why or f'there are no {FEWEST} equal ones in a row'}"


def _noise(plan: Plan) -> str:
    how = plan.perturbation
    if how is None or how.projects:
        return ""
    if plan.experiment.compile.noise == "drawn":
        return "drawn again where its derivative is known"
    return (
        f"stored, {how.guess.stored}"
        if how.guess.stored and how.guess.set.drawn_alone
        else "stored"
    )


def _derivatives(plan: Plan) -> str:
    """How the derivatives along perturbations are taken, and why; nothing where there are none."""
    how, spec = plan.perturbation, plan.experiment
    if how is None or not plan.estimator.differentiates:
        return ""
    forward = not plan.reverse_derivatives
    text = "pushed forward" if forward else "inner products with a reverse-mode gradient"
    if spec.compile.directional != "auto":
        return text
    why = irreversible(spec.architecture, spec.losses, spec.gradient)
    if not forward:
        why = "one gradient serves all groups of a guess"
        why = f"one serves all {how.samples} samples" if how.samples > 1 else why
    return f"{text}: {why or 'one tangent costs no more than a gradient'}"


def cost_values(plan: Plan, compiled: CompiledUpdate, found: Anatomy) -> dict[str, Any]:
    """The same and its parts as JSON."""
    counted = counts(plan)
    return {
        "parameters": counted.parameters,
        "head_parameters": counted.head_parameters,
        **anatomy_values(plan, found),
        "xla": {
            "flops": compiled.flops + found.repeated,
            "temporary_bytes": compiled.temporary_bytes,
            "state_bytes": compiled.state_bytes,
            "argument_bytes": compiled.argument_bytes,
        },
        "losses": counted.losses,
        "perturbed": counted.perturbed,
        "steps": plan.steps,
        "steps_per_epoch": plan.steps_per_epoch,
        "calls": calls_of(plan)._asdict(),
        "derivative": _mode(plan),
        "scanned": {stack.name: len(stack.units) for stack in plan.stacks},
    }


def _mode(plan: Plan) -> str | None:
    """How derivatives along perturbations are taken; None where there are none."""
    if plan.perturbation is None:
        return None
    if not plan.estimator.differentiates:
        return "difference"
    return "reverse" if plan.reverse_derivatives else "forward"


def layer_values(plan: Plan) -> list[dict[str, Any]]:
    """Every layer: shapes, normalizations, its loss, and the credit route of what is perturbed."""
    ends = {blocks[-1].name: site for blocks, site in plan.units}
    heard = {site for segment in plan.segments for site in segment.sites}
    heard |= set(plan.headed_sites())
    rows = []
    for block in plan.network.blocks:
        sources, closing = block.sources(), ends.get(block.name)
        for layer in block.layers:
            last = layer is block.layers[-1]
            rows.append(
                {
                    "layer": f"{block.name}/{layer.name}",
                    "kind": str(layer.kind),
                    "options": layer.kind.options(),
                    "reads": sources[layer.name],
                    "adds": list(layer.adds),
                    "activation": layer.activation.named(),
                    "inputs": list(layer.inputs),
                    "outputs": list(layer.outputs),
                    "losses": _losses(closing if last and closing in heard else None),
                    "credit": _credit(plan, block.name, layer.name, last),
                }
            )
    return rows


def _losses(site: Site | None) -> list[dict[str, Any]]:
    return [] if site is None else [{"name": site.name, "axes": list(site.axes)}]


def _credit(plan: Plan, block: str, layer: str, last: bool) -> dict[str, list[str]]:
    """The routes of what is perturbed at a layer, by name; of each loss where there are several."""
    path, found = f"{block}/{layer}", {}
    owners = [s for s in plan.segments if any(own.name == block for own in s.blocks)]
    for segment in owners:
        of = f" for {segment.sites[-1].name}" if len(owners) > 1 else ""
        for name, element in plan.perturbed(segment).items():
            here = name == path or name.startswith(f"{path}/") or (last and name == block)
            if here:
                found[f"{name}{of}"] = list(element.route)
    return found


def layer_lines(plan: Plan) -> list[str]:
    """Every layer as a line of text, with its shapes, losses and credit route."""
    estimator = _estimator(plan)
    rows = [("layer", "kind", "in [p,g,c]", "out [p,g,c]", "answers for copies along", "loss")]
    for row in layer_values(plan):
        credit = row["credit"]
        routes = "; ".join(
            f"{_part(name, row['layer'])}: {_route(route)}" for name, route in credit.items()
        )
        losses = "; ".join(f"{loss['name']} [{', '.join(loss['axes'])}]" for loss in row["losses"])
        shapes = (_shape(row["inputs"]), _shape(row["outputs"]))
        rows.append((row["layer"], _kind(row), *shapes, routes or estimator, losses))
    return aligned(rows)


def _part(name: str, layer: str) -> str:
    """`w` of `block0/dense/w`, `output` of the layer or the block itself."""
    own, *of = name.split(" ", 1)
    part = own.removeprefix(layer).strip("/") if own.startswith(layer) else ""
    return " ".join((part or "output", *of))


def _estimator(plan: Plan) -> str:
    """What stands where nothing is perturbed jointly."""
    perturbation = plan.perturbation
    if perturbation is None or not perturbation.projects:
        return str(plan.estimator)
    how = perturbation.projection
    return f"<T, {perturbation.guess}> per {how.granularity} and {how.grouping}"


def _kind(row: dict[str, Any]) -> str:
    """`conv 3x3/2 + input`: the map, its window and stride, and what is added to it."""
    size, stride = (row["options"].get(name, 1) for name in ("size", "stride"))
    window = f" {size}x{size}" if size > 1 or stride > 1 else ""
    step = f"/{stride}" if stride > 1 else ""
    return f"{row['kind']}{window}{step}" + "".join(f" + {name}" for name in row["adds"])


def _route(axes: list[str]) -> str:
    return ",".join(axes) or "none (summed over all)"


def _shape(shape: list[int]) -> str:
    return "x".join(map(str, shape))
