"""The computations of a plan as digests by name: parameters, passes, gradients, noise, data, steps.

Blocks are always traced unrolled, under their own names, because scanned blocks share a body in
which layers have no names of their own. Nothing is compiled and no array is allocated.
"""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from math import prod
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp

from compiler.compile import compile_plan
from compiler.cost.by_part import by_part, dissect
from compiler.cost.compiled import abstract_arguments
from compiler.cost.counts import counts
from compiler.cost.predicted_traffic import predicted_traffic
from compiler.cost.updates_per_call import calls_of
from compiler.equivalence.digest import digests
from compiler.equivalence.streams import streams
from compiler.equivalence.value_digest import Known, hashed
from compiler.named_arrays.paths import flatten, unflatten
from compiler.named_arrays.random_streams import key_data
from compiler.network.initialize import initialize
from compiler.network.layers import apply_layer
from compiler.network.network import every_layer
from compiler.network.running import moved
from compiler.plan.plan import Plan
from compiler.update.forward_passes import pictures, stem
from compiler.update.learn import Collecting
from compiler.update.program import Program
from compiler.update.state import State, clipped, optimizer_of, stepped
from fgspec.spec.mesh import Mesh, sizes
from fgspec.spec.shapes import ParamSpec

_ROWS = 2
"""The number of examples in traces of layers, augmentation and evaluation; any number will do."""

_STATE = ("state", "batch")


class Print(NamedTuple):
    """The digests of one named computation.

    Attributes:
        digest: the digest of the whole computation.
        given: a digest that disregards how the random arrays in it are drawn.
    """

    digest: str
    given: str


@dataclass(frozen=True)
class Fingerprint:
    """The digests of all computations of a plan, and its cost.

    Attributes:
        prints: digests by a name in `CONSEQUENCES`, then by name, such as `blocks/block0/group/w`.
        cost: counts for one update, by name.
    """

    prints: Mapping[str, Mapping[str, Print]]
    cost: Mapping[str, int]


def fingerprint(plan: Plan) -> Fingerprint:
    """The fingerprint of a plan, from traces of everything that it computes.

    An update is a function of parameters, batch, step and key, the optimizer of parameters,
    gradients and its state, and a layer of its parameters and its input. The seed is part of the
    initial parameters, the noise and the data. Traces are for one device, because a mesh changes no
    number; the mesh is part of the group `program`.
    """
    plan_on_mesh, plan = plan, replace(plan, experiment=plan.experiment.on(Mesh()))
    scanned = compile_plan(plan)
    plan = replace(plan, stacks=())
    program = compile_plan(plan)
    state, records, _ = abstract_arguments(program)
    batch = jax.tree.map(lambda array: jax.ShapeDtypeStruct(array.shape[1:], array.dtype), records)
    small_batch = _few(batch)
    with jax.default_matmul_precision(plan.products):
        updates = _updates(program, state, batch)
        prints = {
            "initial": _printed(_initial(program)),
            "data": _data(plan, state, small_batch),
            "forward": _printed(_forward(plan, state, small_batch["image"])),
            "update": _printed(updates),
            "noise": _noise(plan, updates.values()),
            "optimizer": _printed(_optimizer(plan, state)),
            "evaluation": _evaluation(program, state, small_batch),
            "run": _run(plan),
            "program": _program(plan_on_mesh),
        }
    return Fingerprint(prints, _cost(scanned, state, batch) | _sent(plan_on_mesh))


def _printed(values: Mapping[str, Known]) -> dict[str, Print]:
    return {name: Print(known.digest, known.given) for name, known in values.items()}


def _same(*parts: Any) -> Print:
    digest = hashed(*parts)
    return Print(digest, digest)


def _initial(program: Program) -> dict[str, Known]:
    """The initial parameters, backward weights and running statistics of a run."""
    plan, seed = program.plan, program.plan.experiment.seed
    initialization = plan.network.initialization
    values = digests(lambda: {"statistics": program.init(seed).statistics}, (), ())
    for specs, *stream in ((plan.parameters(),), (plan.feedback(), "feedback")):
        # One by one: in a run, parameters of one shape are drawn together.
        for path, spec in flatten(specs).items():

            def one_parameter(path: Any = path, spec: Any = spec, stream_name: Any = stream) -> Any:
                specs = unflatten({path: spec})
                drawn_elsewhere = None if stream_name else plan.network.drawn
                return initialize(
                    specs,
                    key_data(seed),
                    initialization,
                    *stream_name,
                    all_drawn=bool(stream_name),
                    drawn=drawn_elsewhere,
                )

            (known,) = digests(one_parameter, (), ()).values()
            if not stream and path in plan.begins_elsewhere:
                digest = hashed(plan.experiment.start_from, path)
                known = Known(digest, digest, True)
            values["/".join((*stream, path))] = known
    return values


def _updates(program: Program, state: State, batch: Any) -> dict[str, Known]:
    """The gradient of every parameter, and the other parts of the state that an update changes."""

    def update(state: State, batch: Any) -> Any:
        learned = program.learned(state, batch, Collecting(state))
        gradients: dict[str, Any] = {
            **learned.grads,
            "statistics": moved(state.statistics, learned.layers),
        }
        return gradients if learned.feedback is None else gradients | {"feedback": learned.feedback}

    return digests(update, (state, batch), _STATE)


def _few(batch: Any) -> Any:
    return jax.tree.map(
        lambda array: jax.ShapeDtypeStruct((_ROWS, *array.shape[1:]), array.dtype), batch
    )


def _data(plan: Plan, state: State, batch: Any) -> dict[str, Print]:
    data, info = plan.experiment.data, plan.data
    images = hashed(data.source, info)

    def augmented_images(state: State, batch: Any) -> Any:
        # Before the stem: it depends on the architecture, and belongs to the forward pass.
        return pictures(plan, batch, state.key, state.step)

    augmented = digests(augmented_images, (state, batch), _STATE)[""]
    return {
        "images": _same(images),
        "batches": _same(images, plan.experiment.order_seed, data.batch_size),
        "augmentation": Print(augmented.digest, augmented.given),
    }


def _forward(plan: Plan, state: State, image: Any) -> dict[str, Known]:
    """The outputs of every layer and every readout, as functions of their inputs."""
    dtype = plan.features_dtype
    stem_output = digests(lambda image: stem(plan, image), (image,), ("image",))
    values = {"stem": stem_output[""]}

    def features(shape: tuple[int, int, int]) -> jax.ShapeDtypeStruct:
        return jax.ShapeDtypeStruct((_ROWS, *shape), dtype)

    params = {path: _abstract(specs) for path, specs in _layers(plan)}
    for path, layer in every_layer(plan.network.blocks):
        added_outputs = tuple(features(layer.outputs) for _ in layer.adds)

        def run(params_of_layer: Any, x: Any, added_outputs: Any, layer: Any = layer) -> Any:
            return apply_layer(layer, params_of_layer, x, added_outputs)[0]

        names = ("params", f"input from {layer.source}", f"adds {layer.adds}")
        arguments = (params.get(path, {}), features(layer.inputs), added_outputs)
        values[path] = digests(run, arguments, names)[""]
    last = features(plan.network.classified_shape)
    for site in plan.headed_sites():
        params_of_layer = state.params.get("heads", {}).get(site.name, {})
        readout = plan.readout(site)
        block = features(plan.network.block(site.block).end.features)
        values[f"heads/{site.name}"] = _read(readout, params_of_layer, block)
    values["classifier"] = _read(plan.network.classifier, state.params["classifier"], last)
    return values


def _read(readout: Any, params: Any, x: Any) -> Known:
    def run(params: Any, x: Any) -> Any:
        return readout.outputs(params, readout.entering(x))[0]

    return digests(run, (params, x), ("params", "features"))[""]


def _layers(plan: Plan) -> Iterator[tuple[str, dict[str, ParamSpec]]]:
    for block, layers in plan.parameters()["blocks"].items():
        yield from ((f"{block}/{name}", specs) for name, specs in layers.items())


def _abstract(specs: Mapping[str, ParamSpec]) -> dict[str, jax.ShapeDtypeStruct]:
    return {name: jax.ShapeDtypeStruct(spec.shape, jnp.float32) for name, spec in specs.items()}


def _noise(plan: Plan, gradients: Iterable[Known]) -> dict[str, Print]:
    """The draws from every random stream that an update reads, by the stream's name."""
    seed = plan.experiment.seed
    return {
        name: Print(hashed(seed, drawn), hashed(drawn)) for name, drawn in streams(plan, gradients)
    }


def _optimizer(plan: Plan, state: State) -> dict[str, Known]:
    """Every parameter after a step, as a function of gradients and the optimizer's state."""
    optimizer = optimizer_of(plan)

    def step(grads: Any, moments: Any, params: Any) -> Any:
        return stepped(optimizer, clipped(plan, grads), moments, params)

    arguments = (state.params, state.optimizer, state.params)
    values = digests(step, arguments, ("gradient", "moments", "params"))
    steps = {
        path.removeprefix("0/"): value for path, value in values.items() if path.startswith("0/")
    }
    moments_digests = sorted(
        (path, value.digest) for path, value in values.items() if path.startswith("1/")
    )
    return steps | {"state": Known(hashed(moments_digests), hashed(moments_digests), True)}


def _evaluation(program: Program, state: State, batch: Any) -> dict[str, Print]:
    data, info = program.plan.experiment.data, program.plan.data
    values = digests(program.evaluate, (state, batch), _STATE)
    return {
        **_printed(values),
        "test set": _same(data.source, info.test_examples),
        "batches": _same(data.evaluation_batch_size),
    }


def _run(plan: Plan) -> dict[str, Print]:
    training = plan.experiment.training
    return {
        "updates": _same(plan.steps),
        "evaluated every": _same(plan.steps_of(training.evaluate_every)),
        "logged every": _same(plan.steps_of(training.log_every)),
        **({} if not plan.phases else {"phases": _same([span for span, _ in plan.phases])}),
        **({} if training.stop_early is None else {"stops early": _same(training.stop_early)}),
    }


def _program(plan: Plan) -> dict[str, Print]:
    return {
        "scanned blocks": _same([stack.name for stack in plan.stacks]),
        "calls": _same(calls_of(plan)),
        "options": _same(plan.experiment.compile),
        "mesh": _same(plan.experiment.mesh),
    }


def _cost(program: Program, state: State, batch: Any) -> dict[str, int]:
    counted, anatomy = counts(program.plan), dissect(program)
    return {
        "parameters": counted.parameters,
        "flops": anatomy.flops.total(),
        **{f"flops/{part}": count for part, count in by_part(anatomy.flops).items()},
        "bytes": anatomy.bytes.total(),
        "memory": anatomy.memory.total(),
        "losses": counted.losses,
        "perturbed": counted.perturbed,
        "state_bytes": _bytes(state),
        "batch_bytes": _bytes(batch),
    }


def _sent(plan: Plan) -> dict[str, int]:
    """The bytes that each device sends in an update; empty if the mesh has an unknown size."""
    if -1 in sizes(plan.experiment.mesh):
        return {}
    return {"sent": round(sum(predicted_traffic(plan).values()))}


def _bytes(tree: Any) -> int:
    return sum(prod(leaf.shape) * leaf.dtype.itemsize for leaf in jax.tree.leaves(tree))
