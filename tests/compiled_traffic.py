"""What devices send each other in a compiled program: bytes by collective and axis of the mesh."""

import re
from collections import Counter
from collections.abc import Iterator, Sequence
from itertools import chain, combinations
from math import prod
from typing import NamedTuple

import numpy as np

from compiler.cost.predicted_traffic import Traffic, sent


class _Operation(NamedTuple):
    """A line of a computation: what it sends, and the computations that it runs so many times."""

    sends: tuple[str, float, tuple[tuple[int, ...], ...] | None] | None
    runs: tuple[tuple[str, int], ...]


_HEAD = re.compile(r"^(ENTRY )?%?([\w.-]+) \(.*\{$")
_KINDS = "all-reduce|all-gather|reduce-scatter|all-to-all|collective-permute|collective-broadcast"
_SENDS = re.compile(rf"= (.*?) ({_KINDS})(?:-start)?\(")
_ARRAY = re.compile(r"(pred|[a-z]+\d+)[a-z0-9]*\[([\d,]*)\]")
_CALLS = re.compile(r"(?:body|condition|calls|to_apply)=%?([\w.-]+)")
_TRIPS = re.compile(r'"known_trip_count":\{"n":"(\d+)"\}')
_IOTA = re.compile(r"replica_groups=\[([\d,]+)\]<=\[([\d,]+)\](?:T\(([\d,]+)\))?")
_LISTED = re.compile(r"(?:replica_groups|source_target_pairs)=\{(\{[\d,{}]*\})\}")
_NAMED = re.compile(r"replica_groups=mesh\[([^\]]*)\] \{([^}]*)\}")


def compiled_traffic(text: str, sizes: Sequence[tuple[str, int]]) -> Traffic:
    """What a compiled program sends in one call; loops of known length count as often as they run.

    Args:
        text: of the program after compilation.
        sizes: devices by axis of the mesh, in its order.
    """
    computations, entry = _parsed(text)
    found: Traffic = Counter()
    for kind, size, groups in _executed(computations, entry, 1):
        axes, devices = _axes_of(groups, sizes)
        whole = size * devices if kind == "reduce-scatter" else size
        if devices > 1:
            found[kind, axes] += sent(kind, whole, devices)
    return found


def _parsed(text: str) -> tuple[dict[str, list[_Operation]], str]:
    found: dict[str, list[_Operation]] = {}
    name = entry = ""
    for line in text.splitlines():
        head = _HEAD.match(line)
        if head:
            name = head[2]
            entry = name if head[1] else entry
            found[name] = []
        elif name and (operation := _operation(line)) is not None:
            found[name].append(operation)
    return found, entry


def _operation(line: str) -> _Operation | None:
    """What of a line counts, if anything does."""
    trips = _TRIPS.search(line)
    times = int(trips[1]) if trips else 1
    runs = tuple((name, times) for name in _CALLS.findall(line))
    match = _SENDS.search(line)
    if match is None:
        return _Operation(None, runs) if runs else None
    arrays = [_bytes(*array) for array in _ARRAY.findall(match[1])]
    # The result of a start holds its argument too.
    size = arrays[-1] if "-start(" in line and len(arrays) > 1 else sum(arrays)
    return _Operation((match[2], size, _groups(line)), ())


def _bytes(kind: str, shape: str) -> float:
    bits = int(re.sub(r"\D", "", kind) or 8)
    return prod(int(n) for n in shape.split(",") if n) * bits / 8


def _groups(line: str) -> tuple[tuple[int, ...], ...] | None:
    """The devices that exchange with each other; None is all."""
    if named := _NAMED.search(line):
        pairs = [pair.split("=") for pair in named[1].split(",")]
        names = [name.strip("' ") for name, _ in pairs]
        shape = [int(size) for _, size in pairs]
        chosen = [names.index(name.strip("' ")) for name in named[2].split(",")]
        return _along(shape, chosen)
    if iota := _IOTA.search(line):
        groups, shape = ([int(n) for n in iota[i].split(",")] for i in (1, 2))
        order = [int(n) for n in iota[3].split(",")] if iota[3] else range(len(shape))
        ids = np.arange(prod(shape)).reshape(shape).transpose(order).reshape(groups)
        return tuple(tuple(map(int, group)) for group in ids)
    if listed := _LISTED.search(line):
        parts = listed[1].strip("{}").split("},{")
        return tuple(tuple(map(int, part.split(","))) for part in parts)
    return None


def _along(shape: Sequence[int], axes: Sequence[int]) -> tuple[tuple[int, ...], ...]:
    """Numbers of a grid in groups that differ along `axes` only."""
    ids = np.moveaxis(np.arange(prod(shape)).reshape(shape), axes, range(-len(axes), 0))
    grouped = ids.reshape(-1, prod(shape[axis] for axis in axes))
    return tuple(tuple(map(int, group)) for group in grouped)


def _executed(
    computations: dict[str, list[_Operation]], name: str, times: int
) -> Iterator[tuple[str, float, tuple[tuple[int, ...], ...] | None]]:
    for operation in computations.get(name, ()):
        if operation.sends is not None:
            kind, size, groups = operation.sends
            yield kind, size * times, groups
        for called, more in operation.runs:
            yield from _executed(computations, called, times * more)


def _axes_of(
    groups: tuple[tuple[int, ...], ...] | None, sizes: Sequence[tuple[str, int]]
) -> tuple[str, int]:
    """The axes that groups of devices run along, and how many devices are in a group."""
    split = [(index, name) for index, (name, size) in enumerate(sizes) if size > 1]
    subsets = chain.from_iterable(combinations(split, n) for n in range(1, len(split) + 1))
    shape = [size for _, size in sizes]
    members = [set(group) for group in groups] if groups is not None else [set(range(prod(shape)))]
    for subset in subsets:
        lines = [set(line) for line in _along(shape, [index for index, _ in subset])]
        if all(any(own <= line for line in lines) for own in members):
            return ",".join(name for _, name in subset), max(map(len, members))
    raise ValueError(f"{groups} are no groups of {dict(sizes)}")
