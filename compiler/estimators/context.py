"""What estimators read besides a segment, its weights and its input."""

from collections.abc import Callable, Mapping
from typing import Any, NamedTuple, Protocol, runtime_checkable

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, Int, PRNGKeyArray

from compiler.estimators.site_losses import readout_of, site_losses
from compiler.named_arrays.precision import in_full
from compiler.named_arrays.random_streams import KeyData, addresses, stream_code
from compiler.network.block import in_block
from compiler.network.network import Trace
from compiler.plan.plan import Plan
from compiler.plan.segment import Site
from compiler.plan.sharding import constrained, noise_axes
from fgspec.spec.guesses import Normal
from fgspec.spec.kinds import working

Params = Mapping[str, Any]
Features = Float[Array, "n p g c"]


@runtime_checkable
class Losses(Protocol):
    """The copies of a site's loss, with the axes of the site."""

    def __call__(
        self, site: Site, x: Features, others: Features | None = None
    ) -> Float[Array, "..."]:
        """From the features `x` after the site's block.

        With `others` every copy has a value of its own: that of its own features from `x` and all
        else from `others`, for finite differences.
        """
        ...


class Estimate(NamedTuple):
    """An estimated gradient and the unperturbed forward pass it was made from.

    Attributes:
        grads: of the sum over the sites of the mean loss; of a segment by block, layer and name, of
            a network under `blocks`, and under `stacks` where blocks are scanned.
        trace: of the whole segment.
        feedback: backward weights of the next step by block, layer and name, where they learn.
    """

    grads: Mapping[str, Any]
    trace: Trace
    feedback: Mapping[str, Any] | None = None


Noise = Callable[[Mapping[str, tuple[int, ...]], Any], dict[str, Float[Array, "..."]]]
"""(shapes by the names of what is perturbed, sample) -> the perturbations by name."""


class Final(NamedTuple):
    """What follows the last block.

    Attributes:
        outputs: of the final loss, from the features after the last block.
        error: derivative of each example's final loss by the outputs, from the outputs.
    """

    outputs: Callable[[Features], Float[Array, "n k"]]
    error: Callable[[Float[Array, "n k"]], Float[Array, "n k"]]


class Context(NamedTuple):
    """One step, as estimators see it.

    Attributes:
        plan: the plan.
        params: of the whole network, by section.
        labels: targets of the rows.
        key: raw key of the run.
        step: updates done.
        noise: perturbations by name, shape and sample.
        backward: weights that errors travel through, by section; empty if it has none.
        losses: copies of a site's loss from the features after its block.
        final: what follows the last block.
    """

    plan: Plan
    params: Params
    labels: Int[Array, " n"]
    key: KeyData
    step: Int[Array, ""]
    noise: Noise
    backward: Params
    losses: Losses
    final: Final

    @property
    def feedback(self) -> Params:
        """Backward weights of the blocks, by block, layer and name."""
        return self.backward.get("blocks", {})

    def by_segment(
        self, plan: Plan, params: Params, x: Features, gradient: Callable[..., Estimate]
    ) -> Estimate:
        """The gradient of the network from that of its segments; where they overlap, they add up.

        Args:
            plan: whose segments they are.
            params: of all blocks, under `blocks`.
            x: the network's input.
            gradient: (plan, segment, params of its blocks, input, context) -> its estimate.
        """
        grads: dict[str, Any] = {}
        features: dict[str, Any] = {}
        layers: dict[str, Any] = {}
        for segment in plan.segments:
            block_params = {block.name: params["blocks"][block.name] for block in segment.blocks}
            entering = plan.inputs(features, x)[segment.blocks[0].name]
            estimate = gradient(plan, segment, block_params, entering, self)
            for name, grad in estimate.grads.items():
                grads[name] = jax.tree.map(jnp.add, grads[name], grad) if name in grads else grad
            stopped = jax.lax.stop_gradient(estimate.trace)
            features |= stopped.features
            layers |= stopped.layers
        return Estimate(
            {"blocks": grads}, Trace(features[plan.network.blocks[-1].name], features, layers)
        )


def make_context(
    plan: Plan,
    params: Params,
    feedback: Params,
    labels: Int[Array, " n"],
    key: KeyData,
    step: Int[Array, ""],
    noise: Noise,
) -> Context:
    """Everything the plan's estimator reads at one step.

    Args:
        plan: the plan.
        params: the whole state's.
        feedback: the whole state's backward weights, as drawn.
        labels: targets of the rows.
        key: raw key of the run.
        step: updates done.
        noise: `drawn` or `given`.
    """
    backward = plan.estimator.seen_backward(feedback, params)
    losses = site_losses(plan, params, backward, labels)
    final = _final(plan, params, labels)
    return Context(plan, params, labels, key, step, noise, backward, losses, final)


def _final(plan: Plan, params: Params, labels: Int[Array, " n"]) -> Final:
    site, objective = plan.units[-1][1], plan.objective
    readout, readout_params = plan.readout(site), readout_of(params, plan.place(site))

    def at_loss(function: Callable[..., Any]) -> Callable[..., Any]:
        return jax.named_scope("losses")(in_block(site.block)(in_full(function)))

    return Final(
        outputs=at_loss(lambda x: readout.outputs(readout_params, x)[0]),
        error=jax.grad(at_loss(lambda outputs: objective.value(outputs, labels).sum())),
    )


def drawn(
    plan: Plan, key: KeyData, step: Int[Array, ""], codes: Mapping[str, Any] | None = None
) -> Noise:
    """The perturbations of one step of a run; normal ones where the spec does not say.

    Where views share them, those of the first view are repeated in the others. `codes` are those
    of the streams by name, where names are those of a stack's template.
    """
    perturbation, rows, repeats, guess = plan.perturbation, 1, 1, working(Normal())
    if perturbation is not None:
        rows = plan.space.rows
        repeats = plan.objective.views if perturbation.sharing == "views" else 1
        guess = guess if perturbation.guess.made else working(perturbation.guess)

    def one_array(name: str, stream: PRNGKeyArray, shape: tuple[int, ...]) -> Float[Array, "..."]:
        first_view = tuple(size // repeats for size in shape[:rows])
        noise_once = guess.draw(stream, first_view, shape[rows:])
        noise = jnp.tile(noise_once, (repeats, *[1] * (len(shape) - 1))).astype(plan.precise)
        return constrained(plan, noise, noise_axes(plan, name, shape))

    @in_full
    def noise(shapes: Mapping[str, tuple[int, ...]], sample: Any) -> dict[str, Any]:
        stream_codes = [
            stream_code(f"perturbation/{name}") if codes is None else codes[name] for name in shapes
        ]
        streams = addresses(key, stream_codes, step, sample)
        by_name = {}
        for (name, shape), stream in zip(shapes.items(), streams, strict=True):
            with in_block(name.split("/")[0]):
                by_name[name] = one_array(name, stream, shape)
        return by_name

    return noise


def given(perturbations: Mapping[str, Float[Array, "..."]]) -> Noise:
    """Stored perturbations, each with a leading axis of samples."""
    return lambda shapes, sample: {
        name: perturbations[name][sample].reshape(shape) for name, shape in shapes.items()
    }
