"""The learning rule of a plan in plain English."""

from collections.abc import Iterator, Sequence
from math import prod

from compiler.plan.plan import Plan
from compiler.plan.segment import Site
from fgspec.explaining.equations import facts_of, shared_dimension
from fgspec.show.bias_notes import guesses_its_target, notes

AXES = {"batch": "example", "patch": "patch", "group": "group"}


def losses(plan: Plan) -> Iterator[str]:
    """Which losses there are, and where."""
    sites = heard(plan)
    first, last = plan.objective_at(sites[0]), sites[-1]
    kind = first.called()
    if len(sites) == 1:
        yield f"There is one loss, the {kind} at the end of the network."
    else:
        ends = "after every block"
        every = plan.experiment.losses.local.every if plan.experiment.losses.local else 1
        ends = ends if every == 1 else f"after every {every} blocks"
        of = first.reading()
        yield f"There are {len(sites)} losses, one {ends}: each is the {kind} of {of}."
        if last.name == "final":
            final = plan.objective.called()
            other = f", the {final}" if final != kind else ""
            yield f"The last of them is the final loss, that of the {readout(plan)}{other}."
    copied = [site for site in sites if len(site.axes) > 1]
    if copied and plan.moves_together:
        axes = [AXES[axis] for axis in copied[0].axes]
        count = prod(sizes(plan, copied[0])[1:])
        yield (
            f"Each local loss has one copy for every {_and(axes)}: {count} copies for each example "
            f"after {copied[0].block}. All copies have the same value, but each of them only sees "
            "its own features change."
        )
    if plan.rows_each > plan.views:
        rows = f"Every example has {plan.rows_each} rows, made of its image and its label."
        yield plan.preparing.makes or rows
    if last.name != "final" or not plan.objective.answers:
        read = "features after every block but the first" if plan.network.read else ""
        read = read or "last block's features"
        yield (f"The {plan.answer.readout()} reads the {read}; no gradient goes from it to them.")
        if plan.answer.called() != kind:
            yield f"It learns by {plan.answer.called()}."
    if not plan.prediction.reads_classifier:
        yield f"The {plan.answer.readout()} does not give the answer."
    if plan.prediction.says:
        yield plan.prediction.says


def readout(plan: Plan) -> str:
    """What the readout of the final loss is called."""
    return plan.objective.readout() if plan.objective.answers else "final head"


def heard(plan: Plan) -> list[Site]:
    """The losses that some block or head learns from, in order."""
    found = {site for segment in plan.segments for site in segment.sites}
    found |= set(plan.headed_sites())
    return [site for _, site in plan.units if site in found]


def sizes(plan: Plan, site: Site) -> tuple[int, ...]:
    """How many copies of a loss there are, along each of its axes."""
    patches, groups, _ = plan.network.block(site.block).end.features
    known = {"batch": plan.rows, "patch": patches, "group": groups}
    return tuple(known[axis] for axis in site.axes)


def estimates(plan: Plan) -> Iterator[str]:
    """What is perturbed, and what each estimate answers for."""
    how = plan.perturbation
    target = plan.experiment.gradient.target
    yield f"Every block learns the gradient {target.means}."
    if tells := plan.experiment.gradient.estimator.tells:
        yield tells
    if every := plan.experiment.gradient.exact_every:
        yield (
            f"One update in {every} takes the exact gradient of the same losses instead, by a "
            "reverse pass."
        )
    if how is None:
        return
    yield f"What is perturbed is {how.perturbed_space.where}."
    yield f"The direction: {_lower(how.guess.says or str(how.guess))}"
    if how.samples > 1:
        yield f"{how.samples} directions are taken at every step."
    if how.projects:
        yield (
            f"Each {how.projection.grouping.means if how.projection.grouping else 'group'} has a "
            "derivative along the guess of its own, which multiplies the guess."
        )
        if plan.exact_blocks:
            yield "The last block takes its exact gradient."
        return
    yield (
        "All of it moves at once, so the derivative of a loss copy holds the noise of all elements "
        "that move it. An element is credited with the copies that it can move; it answers for "
        "these."
    )


def phases(plan: Plan) -> Iterator[str]:
    """What trains before the spec's own gradient does, if anything."""
    for number, (span, phase) in enumerate(plan.phases[:-1], 1):
        gradient = phase.experiment.gradient
        exact = f" One in {gradient.exact_every} is exact." if gradient.exact_every else ""
        yield (
            f"Phase {number} is updates {span.start + 1:,} to {span.stop:,}: every block learns "
            f"the gradient {gradient.target.means}. {gradient.estimator.tells}{exact}"
        )
    if plan.phases:
        yield f"What follows is said of all updates from {plan.phases[-1][0].start + 1:,} on."


def stops(plan: Plan) -> str:
    """Where gradients stop."""
    if plan.estimator.isolates_layers:
        return "No gradient passes between layers."
    if plan.experiment.gradient.target.inside or plan.experiment.losses.isolate == "block":
        return "Gradients stop between blocks: a block learns nothing from the losses of others."
    return "Gradients stop nowhere between the blocks that a loss trains."


def bias(plan: Plan) -> str:
    """The mean of the estimate, in a sentence."""
    found = notes(plan)
    if found:
        return " ".join(f"{note[0].upper()}{note[1:].rstrip('.')}." for note in found)
    if plan.perturbation is None:
        return "None: it is the gradient itself."
    if guesses_its_target(plan):
        return "None: the guess is the target's own gradient, whose projection on itself it is."
    return "None: its mean over the noise is the gradient of the target."


def variance(plan: Plan) -> str:
    """The variance of the estimate for one batch, in sentences."""
    estimator = plan.experiment.gradient.estimator
    return estimator.variance(facts_of(plan), shared_dimension(plan))


def learns_from(plan: Plan, unit: int) -> list[int]:
    """The losses that a chain of blocks learns from, counted from 0."""
    first, sites = plan.units[unit][0][0], [site for _, site in plan.units]
    own = (site for s in plan.segments if first in s.blocks for site in s.sites)
    return sorted({sites.index(site) for site in own})


def _and(words: Sequence[str]) -> str:
    *first, last = words
    return f"{', '.join(first)} and {last}" if first else last


def _lower(text: str) -> str:
    return text[0].lower() + text[1:]
