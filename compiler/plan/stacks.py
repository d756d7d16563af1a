"""Stacks: equal blocks (but for their names), whose parameters are stored as one array.

One compiled body serves all of them in a loop over depth (`jax.lax.scan`), so that neither compile
time nor memory grows with the number of blocks. Parameters are stacked in the state already, where
a scan reads and writes them in place. Stacking them inside the update would need two copies.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import jax
import jax.numpy as jnp

from compiler.network.readout import Readout
from compiler.plan.segment import Unit

Tree = Mapping[str, Any]
SECTIONS = ("blocks", "heads")
"""The sections of the parameters that are stored block by block."""

FEWEST = 3
"""The least number of equal units that `compile.blocks: auto` stacks."""


@dataclass(frozen=True)
class Stack:
    """Consecutive units that differ only in their names.

    Attributes:
        units: chains of blocks, each with a loss at its end.
    """

    units: tuple[Unit, ...]

    @property
    def name(self) -> str:
        """Its first and last block: `block1-block3`."""
        return f"{self.units[0][0][0].name}-{self.last}"

    @property
    def template(self) -> Unit:
        """The first unit; all units are computed under its names."""
        return self.units[0]

    @property
    def last(self) -> str:
        """The name of the last block."""
        return self.units[-1][0][-1].name

    def renamed(self) -> Iterator[dict[str, str]]:
        """For every unit, the names of its blocks by the names in the template."""
        names = [block.name for block in self.template[0]]
        for blocks, _ in self.units:
            yield dict(zip(names, (block.name for block in blocks), strict=True))


def find(
    units: Sequence[Unit],
    head: Callable[[Unit], Readout | None],
    treated: Callable[[Unit], Any] = lambda unit: None,
) -> tuple[Stack, ...]:
    """The longest runs of at least two equal units, each with an output like its input.

    Args:
        units: the units of a plan.
        head: unit -> the readout of the local loss that trains it, or None.
        treated: unit -> what else must be equal, such as its learning rates.
    """

    def kind(unit: Unit) -> Any:
        return _kind(unit, head), treated(unit)

    runs: list[list[Unit]] = []
    for unit in units:
        if runs and kind(unit) == kind(runs[-1][0]) and _chains(unit):
            runs[-1].append(unit)
        else:
            runs.append([unit])
    return tuple(Stack(tuple(run)) for run in runs if len(run) > 1)


def _kind(unit: Unit, head: Callable[[Unit], Readout | None]) -> Any:
    """Everything about a unit except its names."""
    blocks, site = unit
    readout = head(unit)
    loss = None if readout is None else (site.axes, readout)
    return [replace(block, name="") for block in blocks], loss


def _chains(unit: Unit) -> bool:
    """Whether a unit's output has the shape of its input."""
    return unit[0][0].start == unit[0][-1].end


def stacked(stacks: Sequence[Stack], tree: Tree) -> dict[str, Any]:
    """A tree by section and block, with the arrays of stacked blocks moved to a section `stacks`.

    Args:
        stacks: the stacks of a plan.
        tree: arrays by section and block; sections other than `blocks` and `heads` do not change.

    Returns:
        The remaining arrays, and under `stacks` by the stack's name, section and the template's
        names, arrays with a leading axis of units.
    """
    if not stacks:
        return dict(tree)
    stacked_names = {
        name for stack in stacks for names in stack.renamed() for name in names.values()
    }
    rest = {
        section: _without(tree_of_section, section, stacked_names)
        for section, tree_of_section in tree.items()
    }
    stacks_by_name = {
        stack.name: {
            section: {
                name: jax.tree.map(
                    lambda *parts: jnp.stack(parts),
                    *(tree[section][names[name]] for names in stack.renamed()),
                )
                for name in next(stack.renamed())
                if name in tree[section]
            }
            for section in SECTIONS
            if section in tree
        }
        for stack in stacks
    }
    return {
        section: tree_of_section for section, tree_of_section in rest.items() if tree_of_section
    } | {"stacks": stacks_by_name}


def _without(part: Any, section: str, names: set[str]) -> Any:
    if section not in SECTIONS:
        return part
    return {name: value for name, value in part.items() if name not in names}


def unstacked(stacks: Sequence[Stack], tree: Tree) -> dict[str, Any]:
    """The inverse of `stacked`."""
    sections = {section: dict(arrays) for section, arrays in tree.items() if section != "stacks"}
    for stack in stacks:
        for section, stacked_blocks in tree["stacks"][stack.name].items():
            for index, names in enumerate(stack.renamed()):
                for name, arrays in stacked_blocks.items():
                    block_tree = jax.tree.map(lambda leaf, index=index: leaf[index], arrays)
                    sections.setdefault(section, {})[names[name]] = block_tree
    return sections
