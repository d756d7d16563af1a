"""Where arrays lie on a mesh of devices: their named axes, by the rules of the spec.

Everything that knows of devices is here. Noise and data are functions of global indices, so a mesh
changes no number but by the order of sums.
"""

from collections.abc import Callable, Mapping, Sequence
from contextlib import nullcontext
from dataclasses import dataclass
from functools import lru_cache, partial
from math import prod
from typing import Any

import jax
from jax.sharding import AxisType, NamedSharding, PartitionSpec, use_abstract_mesh
from jaxtyping import Array, Shaped

from compiler.named_arrays.axes import ACTIVATION, Axis
from compiler.named_arrays.paths import flatten
from compiler.plan.plan import Plan
from fgspec.spec.mesh import Mesh

ORDER = ("stage", "data", "group")
"""Of the axes of a mesh: neighbours along the last exchange most."""

SECTIONS = ("blocks", "heads", "classifier")
"""Where the path of a parameter begins, in whatever it stands."""


@dataclass(frozen=True)
class Layout:
    """How arrays with named axes are split.

    Attributes:
        sizes: devices by axis of the mesh.
        rules: (named axis, axis of the mesh), in order.
    """

    sizes: tuple[tuple[str, int], ...]
    rules: tuple[tuple[str, str], ...]

    @property
    def devices(self) -> int:
        """Of the whole mesh."""
        return prod(size for _, size in self.sizes)

    def split(self, axes: Sequence[Axis | None], shape: Sequence[int]) -> tuple[str | None, ...]:
        """The axis of the mesh that each axis of an array is split over, or None.

        A rule is passed over where the mesh axis is used or does not divide the array's.
        """
        sizes, found = dict(self.sizes), dict[int, str]()
        for axis, over in self.rules:
            for index, (name, size) in enumerate(zip(axes, shape, strict=True)):
                fits = name == axis and index not in found and over not in found.values()
                if fits and sizes[over] > 1 and size % sizes[over] == 0:
                    found[index] = over
        return tuple(found.get(index) for index in range(len(shape)))


def layout_of(mesh: Mesh) -> Layout:
    """The layout of a spec's mesh, in which nothing is -1."""
    sizes = tuple((name, getattr(mesh, name)) for name in ORDER)
    return Layout(sizes, tuple((rule.axis, rule.over) for rule in mesh.rules))


@lru_cache(maxsize=32)
def devices_of(layout: Layout) -> jax.sharding.Mesh:
    """The first devices of the machine as a mesh."""
    names, counts = zip(*layout.sizes, strict=True)
    kinds = (AxisType.Auto,) * len(names)
    return jax.make_mesh(counts, names, kinds, devices=jax.devices()[: layout.devices])


def constrained(
    plan: Plan, x: Shaped[Array, "..."], axes: Sequence[Axis | None] = ACTIVATION
) -> Shaped[Array, "..."]:
    """The same array, split over the devices of the plan as its named axes say.

    For arrays where they begin: what enters the network, noise, features at a loss. Between these
    XLA's own propagation finds what the axes of the weights imply.
    """
    layout = layout_of(plan.experiment.mesh)
    if layout.devices == 1:
        return x
    return jax.lax.with_sharding_constraint(x, PartitionSpec(*layout.split(axes, x.shape)))


def traced_on(plan: Plan, function: Callable[..., Any]) -> Callable[..., Any]:
    """`function` traced for the mesh of a plan, which `constrained` and layers then see.

    Products are as precise as the spec says, without the TF32 and bfloat16 passes that JAX would
    choose by itself on GPUs and TPUs, and no split of an array changes the random numbers in it.
    """
    layout = layout_of(plan.experiment.mesh)
    alone = layout.devices == 1

    def traced(*args: Any, **named: Any) -> Any:
        seen = nullcontext() if alone else use_abstract_mesh(devices_of(layout).abstract_mesh)
        with seen, jax.default_matmul_precision(plan.products), jax.threefry_partitionable(True):
            return function(*args, **named)

    return traced


def noise_axes(plan: Plan, name: str, shape: tuple[int, ...]) -> tuple[Axis | None, ...]:
    """The named axes of a perturbation: those of its weight, or of activations."""
    spec = flatten(plan.parameters()).get(f"blocks/{name}")
    if spec is None:
        return ACTIVATION
    own: tuple[Axis | None, ...] = spec.axes
    return own if len(shape) == len(own) else ("batch", *own)


def placed(plan: Plan, state: Any) -> Any:
    """A state of shapes, each with the sharding of its array; unchanged on one device.

    Parameters are split by their named axes, the optimizer's arrays like theirs, backward weights
    by their own; all else is on every device.

    Args:
        plan: the plan.
        state: a `State` of `jax.ShapeDtypeStruct`.
    """
    layout = layout_of(plan.experiment.mesh)
    if layout.devices == 1:
        return state
    stacks = {stack.name for stack in plan.stacks}

    def put(part: Any, specs: Mapping[str, Any]) -> Any:
        axes = {path: spec.axes for path, spec in flatten(specs).items()}
        return jax.tree_util.tree_map_with_path(partial(_put, layout, stacks, axes), part)

    return put(state, {})._replace(
        params=put(state.params, plan.parameters()),
        optimizer=put(state.optimizer, plan.parameters()),
        feedback=put(state.feedback, plan.feedback()),
    )


def _put(
    layout: Layout,
    stacks: set[str],
    axes: Mapping[str, tuple[Axis | None, ...]],
    path: tuple[Any, ...],
    leaf: jax.ShapeDtypeStruct,
) -> jax.ShapeDtypeStruct:
    """A leaf whose path ends like that of a parameter is split like it, behind an axis of units."""
    names = [part.key for part in path if isinstance(part, jax.tree_util.DictKey)]
    start = next((i for i, name in enumerate(names) if name in SECTIONS), len(names))
    own = axes.get("/".join(names[start:]), (None,) * leaf.ndim)
    if stacks.intersection(names[:start]):
        own = (None, *own)
    return _spread(layout, leaf, own if len(own) == leaf.ndim else (None,) * leaf.ndim)


def spread(plan: Plan, shape: Any, axes: Sequence[Axis | None] = ()) -> jax.ShapeDtypeStruct:
    """A shape with where an array that begins with these named axes lies."""
    layout = layout_of(plan.experiment.mesh)
    if layout.devices == 1:
        return jax.ShapeDtypeStruct(shape.shape, shape.dtype)
    return _spread(layout, shape, (*axes, *(None,) * (len(shape.shape) - len(axes))))


def _spread(layout: Layout, leaf: Any, axes: Sequence[Axis | None]) -> jax.ShapeDtypeStruct:
    where = NamedSharding(devices_of(layout), PartitionSpec(*layout.split(axes, leaf.shape)))
    return jax.ShapeDtypeStruct(leaf.shape, leaf.dtype, sharding=where)


def everywhere(plan: Plan) -> NamedSharding | None:
    """That of arrays which every device of the mesh has; None on one device."""
    layout = layout_of(plan.experiment.mesh)
    return None if layout.devices == 1 else NamedSharding(devices_of(layout), PartitionSpec())


def shardings(shapes: Any) -> Any:
    """Where the arrays of these shapes lie; None where that is left open."""
    return jax.tree.map(lambda leaf: leaf.sharding, shapes)
