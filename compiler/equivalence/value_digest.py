"""What is known of an array of a traced program, and of what an operation makes of arrays."""

import hashlib
from collections.abc import Sequence
from typing import Any, NamedTuple

Streams = frozenset[str]
Draws = frozenset[tuple[Streams, str]]
NONE: frozenset[Any] = frozenset()


class Known(NamedTuple):
    """What is known of one array.

    Attributes:
        digest: of all that it is computed from.
        given: the same, but arrays made of random bits alone count by stream and shape only.
        data: whether it depends on more than the key, the step and constants.
        streams: the random streams that it is made of, while it is made of nothing else.
        draws: streams and digests of the random arrays that it is made of, once it depends on data.
        loops: the carries of loops around it that it depends on.
        zero: whether all of its numbers are zero.
        number: a constant that stands alone, else None.
        parts: of keys or their codes that are stacked, each by itself; else nothing.
    """

    digest: str
    given: str
    data: bool
    streams: Streams = NONE
    draws: Draws = NONE
    loops: frozenset[object] = NONE
    zero: bool = False
    number: int | None = None
    parts: "tuple[Known, ...]" = ()


def hashed(*parts: Any) -> str:
    """One digest of parts whose `repr` tells all of them."""
    return hashlib.blake2b(repr(parts).encode(), digest_size=16).hexdigest()


def cut(known: Known, shape: str) -> Known:
    """As an operand of something that depends on data."""
    if known.data or not known.streams:
        return known
    draws = known.draws | {(known.streams, known.digest)}
    token = hashed("drawn", sorted(known.streams), shape)
    return Known(known.digest, token, True, NONE, draws, known.loops)


def made(head: str, operands: Sequence[tuple[Known, str]]) -> Known:
    """What an operation makes of operands and their shapes."""
    data = any(known.data for known, _ in operands)
    cut_operands = [cut(known, shape) if data else known for known, shape in operands]
    return Known(
        hashed(head, *(known.digest for known in cut_operands)),
        hashed(head, *(known.given for known in cut_operands)),
        data,
        frozenset().union(*(known.streams for known in cut_operands)) if not data else NONE,
        frozenset().union(*(known.draws for known in cut_operands)),
        frozenset().union(*(known.loops for known in cut_operands)),
    )


def part_of(known: Known, of: str) -> Known:
    """One of several results, or a slice."""
    digest, given = hashed(of, known.digest), hashed(of, known.given)
    return known._replace(digest=digest, given=given)
