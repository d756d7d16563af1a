"""`start_from:` parameters that a run begins with, and how parts of a network are named."""

from typing import Annotated, ClassVar, Literal

from pydantic import AfterValidator, Field

from fgspec.spec.base import PositiveInt, Resume, Section

PartName = Annotated[str, Field(pattern=r"^[A-Za-z0-9_-]+(\.[A-Za-z0-9_-]+)*$")]
"""How the names of parameters begin: `blocks.0`, `blocks.block0.channel.w`, `heads`."""


class Renamed(dict[str, str]):
    """Names there and here; hashable, as plans are."""

    def __hash__(self) -> int:  # pyright: ignore[reportIncompatibleVariableOverride]
        """Of all of them."""
        return hash(frozenset(self.items()))


class StartFrom(Section):
    """Parameters that are read from another run, or from a file that `fgspec export` wrote."""

    on_resume: ClassVar = Resume.FIXED
    run: str | None = Field(
        default=None,
        description="The folder of a run; a relative one is looked for in the current directory. "
        "Give this or file.",
    )
    file: str | None = Field(
        default=None, description="A file or folder that fgspec export wrote; likewise."
    )
    step: Literal["newest", "best"] | PositiveInt = Field(
        default="newest", description="Which checkpoint of the run, as in fgspec eval --step."
    )
    only: tuple[PartName, ...] = Field(
        default=(),
        description="Parts that are read, such as blocks.0 or classifier; the others begin as they "
        "would without. Empty: all, which must then be all that is there.",
    )
    rename: Annotated[dict[PartName, PartName], AfterValidator(Renamed)] = Field(
        default={},
        description="What parts are called there, and here: {blocks.3: blocks.0} reads the fourth "
        "block into the first.",
    )
