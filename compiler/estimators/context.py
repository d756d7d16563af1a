"""What an estimator reads in one training step besides a segment, its weights and its input.

The main record is `Context`: labels, random streams, losses and the weights of the whole network.
"""

from collections.abc import Callable, Mapping
from typing import Any, NamedTuple, Protocol, runtime_checkable

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, Int, PRNGKeyArray, Shaped

from compiler.estimators.site_losses import Targets, readout_of, site_losses
from compiler.named_arrays.paths import flatten
from compiler.named_arrays.precision import in_full
from compiler.named_arrays.random_streams import KeyData, addresses, stream_code
from compiler.network.block import in_block
from compiler.network.network import Trace, params_of
from compiler.plan.plan import KEPT, Plan
from compiler.plan.segment import Site
from compiler.plan.sharding import constrained, noise_axes
from fgspec.spec.guesses import Normal
from fgspec.spec.kinds import working

Params = Mapping[str, Any]
Features = Float[Array, "n p g c"]


@runtime_checkable
class Losses(Protocol):
    """The copies of a site's loss: an array whose axes are those of the site."""

    def __call__(
        self, site: Site, x: Features, others: Features | None = None
    ) -> Float[Array, "..."]:
        """The value of every copy, from the features `x` [n, p, g, c] after the site's block.

        All copies have the same value; only their derivatives differ. A finite difference needs
        values that differ: with `others`, a copy reads the features that belong to it from `x` and
        all other features from `others`.
        """
        ...


class Estimate(NamedTuple):
    """An estimated gradient and the unperturbed forward pass that it was made from.

    Attributes:
        grads: the estimate, for the sum over the sites of the mean loss. For a segment: arrays by
            block, layer and name. For a network: the same under `blocks`, and under `stacks` where
            blocks are scanned.
        trace: the forward pass of the whole segment.
        feedback: the backward weights of the next step by block, layer and name, if they learn.
    """

    grads: Mapping[str, Any]
    trace: Trace
    feedback: Mapping[str, Any] | None = None


Noise = Callable[[Mapping[str, tuple[int, ...]], Any], dict[str, Float[Array, "..."]]]
"""(shapes by name, sample index) -> perturbations by name, in these shapes."""


class Final(NamedTuple):
    """What follows the last block, as functions.

    Attributes:
        outputs: features after the last block -> the network's outputs.
        error: outputs -> the derivative of each example's final loss with respect to its outputs.
    """

    outputs: Callable[[Features], Float[Array, "n k"]]
    error: Callable[[Float[Array, "n k"]], Float[Array, "n k"]]


class Context(NamedTuple):
    """One training step, as estimators see it.

    Attributes:
        plan: the plan.
        params: the parameters of the whole network, by section (`blocks`, `heads`, ...).
        targets: what outputs of every row of the batch are compared with, at every loss.
        key: the raw random key of the run.
        step: the number of updates done so far.
        noise: draws perturbations, given shapes by name and the index of the sample.
        backward: the weights that errors travel through, by section; empty if there are none.
        losses: the copies of a site's loss, from the features after its block.
        final: what follows the last block.
        kept: what the set of samples keeps between updates, by names of perturbed arrays.
    """

    plan: Plan
    params: Params
    targets: Targets
    key: KeyData
    step: Int[Array, ""]
    noise: Noise
    backward: Params
    losses: Losses
    final: Final
    kept: Params

    @property
    def labels(self) -> Shaped[Array, "n ..."]:
        """What the outputs of the final loss are compared with, for every row of the batch."""
        return self.targets.final

    @property
    def feedback(self) -> Params:
        """The backward weights of the blocks, by block, layer and name."""
        return self.backward.get("blocks", {})

    def by_segment(
        self, plan: Plan, params: Params, x: Features, gradient: Callable[..., Estimate]
    ) -> Estimate:
        """The network's gradient, put together from one estimate per segment.

        Where segments overlap, a block is in two of them and its two estimates are added. No
        derivative crosses from one segment to the one before it.

        Args:
            plan: the plan that lists the segments.
            params: the parameters of all blocks, under `blocks`.
            x: the network's input.
            gradient: (plan, segment, params of its blocks, its input, context) -> its estimate.
        """
        grads: dict[str, Any] = {}
        features: dict[str, Any] = {}
        layers: dict[str, Any] = {}
        for segment in plan.segments:
            block_params = {block.name: params_of(block, params) for block in segment.blocks}
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
    targets: Targets,
    key: KeyData,
    step: Int[Array, ""],
    noise: Noise,
) -> Context:
    """Everything that the plan's estimator reads in one step.

    Args:
        plan: the plan.
        params: all parameters, by section.
        feedback: what the run keeps besides parameters, see `State.feedback`.
        targets: what outputs of every row of the batch are compared with, at every loss.
        key: the raw random key of the run.
        step: the number of updates done so far.
        noise: from `drawn` in a run; from `given` where the noise is known, as in tests.
    """
    drawn_backward = {name: tree for name, tree in feedback.items() if name != KEPT}
    backward = plan.estimator.seen_backward(drawn_backward, params)
    losses = site_losses(plan, params, backward, targets)
    final = _final(plan, params, targets)
    kept = flatten(feedback.get(KEPT, {}))
    return Context(plan, params, targets, key, step, noise, backward, losses, final, kept)


def _final(plan: Plan, params: Params, targets: Targets) -> Final:
    site = plan.units[-1][1]
    objective, labels = plan.objective_at(site), targets.at(site)
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
    """Draws the perturbations of one step of a run, from the guess of the spec.

    They are standard normal where the spec has no random guess. Where the views of an example share
    noise, that of the first view is repeated for the others.

    Args:
        plan: the plan.
        key: the raw random key of the run.
        step: the number of updates done so far.
        codes: the code of each name's random stream. Blocks that are scanned share names, so their
            codes come from outside; None makes them from the names.
    """
    perturbation, rows, repeats, guess = plan.perturbation, 1, 1, working(Normal())
    if perturbation is not None:
        rows = plan.space.rows
        repeats = plan.views if perturbation.sharing == "views" else 1
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
    """Perturbations from stored arrays, each with a leading axis of samples."""
    return lambda shapes, sample: {
        name: perturbations[name][sample].reshape(shape) for name, shape in shapes.items()
    }
