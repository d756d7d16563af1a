"""Targets: the gradient that is estimated, one class each."""

from collections.abc import Iterator, Sequence
from typing import Any, ClassVar, Literal

from fgspec.formulas.notation import BLOCK, LAST, LOSS, Term
from fgspec.formulas.tree import Domain, Expr, Index, Over, Plus, Symbol
from fgspec.spec.base import Resume
from fgspec.spec.kinds import Kind, table

TARGETS = table("target", "targets")


class Target(Kind):
    """Which losses a block learns from.

    Attributes:
        reads_local: whether local losses are among them.
        inside: whether no gradient crosses the chain of blocks that ends in a loss.
        means: what its gradient is, in words.
    """

    table: ClassVar = TARGETS
    on_resume: ClassVar = Resume.FORKS
    reads_local: ClassVar[bool] = True
    inside: ClassVar[bool] = False
    means: ClassVar[str]

    def segments(self, units: Sequence[Any]) -> Iterator[Any]:
        """Chains of blocks whose gradients add up to the target's; they may overlap.

        Args:
            units: (blocks, site of the loss that closes them) of the whole network, in order.

        Returns:
            `compiler.plan.segment.Segment`s.
        """
        raise self.lacks("segments")

    def losses(self, term: Term) -> Expr:
        """The sum of a term over the losses that block b learns from.

        Args:
            term: by the index of the loss.
        """
        raise self.lacks("losses")

    def moves(self, array: Symbol) -> Domain:
        """The arrays of all blocks that learn from loss j.

        Args:
            array: whose index runs over them.
        """
        raise self.lacks("moves")


class Global(Target):
    """The gradient of the final loss, through all later blocks."""

    behaviour: ClassVar[str | None] = "compiler.plan.targets:Global"
    reads_local: ClassVar[bool] = False
    means: ClassVar[str] = "of the final loss"
    type: Literal["global"] = "global"

    def losses(self, term: Term) -> Expr:
        """That of the last loss."""
        return term(LAST)

    def moves(self, array: Symbol) -> Domain:
        """All of the network."""
        name = str(array.at[0])
        return Domain("moves", name, name, lambda loss, block, last: loss == last)


class Local(Target):
    """The gradient of the block's own local loss."""

    behaviour: ClassVar[str | None] = "compiler.plan.targets:Local"
    inside: ClassVar[bool] = True
    means: ClassVar[str] = "of the block's own local loss"
    type: Literal["local"] = "local"

    def losses(self, term: Term) -> Expr:
        """That of the own loss."""
        return term(BLOCK)

    def moves(self, array: Symbol) -> Domain:
        """One block."""
        name = array.at[0]
        text = rf"{name}\in \mathrm{{block}}\ j", f"{name} in block j"
        return Domain("moves", *text, lambda loss, block, last: loss == block)


class Above(Target):
    """The gradient of the block's own local loss and the next block's (Fournier et al. 2023)."""

    behaviour: ClassVar[str | None] = "compiler.plan.targets:Above"
    means: ClassVar[str] = "of the block's own and the next block's local loss"
    type: Literal["above"] = "above"

    def losses(self, term: Term) -> Expr:
        """Those of the own and the next loss; the last block has no next one."""
        return Plus(((1, term(BLOCK)), (1, term(Index("b", 1)))))

    def moves(self, array: Symbol) -> Domain:
        """Two blocks."""
        name = array.at[0]
        text = rf"{name}\in \mathrm{{blocks}}\ j-1,j", f"{name} in blocks j-1, j"
        return Domain("moves", *text, lambda loss, block, last: loss - block in (0, 1))


class Sum(Target):
    """The gradient of all losses downstream: of this block and of all later ones."""

    behaviour: ClassVar[str | None] = "compiler.plan.targets:Sum"
    means: ClassVar[str] = "of all local losses downstream"
    type: Literal["sum"] = "sum"

    def losses(self, term: Term) -> Expr:
        """Those of the own loss and all later ones."""
        later = Domain("losses", r"j\geq b", "j≥b", lambda loss, block, last: loss >= block)
        return Over(LOSS, later, term(LOSS))

    def moves(self, array: Symbol) -> Domain:
        """All blocks up to the loss."""
        name = array.at[0]
        text = rf"{name}\in \mathrm{{blocks}}\leq j", f"{name} in blocks ≤ j"
        return Domain("moves", *text, lambda loss, block, last: loss >= block)
