"""A plan and its cost as tables for people and as plain values for machines."""

from collections.abc import Collection, Iterator, Sequence
from math import prod
from typing import Any

from compiler.cost.by_part import Anatomy, anatomy_values, by_part
from compiler.cost.compiled import CompiledUpdate, ynnpack
from compiler.cost.counts import counts
from compiler.cost.exact_updates import exact_updates
from compiler.cost.update_flops import update_flops
from compiler.cost.updates_per_call import calls_of
from compiler.equivalence.consequences import summarized
from compiler.named_arrays.paths import flatten
from compiler.network.network import layers_in
from compiler.plan.loops import written_out
from compiler.plan.plan import Plan
from compiler.plan.segment import Site
from compiler.plan.stacks import FEWEST
from fgspec.show.text import aligned, few, mebibytes, quantity
from fgspec.spec.directional import irreversible
from fgspec.spec.scanning import stores_all, unscannable


def cost_rows(
    plan: Plan, compiled: CompiledUpdate, anatomy: Anatomy, idle: Sequence[str]
) -> dict[str, str]:
    """The cost of one training step, as shown before a run: name of the row -> text.

    Args:
        plan: the plan.
        compiled: the step as XLA has compiled it.
        anatomy: the predicted cost of the step.
        idle: the paths of parameters that cannot learn.
    """
    counted, batch = counts(plan), plan.experiment.data.batch_size
    rows = f" in {plan.rows_each} rows each" if plan.rows_each > 1 else ""
    predicted = mebibytes(sum(anatomy.memory.values()))
    memory = (
        f"{mebibytes(compiled.temporary_bytes)} temporary arrays (predicted {predicted}), "
        f"{mebibytes(compiled.state_bytes)} parameters and optimizer"
    )
    xla = quantity(compiled.flops + anatomy.repeated)
    rows = {
        "parameters": f"{counted.parameters:,}",
        "FLOPs per step": f"{quantity(sum(anatomy.flops.values()))} (XLA counts {xla})",
        "memory": memory,
        "loss copies": f"{counted.losses:,} for a batch of {batch}{rows}",
        "perturbed elements": f"{counted.perturbed:,}" if counted.perturbed else "none",
        "steps": f"{plan.steps:,}, {plan.steps_per_epoch:,} per epoch; {_calls(plan)}",
        "blocks": _stacks(plan),
    }
    if unlabelled := plan.data.unlabelled:
        rows["labels"] = (
            f"{unlabelled:,} of {plan.data.train_examples:,} training examples have none; the "
            "classifier learns from the others"
        )
    if valid_examples := plan.data.valid_examples:
        rows["validation"] = (
            f"{valid_examples:,} training examples; the test set is read once, at the end"
        )
    if library := ynnpack(plan):
        rows["CPU kernels"] = KERNELS[library]
    if (exact := exact_updates(plan)) is not None:
        rows["exact updates"] = (
            f"one in {exact.every}: {quantity(exact.exact)} FLOPs; "
            f"{quantity(exact.estimated)} in all others"
        )
    if plan.phases:
        rows["phases"] = "; ".join(phase_lines(plan))
    if idle:
        rows["cannot learn"] = f"{few(idle)}: the normalization after it cancels it"
    if plan.experiment.start_from is not None:
        rows["start from"] = _start(plan)
    if plan.frozen:
        rows["frozen"] = _share(plan, plan.frozen)
    perturbing = {"derivatives": _derivatives(plan), "noise": _noise(plan)}
    rows |= {name: text for name, text in perturbing.items() if text}
    if counted.head_parameters:
        parts, total = by_part(anatomy.flops), sum(anatomy.flops.values())
        flops = parts["losses"] + parts["readouts"]
        share = f"{quantity(flops)} FLOPs with the classifier ({flops / total:.1%})"
        rows["local heads"] = f"{counted.head_parameters:,} parameters; {share}"
    return rows


def phase_lines(plan: Plan) -> Iterator[str]:
    """The phases of a run: their updates, gradient and cost."""
    for span, phase in plan.phases:
        gradient = phase.experiment.gradient
        exact = f", one in {gradient.exact_every} exact" if gradient.exact_every else ""
        yield (
            f"{span.start + 1:,} to {span.stop:,}: {gradient.estimator}, target {gradient.target}"
            f"{exact}, {quantity(update_flops(phase))} FLOPs"
        )


KERNELS = {
    "products": "single matrix products by YNNPACK, all else by XLA",
    "all": "as XLA chooses between YNNPACK and its own",
    "none": "all by XLA, none by YNNPACK",
}
"""Who computes on a CPU, by the value of `compile.ynnpack`; YNNPACK is a library within XLA."""

SLOW = "this backend computes gradients of convolutions slowly in loops"
"""Why nothing is a loop; see `compiler.plan.loops`."""


def _start(plan: Plan) -> str:
    """The parameters that are read from a file or a run, and from where."""
    start: Any = plan.experiment.start_from
    place = start.file if start.run is None else f"{start.run}, step {start.step}"
    return f"{place}: {_share(plan, plan.begins_elsewhere)}"


def _share(plan: Plan, paths: Collection[str]) -> str:
    """The parameters of these paths: how many numbers, and as few names as tell them."""
    sizes = {path: prod(spec.shape) for path, spec in flatten(plan.parameters()).items()}
    chosen = [path for path in sizes if path in paths]
    names = summarized(chosen, sizes.keys() - set(chosen))
    count = sum(sizes[path] for path in chosen)
    return f"{count:,} of {sum(sizes.values()):,} parameters ({', '.join(names)})"


def _calls(plan: Plan) -> str:
    calls = calls_of(plan)
    place = "training set on the device" if calls.resident else "batches sent to the device"
    loops = f"; no loops: {SLOW}" if written_out(plan) else ""
    return f"{calls.steps} per device call, {place}{loops}"


def _stacks(plan: Plan) -> str:
    """What is scanned, or why nothing is."""
    if plan.stacks:
        stacks = (f"{stack.name} ({len(stack.units)} equal blocks)" for stack in plan.stacks)
        how = "stacked, without a loop" if written_out(plan) else "scanned (one compiled loop)"
        return f"{how}: {', '.join(stacks)}; others unrolled"
    spec = plan.experiment
    if spec.compile.blocks == "unrolled":
        return "unrolled (each compiled by itself)"
    why = unscannable(spec.architecture, spec.losses, spec.gradient)
    if why is None and stores_all(spec.gradient, spec.compile):
        why = "for a reverse pass through all blocks, a loop stores more"
    return f"unrolled: {why or f'fewer than {FEWEST} equal blocks in a row'}"


def _noise(plan: Plan) -> str:
    perturbation = plan.perturbation
    if perturbation is None or perturbation.projects:
        return ""
    if plan.experiment.compile.noise == "drawn":
        return "drawn a second time when its derivative is known, not stored"
    guess = perturbation.guess
    how = f" ({guess.stored})" if guess.stored and guess.set.drawn_alone else ""
    return f"stored until its derivative is known{how}"


def _derivatives(plan: Plan) -> str:
    """How derivatives along noise or guesses are computed, and why; empty if there are none."""
    perturbation, spec = plan.perturbation, plan.experiment
    if perturbation is None or not plan.estimator.differentiates:
        return ""
    forward = not plan.reverse_derivatives
    mode = "forward mode (JVP)" if forward else "inner products with one reverse-mode gradient"
    if spec.compile.directional != "auto":
        return mode
    why = irreversible(spec.architecture, spec.losses, spec.gradient)
    if not forward:
        why = "it serves all groups of a guess"
        why = f"it serves all {perturbation.samples} samples" if perturbation.samples > 1 else why
    return f"{mode}: {why or 'it costs no more than a reverse-mode gradient'}"


def cost_values(plan: Plan, compiled: CompiledUpdate, anatomy: Anatomy) -> dict[str, Any]:
    """The same, and the cost of each part, as JSON."""
    counted = counts(plan)
    return {
        "parameters": counted.parameters,
        "head_parameters": counted.head_parameters,
        **anatomy_values(plan, anatomy),
        "xla": {
            "flops": compiled.flops + anatomy.repeated,
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
        **_exact(plan),
        **_phases(plan),
        "scanned": {stack.name: len(stack.units) for stack in plan.stacks},
    }


def _exact(plan: Plan) -> dict[str, Any]:
    """Exact updates and their cost, where a plan has some."""
    exact = exact_updates(plan)
    return {} if exact is None else {"exact_updates": exact._asdict()}


def _phases(plan: Plan) -> dict[str, Any]:
    """The phases of a run, where it has some."""
    found = [
        {
            "first": span.start + 1,
            "last": span.stop,
            "estimator": str(phase.experiment.gradient.estimator),
            "target": str(phase.experiment.gradient.target),
            "flops": update_flops(phase),
        }
        for span, phase in plan.phases
    ]
    return {"phases": found} if found else {}


def _mode(plan: Plan) -> str | None:
    """How derivatives along noise or guesses are computed; None if there are none."""
    if plan.perturbation is None:
        return None
    if not plan.estimator.differentiates:
        return "difference"
    return "reverse" if plan.reverse_derivatives else "forward"


def layer_values(plan: Plan) -> list[dict[str, Any]]:
    """Every layer: its shapes, its loss, and which loss copies each perturbed array uses."""
    ends = {blocks[-1].name: site for blocks, site in plan.units}
    used = {site for segment in plan.segments for site in segment.sites}
    used |= set(plan.headed_sites())
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
                    "losses": _losses(closing if last and closing in used else None),
                    "credit": _credit(plan, block.name, layer.name, last),
                }
            )
    return rows


def _losses(site: Site | None) -> list[dict[str, Any]]:
    return [] if site is None else [{"name": site.name, "axes": list(site.axes)}]


def _credit(plan: Plan, block: str, layer: str, last: bool) -> dict[str, list[str]]:
    """The axes of the copies used by each array perturbed at a layer, by the array's name.

    Where segments overlap, a layer has one entry for each loss that it learns from.
    """
    path, routes = f"{block}/{layer}", {}
    segments = [s for s in plan.segments if any(inside.name == block for inside in s.blocks)]
    for segment in segments:
        loss = f" for {segment.sites[-1].name}" if len(segments) > 1 else ""
        for name, element in plan.perturbed(segment).items():
            here = name == path or name.startswith(f"{path}/") or (last and name == block)
            if here:
                routes[f"{name}{loss}"] = list(element.route)
    return routes


_LETTERS = {"batch": "n", "patch": "p", "group": "g", "channel": "c"}
"""Of axes, in tables."""

_AXES = "n example, p patch or position, g channel group, c channel in a group"
_LOSS = "loss [n,p,g]: a copy per n, p, g; each sends gradients to its own features only"
_COPIES = (
    "copies used: an estimate is noise times the derivatives of these loss copies;",
    "  own n,p: the copies of the same example and patch, summed over groups",
)


def layer_lines(plan: Plan) -> list[str]:
    """Every layer as a line of text, and below them what the columns mean."""
    layers = layer_values(plan)
    perturbed = any(row["credit"] for row in layers)
    trained = {path for path, _ in layers_in(plan.network.blocks)}
    head = "copies used" if perturbed else "gradient"
    rows = [("layer", "kind", "in [p,g,c]", "out [p,g,c]", head, "loss")]
    for row in layers:
        losses = "; ".join(f"{loss['name']} [{_axes(loss['axes'])}]" for loss in row["losses"])
        shapes = (_shape(row["inputs"]), _shape(row["outputs"]))
        how = _copies(plan, row)
        if not how and row["layer"] not in trained:
            how = "no parameters"
        how = how or ("from the block's output" if perturbed else _how(plan, row))
        rows.append((row["layer"], _kind(row), *shapes, how, losses))
    return [*aligned(rows), _AXES, _LOSS, *_COPIES[: 2 * perturbed], *_projection(plan)]


def _copies(plan: Plan, row: dict[str, Any]) -> str:
    """The loss copies that estimates at a layer use: `own n,p`, or `w, b: own g`."""
    block, arrays = row["layer"].split("/")[0], dict[str, list[str]]()
    losses = {
        segment.sites[-1].name: segment.sites[-1].axes
        for segment in plan.segments
        if any(inside.name == block for inside in segment.blocks)
    }
    for name, route in row["credit"].items():
        # Along an axis that the loss has no copies along, nothing is left out.
        copied = losses[name.partition(" for ")[2] or next(iter(losses))]
        used = _route([axis for axis in route if axis in copied])
        arrays.setdefault(used, []).append(_array(name, row["layer"]))
    if list(arrays.values()) == [["output"]]:
        return next(iter(arrays))
    return "; ".join(f"{', '.join(names)}: {route}" for route, names in arrays.items())


def _array(name: str, layer: str) -> str:
    """`w` of `block0/dense/w`, `output` of the layer or the block itself."""
    path, *loss = name.split(" ", 1)
    array = path.removeprefix(layer).strip("/") if path.startswith(layer) else ""
    return " ".join((array or "output", *loss))


def _how(plan: Plan, row: dict[str, Any]) -> str:
    """How a layer's gradient is computed where it is not noise times a derivative."""
    perturbation = plan.perturbation
    if row["layer"].split("/")[0] in plan.exact_blocks:
        return "exact"
    if perturbation is None or not perturbation.projects:
        return str(plan.estimator)
    return f"on guess {perturbation.guess}"


def _projection(plan: Plan) -> Iterator[str]:
    perturbation = plan.perturbation
    if perturbation is not None and perturbation.projects:
        how = perturbation.projection
        yield (
            f"on guess {perturbation.guess}: the target's gradient is projected on the guess,"
            f" per {how.granularity} and {how.grouping}"
        )


def _kind(row: dict[str, Any]) -> str:
    """`conv 3x3/2 + input`: the map, its window and stride, and what is added to it."""
    size, stride = (row["options"].get(name, 1) for name in ("size", "stride"))
    window = f" {size}x{size}" if size > 1 or stride > 1 else ""
    step = f"/{stride}" if stride > 1 else ""
    return f"{row['kind']}{window}{step}" + "".join(f" + {name}" for name in row["adds"])


def _route(axes: list[str]) -> str:
    return f"own {_axes(axes)}" if axes else "all"


def _axes(names: list[str]) -> str:
    return ",".join(_LETTERS[name] for name in names)


def _shape(shape: list[int]) -> str:
    return "x".join(map(str, shape))
