"""The losses of a plan's sites, as functions of the features after a block."""

from collections.abc import Mapping
from typing import Any, NamedTuple

import jax
from jaxtyping import Array, Float, Shaped

from compiler.named_arrays.precision import in_full
from compiler.network.block import in_block
from compiler.objectives.replicated import LOWERINGS, apart
from compiler.plan.plan import Plan
from compiler.plan.segment import Site
from compiler.plan.sharding import constrained

Params = Mapping[str, Any]
Features = Float[Array, "n p g c"]


class Targets(NamedTuple):
    """What the outputs of every row are compared with.

    Attributes:
        final: at the final loss.
        local: at local losses, whose objective may be another.
    """

    final: Shaped[Array, "n ..."]
    local: Shaped[Array, "n ..."]

    def at(self, site: Site) -> Shaped[Array, "n ..."]:
        """At one loss."""
        return self.final if site.name == "final" else self.local


def site_losses(plan: Plan, params: Params, feedback: Params, targets: Targets) -> Any:
    """A function that computes the copies of the loss at any site of a plan.

    Args:
        plan: the plan.
        params: the parameters, with readouts under `heads` and `classifier`.
        feedback: the readouts' backward weights, in the same places. A readout without any uses its
            forward weights.
        targets: what outputs of every row of the batch are compared with.
    """

    def copies(site: Site, x: Features, others: Features | None = None) -> Float[Array, "..."]:
        with jax.named_scope("losses"), in_block(site.block):
            return copies_at(site, x, others)

    def copies_at(site: Site, x: Features, others: Features | None) -> Float[Array, "..."]:
        readout, place, objective = plan.readout(site), plan.place(site), plan.objective_at(site)
        readout_params = readout_of(params, place)
        readout_feedback = readout_of(feedback, place) or None  # None: uses its forward weights

        def outputs(params: Params, features: Features) -> Any:
            return readout.outputs(params, features, readout_feedback)[0]

        @in_full
        def value(params: Params, features: Features) -> Float[Array, " n"]:
            return objective.value(outputs(params, features), targets.at(site), others=rest)

        entering = readout.entering(constrained(plan, x))
        whole = not readout.averages
        shape = entering.shape[1:] if whole else (1, 1, -1)

        def of_merged(params: Params, merged: Float[Array, "n f"]) -> Float[Array, " n"]:
            return value(params, merged.reshape(len(merged), *shape))

        rest = None if others is None else outputs(readout_params, readout.entering(others))
        if site.name == "final" or not readout.copied:
            return value(readout_params, entering)
        if others is None:
            replicate = LOWERINGS[lowering_of(plan, site)]
            return replicate(of_merged, site.axes, whole)(readout_params, entering)
        at_rest = readout.entering(others)
        return apart(of_merged, site.axes, whole)(readout_params, entering, at_rest)

    return copies


def lowering_of(plan: Plan, site: Site) -> str:
    """The name of the way in which copies of a loss are computed: a key of `LOWERINGS`.

    Where a loss mixes examples, copies cannot share one evaluation, so `auto` means `naive`.
    """
    choice = plan.experiment.compile.losses
    return choice if choice != "auto" else "naive" if plan.rows_mixed(site) else "fused"


def readout_of(tree: Any, path: tuple[str, ...]) -> Any:
    """The values at `path` in nested dictionaries; empty where a readout has none."""
    for name in path:
        tree = tree.get(name) or {}
    return tree
