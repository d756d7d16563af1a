"""Forward passes through whole networks, evaluation, and the gradients of readouts."""

from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, Int, Shaped

from compiler.augment.recipes import augmented, draws
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
    """The input of the first block at a step: all rows of every example.

    If the batch has `views`, these are used.
    """
    return stem(plan, rows(plan, batch, key, step)[0])


@jax.named_scope("views")
def rows(
    plan: Plan, batch: Mapping[str, Array], key: KeyData, step: Int[Array, ""]
) -> tuple[Float[Array, "m h w k"], Targets]:
    """The images of a step's rows, in [0, 1], and what the outputs of each are compared with.

    If the batch has `views`, these are the images.
    """
    objective, labels = plan.preparing, _labels(plan, batch)

    def draw(name: str, shape: tuple[int, ...]) -> Float[Array, "n ..."]:
        return draws(key, ROWS, step, jnp.arange(len(labels), dtype=jnp.int32))(name, shape)

    as_given = "views" in batch and objective.variants == 1
    images = batch["views"] if as_given else pictures(plan, batch, key, step)
    images, labels = objective.prepared(images, labels, plan.data, draw)
    images = batch.get("views", images)
    return images, _targets(plan, labels, lambda: images)


ROWS = "rows"
"""What the names of the random streams begin with that an objective prepares rows by."""


def targets(plan: Plan, batch: Mapping[str, Array], key: KeyData, step: Int[Array, ""]) -> Targets:
    """What the outputs of rows are compared with, where every view is a row, as in a pipeline.

    Images are computed only if a target is made of them.
    """

    def images() -> Float[Array, "m h w k"]:
        return batch["views"] if "views" in batch else pictures(plan, batch, key, step)

    return _targets(plan, _labels(plan, batch), images)


def _labels(plan: Plan, batch: Mapping[str, Array]) -> Shaped[Array, "m ..."]:
    """The label of every view, in the order of `pictures`."""
    label = batch["label"]
    return jnp.tile(label, (plan.views, *[1] * (label.ndim - 1)))


def _targets(
    plan: Plan, labels: Shaped[Array, "m ..."], images: Callable[[], Float[Array, "m h w k"]]
) -> Targets:
    def seen() -> Float[Array, "m h w k"]:
        return as_seen(plan, images())

    final, local = plan.objective, plan.local_objective
    wanted = final.targets(labels, seen)
    return Targets(wanted, wanted if local == final else local.targets(labels, seen))


@jax.named_scope("context")
def targets_from_last(
    plan: Plan, state: State, x: Features, wanted: Shaped[Array, "m ..."]
) -> Shaped[Array, "m ..."]:
    """What local losses compare outputs with where they read the features after the last block.

    Args:
        plan: the plan.
        state: the state.
        x: the input of the first block, for every row.
        wanted: the targets of local losses so far.
    """
    last = jax.lax.stop_gradient(through(plan.parts(), state.params, x).output)
    end = plan.network.blocks[-1].end
    return in_full(plan.local_objective.targets_from_last)(wanted, precise(last), end)


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
    """What the classifier reads in evaluation, from images that are not augmented."""
    image = plan.preparing.neutral(in_unit_interval(image), plan.data)
    if plan.network.read:
        return plan.network.classified(_every_block(plan, state, image))
    # None means that no layer has running moments; in an empty dictionary layers would miss theirs.
    running = state.statistics or None
    return through(plan.parts(), state.params, stem(plan, image), running=running).output


def _every_block(plan: Plan, state: State, image: Shaped[Array, "n h w k"]) -> dict[str, Features]:
    """The features after every block in evaluation, by block; none are scanned."""
    blocks, running = plan.network.blocks, state.statistics or None
    params = by_name(plan, state).params
    return through([blocks], params, stem(plan, image), running=running).features


def features_after(
    plan: Plan, state: State, image: Shaped[Array, "n h w k"], block: str
) -> Float[Array, "n p g c"]:
    """The features after one block in evaluation, at least float32."""
    image = plan.preparing.neutral(in_unit_interval(image), plan.data)
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
        """The features after every block, by block, of images as they are given."""
        return _every_block(self.plan, self.state, image)

    def output(self, image: Shaped[Array, "n h w k"]) -> Features:
        """What the classifier reads, of images as evaluation shows them to the network."""
        return clean_features(self.plan, self.state, image)

    def classifier(self, x: Features) -> Float[Array, "n k"]:
        """The outputs of the classifier from what it reads."""
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
        return readout.outputs(params, readout.entering(x))[0]


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
