"""Digests of the outputs of a loop; each covers only the carries that the output depends on."""

import itertools
from collections.abc import Callable, Collection, Sequence
from typing import NamedTuple

from compiler.equivalence.value_digest import Known, cut, hashed


class Turn(NamedTuple):
    """The results of one turn of a loop.

    Attributes:
        after: the carries after the turn.
        stacked: the values that the loop stacks.
        goes_on: the condition for another turn; empty for a scan.
    """

    after: list[Known]
    stacked: list[Known]
    goes_on: list[Known]


def looped(head: str, body: Callable[[list[Known]], Turn], starts: Sequence[Known]) -> list[Known]:
    """The carries after a loop, and the values that it stacks.

    Carries with equal starts may differ later. So the body is followed turn by turn, until a turn
    tells no more carries apart; carries that are equal then are equal in all turns.

    Args:
        head: the kind of loop.
        body: carries -> the results of a turn.
        starts: the carries before the first turn.
    """
    starts = [cut(start, "carry") for start in starts]
    places = [object() for _ in starts]
    sides = [(hashed("carry", start.digest), hashed("carry", start.given)) for start in starts]
    carries, turns = list[list[Known]](), list[Turn]()
    while len(carries) < 2 or _classes(carries[-1]) > _classes(carries[-2]):
        pairs = zip(sides, places, strict=True)
        carries.append([Known(*side, True, loops=frozenset((place,))) for side, place in pairs])
        turn = Turn(*([cut(known, "turn") for known in values] for values in body(carries[-1])))
        turns.append(turn)
        if not starts:
            break
        before_and_after = zip(carries[-1], turn.after, strict=True)
        sides = [
            (hashed(before.digest, after.digest), hashed(before.given, after.given))
            for before, after in before_and_after
        ]
    ring = _Ring(head, places, starts, carries, turns)
    last = [ring.around("after", index, [index]) for index in range(len(starts))]
    return [*last, *(ring.around("stacked", index, []) for index in range(len(turns[0].stacked)))]


def _classes(carries: Collection[Known]) -> int:
    """The number of different carries."""
    return len({known[:2] for known in carries})


class _Ring(NamedTuple):
    """The carries of a loop: their identities, their starts, and their values at every turn."""

    head: str
    places: list[object]
    starts: list[Known]
    carries: list[list[Known]]
    turns: list[Turn]

    def around(self, part: str, index: int, also: list[int]) -> Known:
        """The digest of one output, of itself and of all carries that it depends on."""
        first = self.turns[0]
        depended = set[int]()
        pending = also + self._read([getattr(first, part)[index], *first.goes_on])
        while pending:
            carry = pending.pop()
            if carry not in depended:
                depended.add(carry)
                pending += self._read([first.after[carry]])
        turn_index = self._told_apart(depended)
        turn = self.turns[turn_index]
        direct = [getattr(turn, part)[index], *turn.goes_on]
        all_values = [
            *direct,
            *(known for carry in depended for known in (self.starts[carry], turn.after[carry])),
        ]
        pairs = [(self.carries[turn_index][carry], turn.after[carry]) for carry in depended]
        head = hashed(self.head, part)
        return Known(
            hashed(
                head, [v.digest for v in direct], sorted({(a.digest, b.digest) for a, b in pairs})
            ),
            hashed(head, [v.given for v in direct], sorted({(a.given, b.given) for a, b in pairs})),
            data=any(known.data for known in all_values),
            draws=frozenset().union(*(known.draws for known in all_values)),
            loops=frozenset().union(*(known.loops for known in all_values)) - set(self.places),
        )

    def _told_apart(self, reached: set[int]) -> int:
        """The first turn after which no more of these carries are told apart."""
        counts = [_classes([carries[index] for index in reached]) for carries in self.carries]
        pairs = itertools.pairwise(counts)
        return next(
            (turn_index for turn_index, (before, after) in enumerate(pairs, 1) if before == after),
            0,
        )

    def _read(self, values: list[Known]) -> list[int]:
        return [
            index
            for index, place in enumerate(self.places)
            if any(place in value.loops for value in values)
        ]
