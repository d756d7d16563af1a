"""CLAPP++: the features of one view predict those of the other, against another image's."""

from collections.abc import Iterable
from typing import Annotated, ClassVar, Literal, Self

from pydantic import Field

from fgspec.formulas import losses as of
from fgspec.formulas.tree import Equation, Expr, Function, Number, Plus, Product, Symbol, Total
from fgspec.spec.base import PositiveInt, Unit, Values
from fgspec.spec.clapp import AgainstAnotherImage
from fgspec.spec.dataset_info import DatasetInfo

Context = Literal["own", "last"]


class ClappPlusPlus(AgainstAnotherImage):
    """Hinge loss of two augmented views (CLAPP++; Wu et al. 2026, arXiv 2601.21683).

    The score of features z for a context c is u = z B c, with a learned matrix B for each layer.
    The context is of one view of an image, and behind a stop-gradient. The loss is max(0, 1 - u)
    for the features of the other view, plus max(0, 1 + u) for those of another image. No label is
    read.
    """

    behaviour: ClassVar[str | None] = "compiler.objectives.clapp_plus_plus:ClappPlusPlus"
    title: ClassVar[str] = "CLAPP++ loss"
    views: ClassVar[int] = 2
    reads_grid: ClassVar[str] = "clapp_plus_plus averages features itself"
    local_only: ClassVar[str] = "clapp_plus_plus is a loss of features inside the network"
    type: Literal["clapp_plus_plus"] = "clapp_plus_plus"
    grid: Annotated[tuple[PositiveInt, ...], Unit("positions")] = Field(
        default=(1,),
        min_length=1,
        description="Side of the grid of averages that z and c consist of: one number for all "
        "blocks, or one for each block. 1 averages over all positions; larger grids keep where a "
        "feature is.",
        examples=[[4, 2, 1]],
    )
    context: Annotated[
        Literal["own", "last", "both"],
        Values(
            {
                "own": "The features of the same block.",
                "last": "The features of the last block: direct feedback. Each update begins with "
                "a forward pass that computes them.",
                "both": "The sum of two losses, one for each context, with a matrix each.",
            }
        ),
    ] = Field(default="own", description="Whose features predict those of a block.")

    @classmethod
    def example(cls) -> Self:
        """See the base."""
        return cls(context="both")

    @property
    def contexts(self) -> tuple[Context, ...]:
        """The contexts whose losses are added."""
        return ("own", "last") if self.context == "both" else (self.context,)

    @property
    def reads_last(self) -> bool:
        """See the base."""
        return "last" in self.contexts

    def reading(self) -> str:
        """The features, and those that predict them."""
        return "the features there" + (" and after the last block" if self.reads_last else "")

    def formulas(self) -> Iterable[Equation]:
        """The hinge losses of every context."""
        letters = {"own": ("m", "c"), "last": ("w", "k")}
        hinges: list[tuple[int, Expr]] = []
        says: list[str] = []
        for context in self.contexts:
            mapped, known = letters[context]
            place = "the block" if context == "own" else "the last block"
            reads = Symbol(f"{context} context", known, known, (), ("n", "d"))
            for key, tex, text, sign in (
                ("other view", mapped, mapped, -1),
                ("other image", rf"\tilde {mapped}", f"{mapped}̃", 1),
            ):
                features = Symbol(f"{context} {key}", tex, text, (), ("n", "d"))
                score = Total(("d",), Product((features, reads)))
                hinges.append((1, Function("positive part", Plus(((1, Number(1)), (sign, score))))))
            says += [
                f"{known} the context of row n: features after {place}, behind a stop-gradient",
                f"{mapped} features z of the other view of the image, times the matrix of {known}",
                f"{mapped}̃ those of another image",
            ]
        yield Equation(
            of.LOSS,
            Plus(tuple(hinges)),
            "The context must predict the other view of its image, and not another image.",
            letters=tuple(says),
        )

    def scale(self, data: DatasetInfo) -> float:
        """That of scores of zero."""
        return 2.0 * len(self.contexts)
