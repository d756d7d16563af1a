"""Targets: the gradient that is estimated, one class each."""

from collections.abc import Iterator, Sequence
from typing import Any, ClassVar, Literal

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


class Global(Target):
    """The gradient of the final loss, through all later blocks."""

    behaviour: ClassVar[str | None] = "compiler.plan.targets:Global"
    reads_local: ClassVar[bool] = False
    means: ClassVar[str] = "of the final loss"
    type: Literal["global"] = "global"


class Local(Target):
    """The gradient of the block's own local loss."""

    behaviour: ClassVar[str | None] = "compiler.plan.targets:Local"
    inside: ClassVar[bool] = True
    means: ClassVar[str] = "of the block's own local loss"
    type: Literal["local"] = "local"


class Above(Target):
    """The gradient of the block's own local loss and the next block's (Fournier et al. 2023)."""

    behaviour: ClassVar[str | None] = "compiler.plan.targets:Above"
    means: ClassVar[str] = "of the block's own and the next block's local loss"
    type: Literal["above"] = "above"


class Sum(Target):
    """The gradient of all losses downstream: of this block and of all later ones."""

    behaviour: ClassVar[str | None] = "compiler.plan.targets:Sum"
    means: ClassVar[str] = "of all local losses downstream"
    type: Literal["sum"] = "sum"
