"""Spec -> Plan: all shapes, named axes, places of losses and credit routes; allocates no array."""

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
from compiler.network.shapes import cancelled_biases
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
from fgspec.spec.phases import as_in, spans
from fgspec.spec.predictions import Prediction
from fgspec.spec.scanning import stores_all, unscannable
from fgspec.spec.shapes import Extent, ParamSpec, flat
from fgspec.spec.spaces import Space
from fgspec.spec.targets import Target

KEPT = "kept"
"""The section of what a set of samples keeps between updates, beside the backward weights."""


@dataclass(frozen=True)
class Plan:
    """Everything that determines the program; hashable by value.

    Attributes:
        experiment: the resolved spec.
        data: shapes and statistics of the data set.
        network: the layers with their shapes and axes.
        units: the blocks, in chains with a loss at the end of each.
        segments: chains of blocks with losses; the sum of their gradients is that of the target.
        stacks: equal units that are compiled as one loop; empty if all blocks are unrolled.
        steps: the number of updates of the whole run.
        steps_per_epoch: the number of updates in an epoch; an incomplete last batch is dropped.
        fixed: the `choice` of all updates, where the host chooses a program for each of them.
    """

    experiment: Experiment
    data: DatasetInfo
    network: Network
    units: tuple[Unit, ...]
    segments: tuple[Segment, ...]
    stacks: tuple[Stack, ...]
    steps: int
    steps_per_epoch: int
    fixed: tuple[int, bool] | None = None

    @property
    def objective(self) -> Objective:
        """The final loss, for such labels as the data have."""
        return working(self.experiment.losses.objective.for_labels(self.data.label))

    def objective_at(self, site: Site) -> Objective:
        """The loss at a site."""
        return self.objective if site.name == "final" else self.local_objective

    @property
    def local_objective(self) -> Objective:
        """The local losses, for such labels as the data have."""
        return working(self.experiment.losses.of_local.for_labels(self.data.label))

    @property
    def views(self) -> int:
        """How many views of each example a batch has."""
        return self.experiment.losses.views

    @property
    def answer(self) -> Objective:
        """The loss that the classifier is trained and evaluated with."""
        return _answer(self.experiment, self.data)

    @property
    def outputs(self) -> int:
        """The number of outputs of the final loss's readout."""
        return self.objective.outputs(self.data)

    @property
    def rows(self) -> int:
        """How many rows a batch has: those of every example, times the examples."""
        return self.experiment.data.batch_size * self.rows_each

    @property
    def rows_each(self) -> int:
        """How many rows each example has."""
        return self.experiment.losses.rows

    @property
    def preparing(self) -> Objective:
        """The objective that makes the rows of a batch."""
        return working(self.experiment.losses.preparing)

    @property
    def prediction(self) -> Prediction:
        """How the trained model answers."""
        return working(self.experiment.losses.prediction)

    @property
    def reads_clean(self) -> bool:
        """Whether the classifier learns from a pass of its own, on images as evaluation has them.

        So it is where no loss reads its outputs, and rows of the batch are no plain examples.
        """
        final = self.units[-1][1].name == "final"
        if self.network.read:
            return True
        return not self.objective.answers or (self.rows_each > 1 and not final)

    def images(self, *leading: int) -> dict[str, jax.ShapeDtypeStruct]:
        """The shapes of images and labels, with these leading axes."""
        image = (*leading, *self.data.image_shape)
        return {
            "image": jax.ShapeDtypeStruct(image, jnp.dtype(self.data.pixels)),
            "label": jax.ShapeDtypeStruct(
                (*leading, *self.data.label_shape), jnp.dtype(self.data.label_dtype)
            ),
        }

    def parameters(self) -> dict[str, Any]:
        """A `ParamSpec` for every parameter, under `blocks`, `heads` and `classifier`."""
        specs: dict[str, Any] = {
            "blocks": {block.name: block_params(block) for block in self.network.blocks},
            "classifier": self.network.classifier.params(),
        }
        heads = self.heads()
        # A readout may have no parameters, as one that gives the features themselves.
        trained = {site.name: own for site in self.headed_sites() if (own := heads[site.name])}
        return specs | ({"heads": trained} if trained else {})

    def heads(self) -> dict[str, Any]:
        """A `ParamSpec` for every parameter of heads, trained or not, by site and name."""
        return {site.name: self.readout(site).params() for site in self._headed()}

    def readout(self, site: Site) -> Readout:
        """The layers between the features at a site and its loss."""
        local = self.experiment.losses.local
        if self.place(site) == ("classifier",):
            return self.network.classifier
        if site.name == "final" or local is None:
            return final_head(self.network, self.outputs)
        return make_head(
            local,
            self.network,
            site.block,
            self.objective_at(site).outputs(self.data),
            self.objective_at(site),
        )

    def feedback(self) -> dict[str, Any]:
        """A `ParamSpec` for every array that a run keeps besides parameters, nested.

        They are the backward weights of the estimator, and under `KEPT` what the set of samples
        keeps; empty if there are none.
        """
        kept = {f"{KEPT}/{name}": spec for name, spec in self.kept().items()}
        return unflatten(self.estimator.backward_weights(self) | kept)

    def kept(self) -> dict[str, ParamSpec]:
        """What the set of samples keeps from one update to the next, by `block/layer/name`."""
        perturbation = self.perturbation
        return {} if perturbation is None else working(perturbation.guess.set).kept(self)

    @cached_property
    def phases(self) -> "tuple[tuple[range, Plan], ...]":
        """The updates of every phase and its plan, the spec's own gradient last.

        Empty if the spec has no phases. The plan of a phase is one without phases.
        """
        own = self.experiment
        if not own.phases:
            return ()
        found = list(spans(own.phases, self.steps_per_epoch))
        experiments = [as_in(phase, own) for phase in own.phases]
        found.append(range(found[-1].stop, self.steps))
        experiments.append(own.model_copy(update={"phases": ()}))
        plans = [_with_losses(self, experiment) for experiment in experiments]
        return tuple(zip(found, plans, strict=True))

    @property
    def chooses(self) -> bool:
        """Whether updates differ in which gradient they take."""
        return bool(self.phases) or self.experiment.gradient.exact_every is not None

    def choice(self, step: int) -> tuple[int, bool]:
        """The phase of the update after so many, counted from 0, and whether it is exact."""
        phase = sum(step >= span.start for span, _ in self.phases[1:])
        own = self.phases[phase][1] if self.phases else self
        every = own.experiment.gradient.exact_every
        return phase, every is not None and (step + 1) % every == 0

    @property
    def slot(self) -> str:
        """The place of what this plan keeps in the state of a run that has phases.

        Phases of one estimator share its backward weights.
        """
        estimator, perturbation = self.experiment.gradient.estimator, self.perturbation
        if perturbation is None or not perturbation.guess.set.keeps:
            return str(estimator)
        return f"{estimator} {perturbation.guess.set}"

    @property
    def learns_feedback(self) -> bool:
        """Whether updates change what the run keeps besides parameters, see `feedback`."""
        return self.estimator.learns_backward or bool(self.kept())

    def to_every_layer(self) -> dict[str, ParamSpec]:
        """Matrices [k, p, g, c] from the network's k outputs to the output of every layer.

        They are the backward weights of direct feedback alignment, by path.
        """
        axes: tuple[Axis | None, ...] = (None, "patch", "group", None)
        return {
            f"blocks/{path}/w": ParamSpec((self.outputs, *layer.outputs), axes, self.outputs)
            for path, layer in layers_in(self.network.blocks)
        }

    def idle_params(self) -> list[str]:
        """The paths of parameters of blocks that cannot learn; see `cancelled_biases`."""
        return cancelled_biases(dict(layers_in(self.network.blocks)))

    @cached_property
    def frozen(self) -> frozenset[str]:
        """The paths of the parameters that `freeze` keeps, such as `blocks/block0/channel/w`.

        Raises:
            UserError: `freeze` names a part that does not exist.
        """
        freeze = self.experiment.freeze
        if not freeze:
            return frozenset()
        names = [block.name for block in self.network.blocks]
        return chosen("freeze", freeze, flatten(self.parameters()), names)

    @cached_property
    def begins_elsewhere(self) -> frozenset[str]:
        """The paths of the parameters that are read instead of drawn; see `start_from`.

        Raises:
            UserError: `start_from.only` names a part that does not exist.
        """
        start = self.experiment.start_from
        if start is None:
            return frozenset()
        paths, names = flatten(self.parameters()), [block.name for block in self.network.blocks]
        return chosen("start_from.only", start.only, paths, names) or frozenset(paths)

    @property
    def precise(self) -> jnp.dtype:
        """The type of everything that is computed in float32 at least."""
        return at_least_float32(self.features_dtype)

    @property
    def features_dtype(self) -> jnp.dtype:
        """The type that blocks compute in."""
        return jnp.dtype(ARITHMETIC[self.experiment.compile.precision].dtype)

    @property
    def products(self) -> str:
        """The precision of the matrix products of blocks, by JAX's name."""
        return ARITHMETIC[self.experiment.compile.precision].products

    @property
    def estimator(self) -> Estimator:
        """How the gradient of the target is estimated."""
        return working(self.experiment.gradient.estimator)

    @property
    def target(self) -> Target:
        """Which losses a block learns from."""
        return working(self.experiment.gradient.target)

    @property
    def perturbation(self) -> Perturbation | None:
        """The section `gradient.perturbation`; None if the estimator perturbs nothing."""
        estimator = self.experiment.gradient.estimator
        return self.experiment.gradient.perturbation if estimator.perturbs else None

    @property
    def projects(self) -> bool:
        """Whether the target is projected on guesses, each group of tensors by itself."""
        return self.perturbation is not None and self.perturbation.projects

    @property
    def moves_together(self) -> bool:
        """Whether all perturbed arrays of a segment get noise at once."""
        return self.perturbation is not None and not self.perturbation.projects

    @property
    def space(self) -> Space:
        """Which arrays are perturbed; only if the estimator perturbs something."""
        assert self.perturbation is not None
        return working(self.perturbation.perturbed_space)

    @property
    def reverse_derivatives(self) -> bool:
        """Whether derivatives along noise are inner products with a reverse-mode gradient.

        One tangent costs about as much as one gradient. But one gradient serves all samples, and
        all groups of a projection, so it is cheaper than two or more tangents. For a single tangent
        it would only add inner products and stored activations.
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
        """The number of blocks between two inputs stored for a reverse pass; None: all stored."""
        every = self.experiment.compile.rematerialize
        return None if isinstance(every, str) else every

    @property
    def chains(self) -> dict[str, str]:
        """By block, the first block of its chain; empty if gradients connect all blocks."""
        isolated = self.units if self.experiment.losses.isolate == "block" else ()
        return {block.name: blocks[0].name for blocks, _ in isolated for block in blocks}

    def place(self, site: Site) -> tuple[str, ...]:
        """The place of a site's readout among the parameters."""
        answers = site.name == "final" and self.objective.answers
        return ("classifier",) if answers else ("heads", site.name)

    def headed_sites(self) -> tuple[Site, ...]:
        """The sites with a head that is trained, in order."""
        read = self.experiment.gradient.trains_heads
        return tuple(site for site in self._headed() if read or site.name == "final")

    def _headed(self) -> Iterator[Site]:
        local = self.experiment.losses.local is not None
        for _, site in self.units:
            if self.place(site)[0] == "heads" and (local or site.name == "final"):
                yield site

    def parts(self) -> list[tuple[Block, ...] | Stack]:
        """The network in order: chains of blocks, and stacks."""
        parts: list[tuple[Block, ...] | Stack] = []
        for unit_or_stack in self.units_and_stacks():
            if isinstance(unit_or_stack, Stack) or not parts or isinstance(parts[-1], Stack):
                parts.append(
                    unit_or_stack if isinstance(unit_or_stack, Stack) else unit_or_stack[0]
                )
            else:
                parts[-1] = (*parts[-1], *unit_or_stack[0])
        return parts

    @property
    def unit_by_unit(self) -> bool:
        """Whether every unit learns only from its own loss, so that units can update in turn."""
        spec = self.experiment
        return (
            self.target.inside
            and not spec.phases  # another phase may need all units at once
            and unscannable(spec.architecture, spec.losses, spec.gradient) is None
        )

    def units_and_stacks(self) -> Iterator[Unit | Stack]:
        """All units in order; a stack stands for its units."""
        inside = {unit: stack for stack in self.stacks for unit in stack.units}
        for unit in self.units:
            stack = inside.get(unit)
            if stack is None:
                yield unit
            elif unit == stack.template:
                yield stack

    def inputs(self, features: Mapping[str, Any], x: Any) -> dict[str, Any]:
        """The input of each block: `x` for the first, then the features after the block before."""
        names = [block.name for block in self.network.blocks]
        inputs = {
            block: features[previous]
            for previous, block in itertools.pairwise(names)
            if previous in features
        }
        return {names[0]: x} | inputs

    @property
    def exact_blocks(self) -> frozenset[str]:
        """The blocks that use the exact gradient of the final loss while others do not."""
        perturbation = self.experiment.gradient.perturbation
        if perturbation is None or perturbation.last_block != "exact":
            return frozenset()
        return frozenset(block.name for block in self.units[-1][0])

    def perturbed(self, segment: Segment) -> dict[str, Element]:
        """The perturbed arrays of a segment, with their credit routes; empty without noise."""
        perturbation = self.perturbation
        if perturbation is None or perturbation.projects:
            return {}
        rows = 1 if perturbation.sharing == "batch" else self.rows
        return self.space.elements(segment, self.readout_mixes(segment), perturbation.credit, rows)

    def readout_mixes(self, segment: Segment) -> frozenset[Axis]:
        """The axes that are mixed between a segment's last block and the value of its last loss."""
        site = segment.sites[-1]
        return self.readout(site).mixes() | self.rows_mixed(site)

    def rows_mixed(self, site: Site) -> frozenset[Axis]:
        """The axes that the loss itself mixes: the batch, for losses that compare examples."""
        coupled = self.objective_at(site).coupling() is not None
        return frozenset({"batch"}) if coupled else frozenset()

    def normalizations(self) -> Iterator[tuple[str, Norm, Extent]]:
        """Every normalization of blocks and readouts: its place, itself, the shape of its input."""
        network = self.network
        layers = list(every_layer(network.blocks))
        layers += [(f"classifier/{layer.name}", layer) for layer in network.classifier.layers]
        if network.read_norm is not None:
            for name in network.read:
                extent = flat(network.block(name).end.width)
                yield f"classifier, after {name},", network.read_norm, extent
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
        """An interval as a number of updates."""
        return interval.steps or (interval.epochs or 1) * self.steps_per_epoch


def make_plan(experiment: Experiment, data: DatasetInfo) -> Plan:
    """The plan of a resolved spec.

    Args:
        experiment: the resolved spec, which `fgspec.check.against_data` has accepted.
        data: shapes and statistics of the data set.

    Raises:
        UserError: a named part of the network does not exist, nothing learns, there are more
            orthogonal samples than dimensions, or a normalization has a single value.
    """
    answer = _answer(experiment, data)
    network = working(experiment.architecture).network(data.image_shape, answer.outputs(data))
    if experiment.losses.classifier_reads == "after_first":
        network = network.reading(tuple(block.name for block in network.blocks[1:]))
    per_epoch = data.train_examples // experiment.data.batch_size
    training = experiment.training
    steps = training.steps or (training.epochs or 0) * per_epoch
    plan = _with_losses(Plan(experiment, data, network, (), (), (), steps, per_epoch), experiment)
    _refuse_unknown_parts(plan)
    _refuse_too_many(plan)
    _refuse_single_values(plan)
    _refuse_unlike_phases(plan)
    return replace(plan, stacks=_stacks(plan))


def _answer(experiment: Experiment, data: DatasetInfo) -> Objective:
    """The loss that the classifier is trained and evaluated with."""
    return working(experiment.losses.answering.for_labels(data.label))


def _with_losses(plan: Plan, experiment: Experiment) -> Plan:
    """The plan with the units and segments of an experiment, whose network is the same."""
    units = _units(experiment, plan.network)
    segments = tuple(working(experiment.gradient.target).segments(units))
    plan = replace(plan, experiment=experiment, units=units, segments=segments, stacks=())
    return replace(plan, segments=tuple(one_loss_each(segments))) if plan.moves_together else plan


def _refuse_unlike_phases(plan: Plan) -> None:
    """Refuse phases that leave nothing to the spec's own gradient, or train other parameters."""
    own = flatten(plan.parameters())
    for index, (span, phase) in enumerate(plan.phases):
        if not span:
            raise UserError(
                f"phases: last {span.start} updates, but the run has only {plan.steps}; make them "
                "shorter, or training longer"
            )
        _refuse_too_many(phase)
        other = flatten(phase.parameters())
        if {path: spec.shape for path, spec in other.items()} != {
            path: spec.shape for path, spec in own.items()
        }:
            paths = ", ".join(sorted(own.keys() ^ other.keys())[:3])
            raise UserError(
                f"phases.{index}.gradient: the parameters of phases must be the same, but {paths} "
                "are not in all of them; use a gradient that trains the same heads"
            )


def _stacks(plan: Plan) -> tuple[Stack, ...]:
    """The stacks of a plan.

    Raises:
        UserError: `compile.blocks` is `scanned`, but no two equal blocks follow each other.
    """
    spec, choice = plan.experiment, plan.experiment.compile.blocks
    if (
        choice == "unrolled"
        or spec.phases  # which need the parameters in one layout
        or unscannable(spec.architecture, spec.losses, spec.gradient) is not None
    ):
        return ()
    if choice == "auto" and stores_all(spec.gradient, spec.compile):
        return ()
    local = spec.gradient.target.inside

    def head(unit: Unit) -> Readout | None:
        return plan.readout(unit[1]) if local else None

    units = [unit for unit in plan.units if not local or unit[1].name != "final"]

    def frozen(unit: Unit) -> frozenset[str]:
        """The frozen parameters of a unit, under names that are the same for all units."""
        places = [f"blocks/{block.name}" for block in unit[0]] + [f"heads/{unit[1].name}"]
        return frozenset(
            f"{index}{path.removeprefix(place)}"
            for index, place in enumerate(places)
            for path in plan.frozen
            if within(path, place)
        )

    stacks = find(units, head, lambda unit: (_factors(plan, unit), frozen(unit)))
    if choice == "scanned" and not stacks:
        raise UserError("compile.blocks: no two equal blocks follow each other; use auto")
    return tuple(stack for stack in stacks if choice == "scanned" or len(stack.units) >= FEWEST)


def _factors(plan: Plan, unit: Unit) -> list[tuple[float, float]]:
    """Factors of learning rate and weight decay, for each parameter of a unit's blocks and head."""
    factors, names = plan.experiment.optimizer.factors, [block.name for block in unit[0]]
    paths = (path for path in flatten(plan.parameters()) if path.split("/")[1] in names)
    return [(factors.rate(path), factors.decay(path)) for path in paths] if factors.parts else []


def _refuse_unknown_parts(plan: Plan) -> None:
    """Refuse specs that name parts that do not exist, and specs in which nothing learns."""
    factors = plan.experiment.optimizer.factors
    for name, hint in factors.unknown(flatten(plan.parameters())) if factors.parts else ():
        raise UserError(f"optimizer.factors.parts: no parameter's path begins with {name}; {hint}")
    _ = plan.begins_elsewhere
    if plan.frozen and len(plan.frozen) == len(flatten(plan.parameters())):
        raise UserError("freeze: names everything, so that nothing learns; leave a part out")


def _refuse_too_many(plan: Plan) -> None:
    """Refuse more orthogonal directions than there are numbers perturbed together."""
    perturbation = plan.perturbation
    if perturbation is None or perturbation.projects or not perturbation.guess.set.fits:
        return
    for segment in plan.segments:
        size = sum(
            prod(element.shape[plan.space.rows :]) for element in plan.perturbed(segment).values()
        )
        if perturbation.samples > size:
            raise UserError(
                f"gradient.perturbation.samples: at most {size} {perturbation.guess.set} directions"
                f" fit the {size} numbers perturbed together in {segment.blocks[0].name} "
                f"(got {perturbation.samples}); use fewer"
            )


def _refuse_single_values(plan: Plan) -> None:
    """Refuse normalizations of a single value, which they would make 0.

    The built-in architectures find this earlier, by `single_values`, and name the field to change.
    Those of plugins may not.
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
    """Chains of blocks with a loss at the end of each; single blocks without local losses."""
    blocks, local = network.blocks, experiment.losses.local
    replicated: tuple[Axis, ...] = copy_axes((local.replicate or ()) if local is not None else ())
    every, last = (local.every, local.last) if local is not None else (1, "final")
    chains = [blocks[start : start + every] for start in range(0, len(blocks), every)]
    sites = [Site(chain[-1].name, chain[-1].name, replicated) for chain in chains]
    if last == "final":
        sites[-1] = Site("final", blocks[-1].name)
    return tuple(zip(chains, sites, strict=True))
