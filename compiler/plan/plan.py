"""Spec -> Plan: every shape, named axis, loss site and credit route, and nothing allocated."""

import itertools
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from functools import cached_property
from math import prod
from typing import Any

import jax
import jax.numpy as jnp

from compiler.named_arrays.axes import Axis
from compiler.named_arrays.paths import flatten, unflatten
from compiler.named_arrays.precision import ARITHMETIC, at_least_float32
from compiler.network.block import Block, block_params
from compiler.network.heads import final_head, make_head
from compiler.network.network import Network, every_layer, layers_in
from compiler.network.norms import Norm
from compiler.network.readout import Readout
from compiler.objectives.replicated import copy_axes
from compiler.plan.element import Element
from compiler.plan.parts_named import chosen, within
from compiler.plan.segment import Segment, Site, Unit, one_loss_each
from compiler.plan.stacks import FEWEST, Stack, find
from fgspec.errors import UserError
from fgspec.spec.base import Interval
from fgspec.spec.dataset_info import DatasetInfo
from fgspec.spec.directional import irreversible
from fgspec.spec.estimators import Estimator
from fgspec.spec.experiment import Experiment
from fgspec.spec.gradient import Perturbation
from fgspec.spec.kinds import working
from fgspec.spec.objectives import Objective
from fgspec.spec.scanning import stores_all, unscannable
from fgspec.spec.shapes import Extent, ParamSpec
from fgspec.spec.spaces import Space
from fgspec.spec.targets import Target


@dataclass(frozen=True)
class Plan:
    """Everything that decides the program, hashable by value.

    Attributes:
        experiment: the resolved spec.
        data: shapes and statistics of the data set.
        network: layers with shapes and axes.
        units: the blocks, in chains closed by a loss.
        segments: chains of blocks with the losses whose gradients add up to the target's.
        stacks: equal units that are scanned; none where blocks are unrolled.
        steps: updates of the whole run.
        steps_per_epoch: updates of one pass over the training set; a partial batch is dropped.
    """

    experiment: Experiment
    data: DatasetInfo
    network: Network
    units: tuple[Unit, ...]
    segments: tuple[Segment, ...]
    stacks: tuple[Stack, ...]
    steps: int
    steps_per_epoch: int

    @property
    def objective(self) -> Objective:
        """What is minimised at every site."""
        return working(self.experiment.losses.objective)

    @property
    def answer(self) -> Objective:
        """What the classifier is trained and evaluated by."""
        return working(self.objective.answer())

    @property
    def outputs(self) -> int:
        """Outputs of every readout that the objective trains."""
        return self.objective.outputs(self.data)

    @property
    def rows(self) -> int:
        """Rows of an update's batch: every view of every example."""
        return self.experiment.data.batch_size * self.objective.views

    def images(self, *leading: int) -> dict[str, jax.ShapeDtypeStruct]:
        """Shapes of images and labels of the data set behind these leading axes."""
        image = (*leading, *self.data.image_shape)
        return {
            "image": jax.ShapeDtypeStruct(image, jnp.dtype(self.data.pixels)),
            "label": jax.ShapeDtypeStruct(leading, jnp.int32),
        }

    def parameters(self) -> dict[str, Any]:
        """`ParamSpec` of every parameter, nested under blocks, heads and classifier."""
        specs: dict[str, Any] = {
            "blocks": {block.name: block_params(block) for block in self.network.blocks},
            "classifier": self.network.classifier.params(),
        }
        heads = self.heads()
        trained = {site.name: heads[site.name] for site in self.headed_sites()}
        return specs | ({"heads": trained} if trained else {})

    def heads(self) -> dict[str, Any]:
        """`ParamSpec` of every head, trained or not, by site and name."""
        return {site.name: self.readout(site).params() for site in self._headed()}

    def readout(self, site: Site) -> Readout:
        """What turns the features of a site into the outputs that its loss is of."""
        local = self.experiment.losses.local
        if self.place(site) == ("classifier",):
            return self.network.classifier
        if site.name == "final" or local is None:
            return final_head(self.network, self.outputs)
        return make_head(local, self.network, site.block, self.outputs)

    def feedback(self) -> dict[str, Any]:
        """`ParamSpec` of every backward weight, nested; none unless the estimator has them."""
        return unflatten(self.estimator.backward_weights(self))

    def to_every_layer(self) -> dict[str, ParamSpec]:
        """Matrices from the outputs of the final loss to what every layer gives, [k, p, g, c].

        They are backward weights of direct feedback, by their paths.
        """
        axes: tuple[Axis | None, ...] = (None, "patch", "group", None)
        return {
            f"blocks/{path}/w": ParamSpec((self.outputs, *layer.outputs), axes, self.outputs)
            for path, layer in layers_in(self.network.blocks)
        }

    def idle_params(self) -> list[str]:
        """The paths of the arrays of blocks that cannot learn; see `Layer.idle_params`."""
        layers = layers_in(self.network.blocks)
        return [f"{path}/{name}" for path, layer in layers for name in layer.idle_params()]

    @cached_property
    def frozen(self) -> frozenset[str]:
        """The paths of the parameters that do not learn, such as `blocks/block0/channel/w`.

        Raises:
            UserError: `freeze` names a part that there is not.
        """
        freeze = self.experiment.freeze
        if not freeze:
            return frozenset()
        names = [block.name for block in self.network.blocks]
        return chosen("freeze", freeze, flatten(self.parameters()), names)

    @cached_property
    def begins_elsewhere(self) -> frozenset[str]:
        """The paths of the parameters that are read, not drawn; see `start_from`.

        Raises:
            UserError: `start_from.only` names a part that there is not.
        """
        start = self.experiment.start_from
        if start is None:
            return frozenset()
        paths, names = flatten(self.parameters()), [block.name for block in self.network.blocks]
        return chosen("start_from.only", start.only, paths, names) or frozenset(paths)

    @property
    def precise(self) -> jnp.dtype:
        """The type of all that is not computed in `compile.precision`, if that is less."""
        return at_least_float32(self.features_dtype)

    @property
    def features_dtype(self) -> jnp.dtype:
        """The type that blocks compute in."""
        return jnp.dtype(ARITHMETIC[self.experiment.compile.precision].dtype)

    @property
    def products(self) -> str:
        """The precision of the products of blocks, one of JAX's."""
        return ARITHMETIC[self.experiment.compile.precision].products

    @property
    def estimator(self) -> Estimator:
        """How the target is estimated."""
        return working(self.experiment.gradient.estimator)

    @property
    def target(self) -> Target:
        """Which losses a block learns from."""
        return working(self.experiment.gradient.target)

    @property
    def perturbation(self) -> Perturbation | None:
        """What is perturbed; None where nothing is."""
        estimator = self.experiment.gradient.estimator
        return self.experiment.gradient.perturbation if estimator.perturbs else None

    @property
    def projects(self) -> bool:
        """Whether whole targets are projected on guesses, each group of tensors by itself."""
        return self.perturbation is not None and self.perturbation.projects

    @property
    def moves_together(self) -> bool:
        """Whether all that is perturbed in a segment moves together, along drawn noise."""
        return self.perturbation is not None and not self.perturbation.projects

    @property
    def space(self) -> Space:
        """What is perturbed; only where something is."""
        assert self.perturbation is not None
        return working(self.perturbation.perturbed_space)

    @property
    def reverse_derivatives(self) -> bool:
        """Whether derivatives along perturbations are inner products with a gradient.

        A tangent of every sample costs what one gradient for all of them does, so from two samples
        on, and for the groups of a projection, a gradient is cheaper; for one it would only add
        inner products, and what it stores.
        """
        spec, perturbation = self.experiment, self.perturbation
        assert perturbation is not None
        if not self.estimator.differentiates:
            return False
        if spec.compile.directional != "auto":
            return spec.compile.directional == "reverse"
        if perturbation.projects:
            return True
        possible = irreversible(spec.architecture, spec.losses, spec.gradient) is None
        return possible and perturbation.samples > 1

    @property
    def stored_every(self) -> int | None:
        """Blocks between two inputs that a reverse pass finds stored; None where all are."""
        every = self.experiment.compile.rematerialize
        return None if isinstance(every, str) else every

    @property
    def chains(self) -> dict[str, str]:
        """By block, the first of those that gradients connect it with; empty if that is all."""
        isolated = self.units if self.experiment.losses.isolate == "block" else ()
        return {block.name: blocks[0].name for blocks, _ in isolated for block in blocks}

    def place(self, site: Site) -> tuple[str, ...]:
        """Where the readout of a site's loss stands among the parameters."""
        answers = site.name == "final" and self.objective.answers
        return ("classifier",) if answers else ("heads", site.name)

    def headed_sites(self) -> tuple[Site, ...]:
        """The sites whose readout is a head of their own that is trained, in order."""
        guides = self.perturbation.guides if self.perturbation is not None else ()
        # Heads under which a guess is taken as they were drawn do not learn; all others do, also
        # beside a target that they have no part in.
        untrained = any(guide.reads_heads for guide in guides) and not any(
            guide.heads_learn for guide in guides
        )
        read = self.target.reads_local or not untrained
        return tuple(site for site in self._headed() if read or site.name == "final")

    def _headed(self) -> Iterator[Site]:
        local = self.experiment.losses.local is not None
        for _, site in self.units:
            if self.place(site)[0] == "heads" and (local or site.name == "final"):
                yield site

    def parts(self) -> list[tuple[Block, ...] | Stack]:
        """The network in order: chains of blocks, and stacks."""
        found: list[tuple[Block, ...] | Stack] = []
        for part in self.units_and_stacks():
            if isinstance(part, Stack) or not found or isinstance(found[-1], Stack):
                found.append(part if isinstance(part, Stack) else part[0])
            else:
                found[-1] = (*found[-1], *part[0])
        return found

    @property
    def unit_by_unit(self) -> bool:
        """Whether every unit learns from its own loss alone, one after the other."""
        spec = self.experiment
        return (
            self.target.inside
            and unscannable(spec.architecture, spec.losses, spec.gradient) is None
        )

    def units_and_stacks(self) -> Iterator[Unit | Stack]:
        """All units in order, those of a stack as one."""
        inside = {unit: stack for stack in self.stacks for unit in stack.units}
        for unit in self.units:
            stack = inside.get(unit)
            if stack is None:
                yield unit
            elif unit == stack.template:
                yield stack

    def inputs(self, features: Mapping[str, Any], x: Any) -> dict[str, Any]:
        """What enters each block, by block: `x`, then the features after the block before."""
        names = [block.name for block in self.network.blocks]
        before = {b: features[a] for a, b in itertools.pairwise(names) if a in features}
        return {names[0]: x} | before

    @property
    def exact_blocks(self) -> frozenset[str]:
        """Blocks that take the exact gradient of the final loss beside others that do not."""
        perturbation = self.experiment.gradient.perturbation
        if perturbation is None or perturbation.last_block != "exact":
            return frozenset()
        return frozenset(block.name for block in self.units[-1][0])

    def perturbed(self, segment: Segment) -> dict[str, Element]:
        """The arrays of a segment that are perturbed, with their credit routes; none if exact."""
        how = self.perturbation
        if how is None or how.projects:
            return {}
        rows = 1 if how.sharing == "batch" else self.rows
        return self.space.elements(segment, self.readout_mixes(segment), how.credit, rows)

    def readout_mixes(self, segment: Segment) -> frozenset[Axis]:
        """The axes that are mixed between a segment's last block and its last loss, or by that."""
        return self.readout(segment.sites[-1]).mixes() | self.rows_mixed

    @property
    def rows_mixed(self) -> frozenset[Axis]:
        """The axes along which one loss depends on outputs that belong to others."""
        return frozenset({"batch"}) if self.objective.coupling() is not None else frozenset()

    def normalizations(self) -> Iterator[tuple[str, Norm, Extent]]:
        """Every normalization of blocks and readouts: where it stands, and what it normalizes."""
        network = self.network
        layers = list(every_layer(network.blocks))
        layers += [(f"classifier/{layer.name}", layer) for layer in network.classifier.layers]
        for chain, site in self.units:
            head = self.readout(site)
            layers += [(f"the head of {site.block}, {layer.name},", layer) for layer in head.layers]
            if head.norm is not None:
                yield f"the head of {site.block}", head.norm, chain[-1].end
        for path, layer in layers:
            for norm, extent in ((layer.before, layer.start), (layer.after, layer.end)):
                if norm is not None:
                    yield path, norm, extent

    def steps_of(self, interval: Interval) -> int:
        """An interval in updates."""
        return interval.steps or (interval.epochs or 1) * self.steps_per_epoch


def make_plan(experiment: Experiment, data: DatasetInfo) -> Plan:
    """Plan a resolved spec that `fgspec.check.against_data` does not refuse.

    Args:
        experiment: the resolved spec.
        data: the data set it trains on.

    Raises:
        UserError: more orthogonal samples than dimensions, or a normalization of a single value.
    """
    answer = working(experiment.losses.objective.answer())
    network = working(experiment.architecture).network(data.image_shape, answer.outputs(data))
    per_epoch = data.train_examples // experiment.data.batch_size
    training = experiment.training
    steps = training.steps or (training.epochs or 0) * per_epoch
    units = _units(experiment, network)
    segments = tuple(working(experiment.gradient.target).segments(units))
    plan = Plan(experiment, data, network, units, segments, (), steps, per_epoch)
    if plan.moves_together:
        plan = replace(plan, segments=tuple(one_loss_each(segments)))
    _refuse_unknown_parts(plan)
    _refuse_too_many(plan)
    _refuse_single_values(plan)
    _refuse_unknown_parts(plan)
    return replace(plan, stacks=_stacks(plan))


def _stacks(plan: Plan) -> tuple[Stack, ...]:
    """What is scanned.

    Raises:
        UserError: the spec asks for it, and there is nothing to scan.
    """
    spec, wanted = plan.experiment, plan.experiment.compile.blocks
    if (
        wanted == "unrolled"
        or unscannable(spec.architecture, spec.losses, spec.gradient) is not None
    ):
        return ()
    if wanted == "auto" and stores_all(spec.gradient, spec.compile):
        return ()
    local = spec.gradient.target.inside

    def head(unit: Unit) -> Readout | None:
        return plan.readout(unit[1]) if local else None

    units = [unit for unit in plan.units if not local or unit[1].name != "final"]

    def frozen(unit: Unit) -> frozenset[str]:
        """What of a unit is frozen, by names that are those of all units."""
        places = [f"blocks/{block.name}" for block in unit[0]] + [f"heads/{unit[1].name}"]
        return frozenset(
            f"{index}{path.removeprefix(place)}"
            for index, place in enumerate(places)
            for path in plan.frozen
            if within(path, place)
        )

    found = find(units, head, lambda unit: (_factors(plan, unit), frozen(unit)))
    if wanted == "scanned" and not found:
        raise UserError("compile.blocks: no two equal blocks follow each other; use auto")
    return tuple(s for s in found if wanted == "scanned" or len(s.units) >= FEWEST)


def _factors(plan: Plan, unit: Unit) -> list[tuple[float, float]]:
    """Of the learning rate and of weight decay, for every parameter of a unit's blocks and head."""
    factors, names = plan.experiment.optimizer.factors, [block.name for block in unit[0]]
    own = (path for path in flatten(plan.parameters()) if path.split("/")[1] in names)
    return [(factors.rate(path), factors.decay(path)) for path in own] if factors.parts else []


def _refuse_unknown_parts(plan: Plan) -> None:
    """Something learns, and what is frozen, read from elsewhere or has factors is there."""
    factors = plan.experiment.optimizer.factors
    for name, known in factors.unknown(flatten(plan.parameters())) if factors.parts else ():
        raise UserError(f"optimizer.factors.parts: no parameter's path begins with {name}; {known}")
    _ = plan.begins_elsewhere
    if plan.frozen and len(plan.frozen) == len(flatten(plan.parameters())):
        raise UserError("freeze: names everything, so that nothing learns; leave a part out")


def _refuse_too_many(plan: Plan) -> None:
    """There are no more orthogonal directions than numbers that move together."""
    how = plan.perturbation
    if how is None or how.projects or not how.guess.set.fits:
        return
    for segment in plan.segments:
        size = sum(prod(e.shape[plan.space.rows :]) for e in plan.perturbed(segment).values())
        if how.samples > size:
            raise UserError(
                f"gradient.perturbation.samples: at most {size} {how.guess.set} directions fit the "
                f"{size} numbers perturbed together in {segment.blocks[0].name} "
                f"(got {how.samples}); use fewer"
            )


def _refuse_single_values(plan: Plan) -> None:
    """No normalization takes a single value, which it makes 0.

    Architectures of our own say so by `single_values`, with the field to change, before there is a
    plan; those of other packages need not.
    """
    rows = plan.experiment.data.batch_size
    for path, norm, extent in plan.normalizations():
        if norm.how.normalizes and norm.values(extent.features, rows) == 1:
            raise UserError(
                f"architecture: {path} takes mean and deviation of a single value, at {extent} "
                "(positions, groups x channels), so that all become 0 and nothing is learnt; make "
                "it wider, or use another normalization"
            )


def _units(experiment: Experiment, network: Network) -> tuple[Unit, ...]:
    """Chains of blocks closed by a loss; single blocks where there are no local losses."""
    blocks, local = network.blocks, experiment.losses.local
    copied: tuple[Axis, ...] = copy_axes((local.replicate or ()) if local is not None else ())
    every, last = (local.every, local.last) if local is not None else (1, "final")
    chains = [blocks[start : start + every] for start in range(0, len(blocks), every)]
    sites = [Site(chain[-1].name, chain[-1].name, copied) for chain in chains]
    if last == "final":
        sites[-1] = Site("final", blocks[-1].name)
    return tuple(zip(chains, sites, strict=True))
