"""The digest of an array in a traced program, and of the result of an operation on arrays."""

import hashlib
from collections.abc import Sequence
from typing import Any, NamedTuple

Streams = frozenset[str]
Draws = frozenset[tuple[Streams, str]]
NONE: frozenset[Any] = frozenset()


class Known(NamedTuple):
    """What is known about one array.

    Attributes:
        digest: the digest of its computation.
        given: the same, except that random arrays count only by stream and shape.
        data: whether it depends on anything besides the key, the step and constants.
        streams: the random streams that it is made from; empty if it depends on data.
        draws: the streams and digests of the random arrays that it is made from, if it depends on
            data.
        loops: the carries of surrounding loops that it depends on.
        zero: whether all its numbers are zero.
        number: its value, if it is a single constant, else None.
        parts: its elements, if it is a stack of keys or codes, else empty.
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
    """The digest of values by their `repr`, which must be complete."""
    return hashlib.blake2b(repr(parts).encode(), digest_size=16).hexdigest()


def cut(known: Known, shape: str) -> Known:
    """The array as an operand of an operation on data; a random array becomes a draw."""
    if known.data or not known.streams:
        return known
    draws = known.draws | {(known.streams, known.digest)}
    token = hashed("drawn", sorted(known.streams), shape)
    return Known(known.digest, token, True, NONE, draws, known.loops)


def made(head: str, operands: Sequence[tuple[Known, str]]) -> Known:
    """The result of an operation on operands, each with its shape as text."""
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
    """One of several results of an operation, or a slice of an array."""
    digest, given = hashed(of, known.digest), hashed(of, known.given)
    return known._replace(digest=digest, given=given)
