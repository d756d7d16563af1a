"""Stacks: blocks that differ in nothing but their names, whose parameters are held as one array.

One compiled body then serves all of them, scanned over depth, so that neither compile time nor
memory grows with the number of blocks. They are stacked in the state already: stacked on the way,
inside the update, a scan needs two copies of them; in the state they are read and written in place.
"""

from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import jax
import jax.numpy as jnp

from compiler.network.readout import Readout
from compiler.plan.segment import Unit

Tree = Mapping[str, Any]
SECTIONS = ("blocks", "heads")
"""Of the parameters, what is held block by block."""

FEWEST = 3
"""Equal units that `auto` stacks."""


@dataclass(frozen=True)
class Stack:
    """Units in a row that differ in nothing but their names.

    Attributes:
        units: chains of blocks, each closed by a loss.
    """

    units: tuple[Unit, ...]

    @property
    def name(self) -> str:
        """`block1-block3`."""
        return f"{self.units[0][0][0].name}-{self.last}"

    @property
    def template(self) -> Unit:
        """The first unit, under whose names all are computed."""
        return self.units[0]

    @property
    def last(self) -> str:
        """The last block."""
        return self.units[-1][0][-1].name

    def renamed(self) -> Iterator[dict[str, str]]:
        """For every unit its blocks' names by those of the template."""
        names = [block.name for block in self.template[0]]
        for blocks, _ in self.units:
            yield dict(zip(names, (block.name for block in blocks), strict=True))


def find(
    units: Sequence[Unit],
    head: Callable[[Unit], Readout | None],
    frozen: Callable[[Unit], Collection[str]],
) -> tuple[Stack, ...]:
    """The longest runs of at least two equal units that can follow each other.

    Args:
        units: of a plan.
        head: the readout of the local loss that trains a unit, if one does.
        frozen: what of a unit does not learn, by names that are those of all units.
    """

    def kind(unit: Unit) -> Any:
        return _kind(unit, head), frozen(unit)

    runs: list[list[Unit]] = []
    for unit in units:
        if runs and kind(unit) == kind(runs[-1][0]) and _chains(unit):
            runs[-1].append(unit)
        else:
            runs.append([unit])
    return tuple(Stack(tuple(run)) for run in runs if len(run) > 1)


def _kind(unit: Unit, head: Callable[[Unit], Readout | None]) -> Any:
    """All of a unit but its names."""
    blocks, site = unit
    readout = head(unit)
    loss = None if readout is None else (site.axes, readout)
    return [replace(block, name="") for block in blocks], loss


def _chains(unit: Unit) -> bool:
    """Whether a unit's output has the shape of its input."""
    return unit[0][0].start == unit[0][-1].end


def stacked(stacks: Sequence[Stack], tree: Tree) -> dict[str, Any]:
    """Arrays by block, as `blocks` and `heads`, with those of stacks moved together.

    Args:
        stacks: of a plan.
        tree: by section and name; other sections stay as they are.

    Returns:
        The same and `stacks`: by the stack's name, section and the template's names, each array
        with a leading axis of units.
    """
    if not stacks:
        return dict(tree)
    gone = {name for stack in stacks for names in stack.renamed() for name in names.values()}
    left = {section: _without(part, section, gone) for section, part in tree.items()}
    together = {
        stack.name: {
            section: {
                own: jax.tree.map(
                    lambda *parts: jnp.stack(parts),
                    *(tree[section][names[own]] for names in stack.renamed()),
                )
                for own in next(stack.renamed())
                if own in tree[section]
            }
            for section in SECTIONS
            if section in tree
        }
        for stack in stacks
    }
    return {section: part for section, part in left.items() if part} | {"stacks": together}


def _without(part: Any, section: str, names: set[str]) -> Any:
    if section not in SECTIONS:
        return part
    return {name: own for name, own in part.items() if name not in names}


def unstacked(stacks: Sequence[Stack], tree: Tree) -> dict[str, Any]:
    """What `stacked` was made from."""
    found = {section: dict(part) for section, part in tree.items() if section != "stacks"}
    for stack in stacks:
        for section, own in tree["stacks"][stack.name].items():
            for index, names in enumerate(stack.renamed()):
                for name, part in own.items():
                    one = jax.tree.map(lambda leaf, index=index: leaf[index], part)
                    found.setdefault(section, {})[names[name]] = one
    return found
