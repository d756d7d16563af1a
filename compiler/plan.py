"""Spec -> Plan: every shape, named axis, loss site and credit route, and nothing allocated."""

from dataclasses import dataclass
from typing import Any

from compiler.axes import Axis
from compiler.gradient.credit import paper_route_is_biased
from compiler.gradient.forward import Element, Perturbing, elements
from compiler.gradient.segment import Segment, Site
from compiler.losses.heads import make_head
from compiler.losses.replicated import copy_axes
from compiler.network.architectures import ARCHITECTURES
from compiler.network.block import block_params
from compiler.network.network import Network, layers_in
from compiler.network.readout import Readout
from compiler.network.shapes import ParamSpec
from compiler.trees import flatten, unflatten
from fgspec.data.describe import DatasetInfo
from fgspec.spec.base import Interval
from fgspec.spec.experiment import Experiment


@dataclass(frozen=True)
class Plan:
    """Everything that decides the program, hashable by value.

    Attributes:
        experiment: the resolved spec.
        data: shapes and statistics of the data set.
        network: layers with shapes and axes.
        segments: chains of blocks between which no gradient passes, with their losses.
        perturbing: how segments are perturbed; None for an exact estimator.
        steps: updates of the whole run.
        steps_per_epoch: updates of one pass over the training set; a partial batch is dropped.
    """

    experiment: Experiment
    data: DatasetInfo
    network: Network
    segments: tuple[Segment, ...]
    perturbing: Perturbing | None
    steps: int
    steps_per_epoch: int

    def parameters(self) -> dict[str, Any]:
        """`ParamSpec` of every parameter, nested under blocks, heads and classifier."""
        specs: dict[str, Any] = {
            "blocks": {block.name: block_params(block) for block in self.network.blocks},
            "classifier": self.network.classifier.params(),
        }
        heads = {site.name: self.readout(site).params() for site in self.local_sites()}
        return specs | ({"heads": heads} if heads else {})

    def readout(self, site: Site) -> Readout:
        """What turns the features of a site into the outputs that its loss is of."""
        local = self.experiment.losses.local
        if site.name == "final" or local is None:
            return self.network.classifier
        return make_head(local, self.network, site.block, self.data.classes)

    def feedback(self) -> dict[str, Any]:
        """`ParamSpec` of every fixed backward weight; none unless the estimator has them.

        Feedback alignment has one for every forward weight, readouts included; direct feedback a
        matrix from the outputs to every layer, [k, p, g, c].
        """
        kind = self.experiment.gradient.estimator.type
        if kind == "feedback":
            specs = flatten(self.parameters())
            return unflatten({path: s for path, s in specs.items() if path.endswith("/w")})
        if kind == "direct_feedback":
            outputs = self.data.classes
            axes: tuple[Axis | None, ...] = (None, "patch", "group", None)
            return unflatten(
                {
                    f"blocks/{path}/w": ParamSpec((outputs, *layer.outputs), axes, outputs)
                    for path, layer in layers_in(self.network.blocks)
                }
            )
        return {}

    def local_sites(self) -> tuple[Site, ...]:
        """The sites of local losses, in order."""
        found = (site for segment in self.segments for site in segment.sites)
        return tuple(site for site in found if site.name != "final")

    def perturbed(self, segment: Segment) -> dict[str, Element]:
        """The arrays of a segment that are perturbed, with their credit routes; none if exact."""
        if self.perturbing is None:
            return {}
        batch = self.experiment.data.batch_size
        return elements(segment, self.readout_mixes(segment), self.perturbing, batch)

    def readout_mixes(self, segment: Segment) -> frozenset[Axis]:
        """The axes that are mixed between a segment's last block and its last loss."""
        return self.readout(segment.sites[-1]).mixes()

    def steps_of(self, interval: Interval) -> int:
        """An interval in updates."""
        return interval.steps or (interval.epochs or 1) * self.steps_per_epoch

    def notes(self) -> list[str]:
        """What a reader of results must know, such as a biased credit route."""
        how = self.perturbing
        if how is None or how.credit != "paper":
            return []
        biased = [
            path
            for segment in self.segments
            for path, layer in layers_in(segment.blocks)
            if paper_route_is_biased(segment, self.readout_mixes(segment), layer, path, how.space)
        ]
        if not biased:
            return []
        where = ", ".join(biased)
        return [
            f"biased: gradient.perturbation.credit: paper leaves out loss copies that {where} move"
        ]


def make_plan(experiment: Experiment, data: DatasetInfo) -> Plan:
    """Plan a resolved spec that `compiler.support` does not refuse.

    Args:
        experiment: the resolved spec.
        data: the data set it trains on.
    """
    architecture = experiment.architecture
    network = ARCHITECTURES[architecture.type](architecture, data.image_shape, data.classes)
    per_epoch = data.train_examples // experiment.data.batch_size
    training = experiment.training
    steps = training.steps or (training.epochs or 0) * per_epoch
    segments = _segments(experiment, network)
    return Plan(experiment, data, network, segments, _perturbing(experiment), steps, per_epoch)


def _segments(experiment: Experiment, network: Network) -> tuple[Segment, ...]:
    blocks, local = network.blocks, experiment.losses.local
    if local is None:
        return (Segment(blocks, (Site("final", blocks[-1].name),)),)
    copied: tuple[Axis, ...] = copy_axes(local.replicate or ())
    ends = range(local.every - 1, len(blocks), local.every)
    sites = [Site(blocks[end].name, blocks[end].name, copied) for end in ends]
    if experiment.losses.isolate == "block":
        chains = [blocks[end + 1 - local.every : end + 1] for end in ends]
        return tuple(Segment(c, (s,)) for c, s in zip(chains, sites, strict=True))
    return (Segment(blocks, tuple(sites)),)


def _perturbing(experiment: Experiment) -> Perturbing | None:
    perturbation = experiment.gradient.perturbation
    if perturbation is None:
        return None
    return Perturbing(
        space=perturbation.space,
        samples=perturbation.samples,
        shared=perturbation.sharing == "batch",
        credit=perturbation.credit,
        through_norm=experiment.architecture.normalization.gradient == "exact",
        vectorized=experiment.compile.samples == "vectorized",
    )
