"""The random streams that an update reads, by name."""

from collections.abc import Callable, Iterable, Iterator
from typing import Any

import jax
import jax.numpy as jnp

from compiler.equivalence.value_digest import Known
from compiler.named_arrays.paths import flatten
from compiler.named_arrays.random_streams import stream_code
from compiler.network.network import every_layer
from compiler.plan.plan import Plan
from compiler.update.forward_passes import ROWS
from fgspec.spec.augmentations import Draw
from fgspec.spec.kinds import working


def streams(plan: Plan, values: Iterable[Known]) -> Iterator[tuple[str, list[str]]]:
    """Every random stream that values depend on, with the sorted digests of its draws."""
    drawn: dict[str, set[str]] = {}
    for codes, digest in (draw for known in values for draw in known.draws):
        for code in codes:
            drawn.setdefault(code, set()).add(digest)
    names = {f"{stream_code(name):08x}": name for name in _names(plan)}
    digests_by_name = {
        names.get(code, f"stream {code}"): sorted(digests) for code, digests in drawn.items()
    }
    yield from sorted(digests_by_name.items())


def _names(plan: Plan) -> Iterator[str]:
    """All names that random streams of an update can have."""
    blocks = [block.name for block in plan.network.blocks]
    layers = [path for path, _ in every_layer(plan.network.blocks)]
    weights = [path.removeprefix("blocks/") for path in flatten(plan.parameters())]
    outputs = [f"{path}/output" for path in layers]
    for name in (*blocks, *layers, *weights, *outputs, "net"):
        yield from (f"perturbation/{name}", f"coin/{name}", f"perturbation/jacobian/{name}")
    yield from (f"initial/{path}" for path in flatten({"heads": plan.heads()}))
    yield "ntk"
    augment, objective = working(plan.experiment.data.augment), plan.preparing
    for view in range(plan.views):
        changes = _asked(plan, lambda image, _, draw, view=view: augment.apply(image, draw, view))
        yield from (f"augment/view{view}/{name}" for name in changes)
    rows = _asked(
        plan, lambda image, label, draw: objective.prepared(image, label, plan.data, draw)
    )
    yield from (f"{ROWS}/{name}" for name in rows)


def _asked(plan: Plan, change: Callable[[Any, Any, Draw], Any]) -> list[str]:
    """The names of the random choices of a change of images and labels."""
    names: list[str] = []

    def draw(name: str, shape: tuple[int, ...]) -> Any:
        names.append(name)
        return jnp.zeros((1, *shape))

    image = jax.ShapeDtypeStruct((1, *plan.data.image_shape), jnp.float32)
    label = jax.ShapeDtypeStruct((1,), jnp.int32)
    jax.eval_shape(lambda image, label: change(image, label, draw), image, label)
    return names
