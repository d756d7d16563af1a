"""`optimizer.clip:` how large a gradient may be, one class each."""

from collections.abc import Iterator
from typing import Any, ClassVar, Literal

from pydantic import Field

from fgspec.problems.problems import Problem
from fgspec.spec.base import PositiveFloat, Resume
from fgspec.spec.kinds import Kind, table
from fgspec.spec.mesh import Mesh
from fgspec.yaml.load import Path

CLIPPINGS = table("clipping", "clippings")


class Clipping(Kind):
    """How large a gradient may be. It acts before weight decay and all that an optimizer does.

    Attributes:
        whole: whether it reads the gradients of all blocks at once. If not, blocks may be clipped
            one by one.
    """

    table: ClassVar = CLIPPINGS
    on_resume: ClassVar = Resume.FORKS
    whole: ClassVar[bool] = False

    def transformations(self) -> list[Any]:
        """The optax transformations of a gradient, whose state is empty; none by default.

        They are given nested dictionaries of arrays, under `blocks` and `heads` by name, and under
        `classifier`; those of one block at a time, of several, or of all if `whole`.
        """
        return []


class NoClipping(Clipping):
    """No clipping: gradients stay as they are."""

    type: Literal["none"] = "none"


class ValuesClipping(Clipping):
    """Every number of the gradient is kept between -`limit` and `limit`."""

    behaviour: ClassVar[str | None] = "compiler.optimizers.clippings:ValuesClipping"
    type: Literal["values"] = "values"
    limit: PositiveFloat = Field(
        default=1.0, description="The largest magnitude of a number.", examples=[0.5]
    )


class BlockNormClipping(Clipping):
    """The gradient of each block, each head and the classifier is scaled down by its own norm."""

    behaviour: ClassVar[str | None] = "compiler.optimizers.clippings:BlockNormClipping"
    type: Literal["block_norm"] = "block_norm"
    limit: PositiveFloat = Field(
        default=1.0,
        description="The largest norm; a longer gradient is scaled to it.",
        examples=[0.5],
    )


class GlobalNormClipping(Clipping):
    """The whole gradient is scaled down by its norm (Pascanu et al. 2013).

    It costs memory where blocks learn one by one: all gradients are kept until the last is there.
    """

    behaviour: ClassVar[str | None] = "compiler.optimizers.clippings:GlobalNormClipping"
    whole: ClassVar[bool] = True
    type: Literal["global_norm"] = "global_norm"
    limit: PositiveFloat = Field(
        default=1.0,
        description="The largest norm; a longer gradient is scaled to it.",
        examples=[0.5],
    )

    def problems(self, at: Path, mesh: Mesh) -> Iterator[Problem]:
        """The stages of a pipeline are never at the same batch."""
        if mesh.stage != 1:
            message = (
                "needs the gradients of all blocks at once, and each stage of a pipeline is at "
                "another batch; use block_norm"
            )
            yield Problem((*at, "type"), message, others=(("mesh", "stage"),))
