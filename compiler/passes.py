"""Forward passes through whole networks, and what readouts learn from them."""

from collections.abc import Mapping
from typing import Any

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, Int, Shaped

from compiler.augment.recipes import augmented
from compiler.gradient.segment import Site
from compiler.losses.sites import site_losses
from compiler.network.layers import LayerTrace
from compiler.network.network import forward, in_unit_interval, patchify, standardizer
from compiler.network.running import CLASSIFIER, of_classifier
from compiler.noise import KeyData
from compiler.plan import Plan
from compiler.sharding import constrained
from compiler.stacks import Stack
from compiler.state import State

Params = Mapping[str, Any]
Features = Float[Array, "n p g c"]
Metrics = dict[str, Array]


def stem(plan: Plan, image: Shaped[Array, "n h w k"]) -> Float[Array, "n p 1 f"]:
    """What enters the first block: standardised images cut into positions, [n, p, 1, f].

    Everything up to the readouts computes in their precision.
    """
    data = plan.data
    raw = ((0.0,) * len(data.mean), (1.0,) * len(data.std))
    mean, std = (data.mean, data.std) if plan.experiment.data.standardize else raw
    dtype = jnp.dtype(plan.experiment.compile.precision)
    cut = patchify(standardizer(mean, std)(image), plan.network.grid)
    return constrained(plan, cut.astype(dtype))


@jax.named_scope("views")
def views(
    plan: Plan, image: Shaped[Array, "n h w k"], key: KeyData, step: Int[Array, ""]
) -> Float[Array, "m p 1 f"]:
    """What the blocks train on at a step: every view of every example, augmented."""
    augment, count = plan.experiment.data.augment, plan.objective.views
    return stem(plan, augmented(augment, count, in_unit_interval(image), key, step))


def through(
    plan: Plan,
    params: Params,
    x: Float[Array, "n p g c"],
    feedback: Params | None = None,
    known: Any = None,
    every: int | None = None,
) -> Float[Array, "n q h d"]:
    """The features after the last block, stacks scanned.

    Args:
        plan: the plan.
        params: blocks, and stacks if there are any.
        x: what enters the first block.
        feedback: backward weights in the same structure.
        known: moments of normalizations, instead of the batch's.
        every: blocks between two inputs that a reverse pass finds stored; None stores all.
    """
    back = feedback or {}
    for part in plan.parts():
        if isinstance(part, Stack):
            own = (params["stacks"][part.name]["blocks"], back.get("stacks", {}).get(part.name))
            x = _through_stack(part, own, x, every)
            continue

        def run(own: Params, x: Any, blocks: Any = part[0]) -> Any:
            return forward(blocks, own, x, feedback=back.get("blocks"), known=known).output

        names = [block.name for block in part[0]]
        own = {name: params["blocks"][name] for name in names}
        x = (run if every is None else jax.checkpoint(run))(own, x)
    return x


def _through_stack(
    stack: Stack, own: tuple[Params, Params | None], x: Any, every: int | None
) -> Any:
    """`own` is the stack's parameters and backward weights, by template block."""
    params, feedback = own
    back = {} if feedback is None else feedback["blocks"]

    def one(x: Any, part: Any) -> tuple[Any, None]:
        own, backward = part
        return forward(stack.template[0], own, x, feedback=backward or None).output, None

    def several(x: Any, part: Any) -> tuple[Any, None]:
        return jax.lax.scan(one, x, part)

    if every is None:
        return several(x, (params, back))[0]
    depth = len(stack.units)
    whole = depth // every * every
    chunks, left = jax.tree.map(lambda a: a[:whole], (params, back)), depth - whole
    chunks = jax.tree.map(lambda a: a.reshape(-1, every, *a.shape[1:]), chunks)
    stored = jax.checkpoint(several)
    x, _ = jax.lax.scan(stored, x, chunks)
    tail = jax.tree.map(lambda a: a[whole:], (params, back))
    return stored(x, tail)[0] if left else x


def clean_features(
    plan: Plan, state: State, image: Shaped[Array, "n h w k"]
) -> Float[Array, "n p g c"]:
    """What the blocks make of clean images in evaluation."""
    x = stem(plan, image)
    return through(plan, state.params, x, known=state.statistics or None)


def evaluated(plan: Plan, state: State, batch: Mapping[str, Array]) -> Metrics:
    """Sums over a batch: the loss and the metrics of the answer's objective, and `count`."""
    output = clean_features(plan, state, batch["image"])
    moments = of_classifier(state.statistics) if state.statistics else None
    read = plan.network.classifier.outputs
    logits, _ = read(state.params["classifier"], output, known=moments)
    answer, targets = plan.answer, batch["label"]
    loss, found = answer.value(logits, targets), answer.metrics(logits, targets)
    count = jnp.asarray(loss.shape[0], jnp.int32)
    sums = {name: found[name].sum() for name in answer.reports}
    return {"loss": loss.sum(), **sums, "count": count}


@jax.named_scope("readouts")
def heads_gradient(
    plan: Plan,
    sites: tuple[Site, ...],
    params: Params,
    features: Mapping[str, Array],
    labels: Int[Array, " m"],
) -> tuple[Params, Metrics]:
    """The exact gradient of heads, each of its own mean loss over the rows, and the losses.

    Args:
        plan: the plan.
        sites: whose heads.
        params: the heads under `heads`.
        features: after every block, of all m rows of the batch; no gradient reaches them.
        labels: of the rows, one view after the other.
    """
    if not sites:
        return {}, {}
    own = {"heads": {site.name: params["heads"][site.name] for site in sites}}

    def objective(heads: Params) -> tuple[Float[Array, ""], Metrics]:
        losses, metrics = site_losses(plan, heads, {}, labels), Metrics()
        for site in sites:
            name = "train/objective" if site.name == "final" else f"local_loss/{site.name}"
            metrics[name] = losses(Site(site.name, site.block), features[site.block]).mean()
        return sum(metrics.values(), jnp.zeros(())), metrics

    return jax.grad(objective, has_aux=True)(own)


@jax.named_scope("readouts")
def classifier_gradient(
    plan: Plan, params: Params, clean: Features, labels: Int[Array, " n"]
) -> tuple[Params, Metrics, dict[str, LayerTrace]]:
    """The classifier's exact gradient on features that no gradient reaches, metrics, its trace."""

    def objective(own: Params) -> tuple[Float[Array, ""], tuple[Metrics, Any]]:
        logits, traces = plan.network.classifier.outputs(own, clean)
        loss, found = plan.answer.value(logits, labels).mean(), plan.answer.metrics(logits, labels)
        means = {
            f"train/{name}": found[name].astype(jnp.float32).mean() for name in plan.answer.reports
        }
        return loss, ({"train/loss": loss, **means}, traces)

    grads, (metrics, traces) = jax.grad(objective, has_aux=True)(params["classifier"])
    named = {f"{CLASSIFIER}/{name}": trace for name, trace in traces.items()}
    return {"classifier": grads}, metrics, named
