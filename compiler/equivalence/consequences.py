"""Which computations change between two plans, and which provably do not."""

from collections.abc import Iterable, Mapping
from typing import Any, NamedTuple

from compiler.equivalence.fingerprint import Fingerprint, Print
from fgspec.spec.ablation import CONSEQUENCES


class Consequence(NamedTuple):
    """How one group of a plan's computations changes.

    Attributes:
        group: a name in `CONSEQUENCES`.
        changed: the names whose computation differs.
        drawn: those of them where only the random numbers differ.
        removed: the names that only the first plan has.
        added: the names that only the second plan has.
        same: the names whose computation is identical.
    """

    group: str
    changed: tuple[str, ...] = ()
    drawn: tuple[str, ...] = ()
    removed: tuple[str, ...] = ()
    added: tuple[str, ...] = ()
    same: tuple[str, ...] = ()

    @property
    def identical(self) -> bool:
        """Whether nothing in the group differs."""
        return not (self.changed or self.removed or self.added)

    @property
    def by_draws(self) -> bool:
        """Whether only random numbers differ in everything that has changed."""
        return bool(self.changed) and self.drawn == self.changed and self.group != "noise"

    def json(self) -> dict[str, Any]:
        """The fields as plain values, with the group's title and whether it is identical."""
        names = {field: list(getattr(self, field)) for field in self._fields if field != "group"}
        title = {"title": CONSEQUENCES[self.group], "identical": self.identical}
        return {"group": self.group} | title | names


def consequences(a: Fingerprint, b: Fingerprint) -> list[Consequence]:
    """For every group, what is identical, changed, removed and added from `a` to `b`."""
    return [_compared(group, a.prints[group], b.prints[group]) for group in CONSEQUENCES]


def _compared(group: str, a: Mapping[str, Print], b: Mapping[str, Print]) -> Consequence:
    shared = [name for name in a if name in b]
    changed = [name for name in shared if a[name].digest != b[name].digest]
    return Consequence(
        group,
        changed=tuple(changed),
        drawn=tuple(name for name in changed if a[name].given == b[name].given),
        removed=tuple(name for name in a if name not in b),
        added=tuple(name for name in b if name not in a),
        same=tuple(name for name in shared if name not in changed),
    )


def summarized(names: Iterable[str], others: Iterable[str]) -> list[str]:
    """A short list for `names`: the name of a layer or block stands for all names in it.

    Args:
        names: paths such as `blocks/block0/group/w`.
        others: paths that the short list must not include.
    """
    other_paths = [f"{name}/" for name in others]
    shortened: dict[str, None] = {}
    for name in names:
        parts = name.split("/")
        starts = ("/".join(parts[:end]) for end in range(1, len(parts)))
        unshared = (
            start
            for start in starts
            if not any(other.startswith(f"{start}/") for other in other_paths)
        )
        shortened[next(unshared, name)] = None
    return list(shortened)
