"""Forward passes through whole networks, evaluation, and the gradients of readouts."""

from collections.abc import Mapping
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, Int, Shaped

from compiler.augment.recipes import augmented
from compiler.estimators.site_losses import Targets, readout_of, site_losses
from compiler.named_arrays.precision import in_full, precise
from compiler.named_arrays.random_streams import KeyData
from compiler.network.layers import LayerTrace
from compiler.network.network import in_unit_interval, patchify, standardized
from compiler.network.running import CLASSIFIER, of_classifier
from compiler.plan.passes import through
from compiler.plan.plan import Plan
from compiler.plan.segment import Site
from compiler.plan.sharding import constrained
from compiler.update.state import State, answering, by_name
from fgspec.spec.dataset_info import UNLABELLED

Params = Mapping[str, Any]
Features = Float[Array, "n p g c"]
Metrics = dict[str, Array]


def stem(plan: Plan, image: Shaped[Array, "n h w k"]) -> Float[Array, "n p 1 f"]:
    """The input of the first block: standardised images cut into positions, [n, p, 1, f].

    It has the type of `compile.precision`, and layers compute in the type of their input.
    """
    cut = patchify(as_seen(plan, image), plan.network.grid)
    return constrained(plan, cut.astype(plan.features_dtype))


def as_seen(plan: Plan, image: Shaped[Array, "n h w k"]) -> Float[Array, "n h w k"]:
    """Images as the network sees them: standardized, unless the spec says otherwise."""
    data = plan.data
    raw = ((0.0,) * len(data.mean), (1.0,) * len(data.std))
    mean, std = (data.mean, data.std) if plan.experiment.data.standardize else raw
    return standardized(in_unit_interval(image).astype(plan.precise), mean, std)


@jax.named_scope("views")
def views(
    plan: Plan, batch: Mapping[str, Array], key: KeyData, step: Int[Array, ""]
) -> Float[Array, "m p 1 f"]:
    """The input of the first block at a step: every view of every example, augmented.

    If the batch has `views`, these are used.
    """
    return stem(plan, batch["views"] if "views" in batch else pictures(plan, batch, key, step))


def targets(plan: Plan, batch: Mapping[str, Array], key: KeyData, step: Int[Array, ""]) -> Targets:
    """What the outputs of every row of a step are compared with, in the order of `views`."""

    def images() -> Float[Array, "m h w k"]:
        image = batch["views"] if "views" in batch else pictures(plan, batch, key, step)
        return as_seen(plan, image)

    label = batch["label"]
    labels = jnp.tile(label, (plan.views, *[1] * (label.ndim - 1)))
    final, local = plan.objective, plan.local_objective
    wanted = final.targets(labels, images)
    return Targets(wanted, wanted if local == final else local.targets(labels, images))


def answer_targets(plan: Plan, batch: Mapping[str, Array]) -> Shaped[Array, "n ..."]:
    """What the outputs of the classifier are compared with where it sees clean images."""
    return plan.answer.targets(batch["label"], lambda: as_seen(plan, batch["image"]))


@in_full
def pictures(
    plan: Plan, batch: Mapping[str, Array], key: KeyData, step: Int[Array, ""]
) -> Float[Array, "m h w k"]:
    """Every view of every example, augmented, as pixels in [0, 1]."""
    image, augment, count = batch["image"], plan.experiment.data.augment, plan.views
    pixels = in_unit_interval(image)
    # Augmentation computes in float32, also where the network computes in float64.
    pixels = pixels.astype(jnp.float32) if augment.changes else pixels
    return augmented(augment, count, pixels, key, step)


def clean_features(
    plan: Plan, state: State, image: Shaped[Array, "n h w k"]
) -> Float[Array, "n p g c"]:
    """The features after the last block in evaluation, from images that are not augmented."""
    # None means that no layer has running moments; in an empty dictionary layers would miss theirs.
    running = state.statistics or None
    return through(plan.parts(), state.params, stem(plan, image), running=running).output


def features_after(
    plan: Plan, state: State, image: Shaped[Array, "n h w k"], block: str
) -> Float[Array, "n p g c"]:
    """The features after one block in evaluation, at least float32."""
    blocks, running = plan.network.blocks, state.statistics or None
    chain = blocks[: blocks.index(plan.network.block(block)) + 1]
    params = by_name(plan, answering(plan, state)).params
    return precise(through([chain], params, stem(plan, image), running=running).output)


class Trained(NamedTuple):
    """A trained network, as a prediction (`fgspec.spec.predictions`) uses it.

    Attributes:
        plan: the plan.
        state: the state, with the parameters that evaluation uses.
    """

    plan: Plan
    state: State

    def features(self, image: Shaped[Array, "n h w k"]) -> dict[str, Features]:
        """The features after every block, by block."""
        blocks, running = self.plan.network.blocks, self.state.statistics or None
        params = by_name(self.plan, self.state).params
        return through([blocks], params, stem(self.plan, image), running=running).features

    def output(self, image: Shaped[Array, "n h w k"]) -> Features:
        """The features after the last block; equal blocks may be scanned."""
        return clean_features(self.plan, self.state, image)

    def classifier(self, x: Features) -> Float[Array, "n k"]:
        """The outputs of the classifier from the features after the last block."""
        statistics, params = self.state.statistics, self.state.params["classifier"]
        moments = of_classifier(statistics) if statistics else None
        return self.plan.network.classifier.outputs(params, x, running=moments)[0]

    def readout(self, site: Site, x: Features) -> Any:
        """The outputs of the readout of a loss, from the features after the site's block.

        Heads keep no running statistics, so where they normalize over examples, they do so over
        those of the batch.
        """
        place, readout = self.plan.place(site), self.plan.readout(site)
        if place == ("classifier",):
            return self.classifier(x)
        params = readout_of(by_name(self.plan, self.state).params, place)
        return readout.outputs(params or {}, readout.entering(x))[0]


def outputs(plan: Plan, state: State, image: Shaped[Array, "n h w c"]) -> Float[Array, "n k"]:
    """The outputs that the answer is read from in evaluation, as `losses.prediction` says."""
    return plan.prediction.outputs(Trained(plan, answering(plan, state)), image)


def answered(
    plan: Plan, state: State, batch: Mapping[str, Array]
) -> tuple[Metrics, Float[Array, "n k"]]:
    """The result of `evaluated`, and the outputs that it is computed from."""
    answer, wanted = plan.answer, answer_targets(plan, batch)
    logits = outputs(plan, state, batch["image"])
    loss, metrics = in_full(answer.value)(logits, wanted), answer.metrics(logits, wanted)
    count = jnp.asarray(loss.shape[0], jnp.int32)
    sums = {name: metrics[name].sum() for name in answer.reports}
    return {"loss": loss.sum(), **sums, "count": count}, logits


def evaluated(plan: Plan, state: State, batch: Mapping[str, Array]) -> Metrics:
    """Sums over a batch: the answer's loss and metrics, and `count`, the number of rows."""
    return answered(plan, state, batch)[0]


@jax.named_scope("readouts")
def heads_gradient(
    plan: Plan,
    sites: tuple[Site, ...],
    params: Params,
    features: Mapping[str, Array],
    targets: Targets,
) -> tuple[Params, Metrics]:
    """The exact gradients of heads, each from its own mean loss over the rows, and the losses.

    Args:
        plan: the plan.
        sites: the sites of these heads.
        params: parameters, with the heads under `heads`.
        features: the features of all m rows after every block; no gradient passes through them.
        targets: what outputs of every row are compared with, one view after the other.
    """
    if not sites:
        return {}, {}
    heads = {site.name: readout_of(params, plan.place(site)) for site in sites}
    heads = {name: own for name, own in heads.items() if own}  # a readout may have none
    head_params = {"heads": heads} if heads else {}

    def objective(heads: Params) -> tuple[Float[Array, ""], Metrics]:
        losses, metrics = site_losses(plan, heads, {}, targets), Metrics()
        for site in sites:
            name = "train/objective" if site.name == "final" else f"local_loss/{site.name}"
            metrics[name] = losses(Site(site.name, site.block), features[site.block]).mean()
        return sum(metrics.values(), jnp.zeros(())), metrics

    return jax.grad(objective, has_aux=True)(head_params)


@jax.named_scope("readouts")
def classifier_gradient(
    plan: Plan, params: Params, clean: Features, labels: Shaped[Array, "n ..."]
) -> tuple[Params, Metrics, dict[str, LayerTrace]]:
    """The classifier's exact gradient, its metrics and its trace; features get no gradient.

    Rows without a label count for nothing. Sums over the others are divided by the number of
    labelled rows that a batch has on average, so that over many batches gradient and metrics are
    means over the labelled examples, however many of them a batch happens to hold.
    """
    data = plan.data
    labelled = (labels != UNLABELLED) if data.unlabelled and plan.answer.needs_labels else None

    def mean(by_row: Float[Array, " n"]) -> Float[Array, ""]:
        if labelled is None:
            return by_row.mean()
        expected = len(by_row) * (data.train_examples - data.unlabelled) / data.train_examples
        return jnp.where(labelled, by_row, 0).sum() / expected

    @in_full
    def objective(classifier_params: Params) -> tuple[Float[Array, ""], tuple[Metrics, Any]]:
        logits, traces = plan.network.classifier.outputs(classifier_params, clean)
        loss = mean(plan.answer.value(logits, labels))
        by_row = plan.answer.metrics(logits, labels)
        means = {
            f"train/{name}": mean(by_row[name].astype(plan.precise)) for name in plan.answer.reports
        }
        return loss, ({"train/loss": loss, **means}, traces)

    grads, (metrics, traces) = jax.grad(objective, has_aux=True)(params["classifier"])
    named = {f"{CLASSIFIER}/{name}": trace for name, trace in traces.items()}
    return {"classifier": grads}, metrics, named
