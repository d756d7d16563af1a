"""The losses of a plan's sites, from the features after a block."""

from collections.abc import Mapping
from typing import Any

from jaxtyping import Array, Float, Int

from compiler.gradient.segment import Losses, Site
from compiler.losses.replicated import LOWERINGS, apart
from compiler.network.feedback import with_feedback
from compiler.network.network import pooled
from compiler.plan import Plan

Params = Mapping[str, Any]
Features = Float[Array, "n p g c"]


def linear(readout: Params, features: Float[Array, "n f"]) -> Float[Array, "n k"]:
    """A linear readout."""
    return features @ readout["w"] + readout["b"][None]


def site_losses(plan: Plan, params: Params, feedback: Params, labels: Int[Array, " n"]) -> Losses:
    """The losses of a plan's sites.

    Args:
        plan: the plan.
        params: readouts under `heads` and `classifier`.
        feedback: backward weights of readouts in the same places; those absent have none.
        labels: of the examples.
    """
    objective = plan.objective.value
    lowering = plan.experiment.compile.losses
    replicate = LOWERINGS["fused" if lowering == "auto" else lowering]

    def copies(site: Site, x: Features, others: Features | None = None) -> Float[Array, "..."]:
        back = readout_of(feedback, plan.readout(site))
        read = linear if back is None else with_feedback(linear, back)

        def value(readout: Params, features: Float[Array, "n f"]) -> Float[Array, " n"]:
            return objective(read(readout, features), labels)

        readout = readout_of(params, plan.readout(site))
        if site.name == "final":
            return value(readout, pooled(x, plan.network.classifier_norm))
        norm = plan.network.head_norm
        normed = norm(x) if norm is not None else x
        if others is None:
            return replicate(value, site.axes)(readout, normed)
        rest = norm(others) if norm is not None else others
        return apart(value, site.axes)(readout, normed, rest)

    return copies


def readout_of(tree: Any, path: tuple[str, ...]) -> Any:
    """What stands at `path` in nested dictionaries, or None."""
    for name in path:
        tree = tree.get(name, {})
    return tree or None
