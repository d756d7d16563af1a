"""How arrays are split over a mesh of devices, by their named axes and the rules of the spec.

All code that depends on devices is here. Noise and data are functions of global indices, so a mesh
changes numbers only by the order of sums.
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
"""The axes of a mesh; most is sent along the last one, so its devices are neighbours."""

SECTIONS = ("blocks", "heads", "classifier")
"""The first names of parameters' paths, also inside optimizer states."""


@dataclass(frozen=True)
class Layout:
    """How arrays with named axes are split.

    Attributes:
        sizes: pairs of an axis of the mesh and its number of devices.
        rules: pairs of a named axis and the axis of the mesh that splits it, in order.
    """

    sizes: tuple[tuple[str, int], ...]
    rules: tuple[tuple[str, str], ...]

    @property
    def devices(self) -> int:
        """The number of devices in the mesh."""
        return prod(size for _, size in self.sizes)

    def split(self, axes: Sequence[Axis | None], shape: Sequence[int]) -> tuple[str | None, ...]:
        """For each axis of an array, the axis of the mesh that it is split over, or None.

        A rule is skipped if its mesh axis already splits this array, or does not divide the axis.
        """
        sizes, split_over = dict(self.sizes), dict[int, str]()
        for axis, over in self.rules:
            for index, (name, size) in enumerate(zip(axes, shape, strict=True)):
                fits = name == axis and index not in split_over and over not in split_over.values()
                if fits and sizes[over] > 1 and size % sizes[over] == 0:
                    split_over[index] = over
        return tuple(split_over.get(index) for index in range(len(shape)))


def layout_of(mesh: Mesh) -> Layout:
    """The layout of a spec's mesh, whose sizes are all known (none is -1)."""
    sizes = tuple((name, getattr(mesh, name)) for name in ORDER)
    return Layout(sizes, tuple((rule.axis, rule.over) for rule in mesh.rules))


@lru_cache(maxsize=32)
def devices_of(layout: Layout) -> jax.sharding.Mesh:
    """A mesh of the machine's first devices."""
    names, counts = zip(*layout.sizes, strict=True)
    kinds = (AxisType.Auto,) * len(names)
    return jax.make_mesh(counts, names, kinds, devices=jax.devices()[: layout.devices])


def constrained(
    plan: Plan, x: Shaped[Array, "..."], axes: Sequence[Axis | None] = ACTIVATION
) -> Shaped[Array, "..."]:
    """The same array, split over the devices of the plan by its named axes.

    This is for arrays that enter a computation: images, noise, features at a loss. For all that
    follows XLA's propagation finds the split that these and the weights imply.
    """
    layout = layout_of(plan.experiment.mesh)
    if layout.devices == 1:
        return x
    return jax.lax.with_sharding_constraint(x, PartitionSpec(*layout.split(axes, x.shape)))


def traced_on(plan: Plan, function: Callable[..., Any]) -> Callable[..., Any]:
    """`function`, traced for the mesh of a plan, which `constrained` and layers then see.

    Products have the precision of the spec, not the TF32 or bfloat16 that JAX would choose on GPUs
    and TPUs. Random numbers do not depend on how arrays are split.
    """
    layout = layout_of(plan.experiment.mesh)
    alone = layout.devices == 1

    def traced(*args: Any, **named: Any) -> Any:
        mesh = nullcontext() if alone else use_abstract_mesh(devices_of(layout).abstract_mesh)
        with mesh, jax.default_matmul_precision(plan.products), jax.threefry_partitionable(True):
            return function(*args, **named)

    return traced


def noise_axes(plan: Plan, name: str, shape: tuple[int, ...]) -> tuple[Axis | None, ...]:
    """The named axes of a perturbation: those of the weight or activation that it perturbs."""
    spec = flatten(plan.parameters()).get(f"blocks/{name}")
    if spec is None:
        return ACTIVATION
    param_axes: tuple[Axis | None, ...] = spec.axes
    return param_axes if len(shape) == len(param_axes) else ("batch", *param_axes)


def placed(plan: Plan, state: Any) -> Any:
    """A state of shapes, each with the sharding of its array; unchanged on one device.

    Parameters and backward weights are split by their named axes, the optimizer's arrays like the
    parameters that they belong to. Everything else is on every device.

    Args:
        plan: the plan.
        state: a `State` of `jax.ShapeDtypeStruct`.
    """
    layout = layout_of(plan.experiment.mesh)
    if layout.devices == 1:
        return state
    stacks = {stack.name for stack in plan.stacks}

    def put(tree: Any, specs: Mapping[str, Any]) -> Any:
        axes = {path: spec.axes for path, spec in flatten(specs).items()}
        return jax.tree_util.tree_map_with_path(partial(_put, layout, stacks, axes), tree)

    feedback = put(state.feedback, plan.feedback())
    for _, phase in plan.phases:
        if phase.slot in state.feedback:
            feedback[phase.slot] = put(state.feedback[phase.slot], phase.feedback())
    return put(state, {})._replace(
        params=put(state.params, plan.parameters()),
        optimizer=put(state.optimizer, plan.parameters()),
        feedback=feedback,
    )


def _put(
    layout: Layout,
    stacks: set[str],
    axes: Mapping[str, tuple[Axis | None, ...]],
    path: tuple[Any, ...],
    leaf: jax.ShapeDtypeStruct,
) -> jax.ShapeDtypeStruct:
    """A leaf, split like the parameter whose path its own ends with, after an axis of units."""
    names = [key.key for key in path if isinstance(key, jax.tree_util.DictKey)]
    start = next((index for index, name in enumerate(names) if name in SECTIONS), len(names))
    leaf_axes = axes.get("/".join(names[start:]), (None,) * leaf.ndim)
    if stacks.intersection(names[:start]):
        leaf_axes = (None, *leaf_axes)
    return _spread(layout, leaf, leaf_axes if len(leaf_axes) == leaf.ndim else (None,) * leaf.ndim)


def spread(plan: Plan, shape: Any, axes: Sequence[Axis | None] = ()) -> jax.ShapeDtypeStruct:
    """A shape with the sharding of an array whose first axes have these names."""
    layout = layout_of(plan.experiment.mesh)
    if layout.devices == 1:
        return jax.ShapeDtypeStruct(shape.shape, shape.dtype)
    return _spread(layout, shape, (*axes, *(None,) * (len(shape.shape) - len(axes))))


def _spread(layout: Layout, leaf: Any, axes: Sequence[Axis | None]) -> jax.ShapeDtypeStruct:
    where = NamedSharding(devices_of(layout), PartitionSpec(*layout.split(axes, leaf.shape)))
    return jax.ShapeDtypeStruct(leaf.shape, leaf.dtype, sharding=where)


def everywhere(plan: Plan) -> NamedSharding | None:
    """The sharding of an array that every device has a copy of; None on one device."""
    layout = layout_of(plan.experiment.mesh)
    return None if layout.devices == 1 else NamedSharding(devices_of(layout), PartitionSpec())


def shardings(shapes: Any) -> Any:
    """The sharding of each shape; None where it is left open."""
    return jax.tree.map(lambda leaf: leaf.sharding, shapes)
