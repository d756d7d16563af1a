"""Formulas evaluated: equations, and a source of the values that no equation gives."""

from collections.abc import Iterator, Sequence
from typing import Any, Protocol

import numpy as np

from fgspec.formulas.arrays import Array
from fgspec.formulas.tree import Bound, Domain, Equation, Index, Moved, Symbol


class Values(Protocol):
    """Where the values come from that no equation gives."""

    def leaf(self, key: str, indices: tuple[Any, ...]) -> Array:
        """The value of a symbol."""
        ...

    def jacobian(self, of: tuple[Any, ...], by: tuple[Any, ...], through: str) -> Array | None:
        """All derivatives, in the axes of `of`, then in those of `by`, each of which ends in '.

        Both are a symbol's key and indices. None if there is no such loss.
        """
        ...

    def members(self, domain: Domain, index: Index, bound: Bound) -> Sequence[Any]:
        """What an index stands for, one after the other."""
        ...

    def derived(self, index: str, place: Any) -> Bound:
        """What other indices stand for if one does: of a layer its block."""
        ...

    def at(self, index: Index, bound: Bound) -> Any:
        """What an index stands for, shifted or not; None if nothing is there."""
        ...

    def moved(self, loss: tuple[Any, ...], directions: dict[Any, Array], step: float) -> Array:
        """The copies of a loss where arrays are moved along directions, by their names."""
        ...


class Evaluation:
    """Equations with the values that they need."""

    def __init__(self, equations: Sequence[Equation], values: Values) -> None:
        self.equations = equations
        self.values = values
        self._known: dict[Any, Array] = {}

    def solve(self, symbol: Symbol, **bound: Any) -> Array:
        """The value of a symbol.

        Args:
            symbol: that an equation defines.
            bound: what its indices stand for, by their names.
        """
        return self.symbol(symbol, self._binding({}, bound))

    def _binding(self, bound: Bound, new: Bound) -> Bound:
        """With more indices, and with what follows from those."""
        found = dict(bound)
        for name, place in new.items():
            found |= {name: place, **self.values.derived(name, place)}
        return found

    def number(self, number: float) -> Array:
        """A number."""
        return Array(np.asarray(number, np.float64))

    def _place(self, symbol: Symbol, bound: Bound) -> tuple[Any, ...]:
        return tuple(self.values.at(index, bound) for index in symbol.at)

    def symbol(self, symbol: Symbol, bound: Bound) -> Array:
        """Of its equation, else from the source of values."""
        place = self._place(symbol, bound)
        named = [e for e in self.equations if e.left.key == symbol.key]
        if not named:
            found, own = self.values.leaf(symbol.key, place), symbol.axes
            # A leaf's axes have the names that its symbol shows where it is not renamed.
            if len(own) == len(found.axes) and set(own) != set(found.axes):
                return found.renamed(dict(zip(found.axes, own, strict=True)))
            names = dict(zip(("n",), own, strict=False)) if own == ("m",) else {}
            return found.renamed({**names, **({"k": "i"} if own == ("i",) else {})})
        (equation,) = [e for e in named if e.only is None or place in e.only]
        own = {i.name: p for i, p in zip(equation.left.at, place, strict=True)}
        inside = self._binding(bound, own)
        key = (symbol.key, place, tuple(sorted(inside.items(), key=str)))
        if key not in self._known:
            self._known[key] = equation.right.value(self, inside)
        return self._known[key].renamed(dict(zip(equation.left.axes, symbol.axes, strict=False)))

    def members(self, domain: Domain, index: Index, bound: Bound) -> Iterator[Bound]:
        """Every binding of an index."""
        for value in self.values.members(domain, index, bound):
            yield self._binding(bound, {index.name: value})

    def _jacobian(self, of: Symbol, by: Symbol, bound: Bound, through: str = "") -> Array | None:
        whole = (of.key, *self._place(of, bound)), (by.key, *self._place(by, bound))
        return self.values.jacobian(*whole, through)

    def mean_gradient(self, loss: Symbol, by: Symbol, bound: Bound) -> Array:
        """See `MeanGradient`."""
        found = self._jacobian(loss, by, bound)
        if found is None:
            return self.number(0.0)
        size = found.numbers.shape[found.axes.index("n")]
        summed = found.total([axis for axis in found.axes if not axis.endswith("'")])
        return Array(summed.numbers / size, tuple(axis[:-1] for axis in summed.axes))

    def along(self, of: Symbol, by: Symbol, direction: Array, bound: Bound) -> Array:
        """See `Along`."""
        found = self._jacobian(of, by, bound)
        assert found is not None
        primed = [axis for axis in found.axes if axis.endswith("'")]
        names = {axis[:-1]: axis for axis in primed}
        return (found * direction.renamed(names)).total(primed)

    def pull_back(self, of: Symbol, by: Symbol, error: Array, through: str, bound: Bound) -> Array:
        """See `PullBack`."""
        found = self._jacobian(of, by, bound, through)
        assert found is not None
        own = [axis for axis in found.axes if not axis.endswith("'")]
        pulled = (found * error).total(own)
        return pulled.renamed({axis: axis.removesuffix("'") for axis in pulled.axes})

    def moved(self, moved: Moved, bound: Bound) -> Array:
        """See `Moved`."""
        directions: dict[Any, Array] = {}
        if moved.direction is not None:
            for inside in self.members(moved.domain, moved.by.at[0], bound):
                name = self._place(moved.by, inside)[0]
                directions[name] = moved.direction.value(self, inside)
        place = (moved.of.key, *self._place(moved.of, bound))
        return self.values.moved(place, directions, moved.step.number)
