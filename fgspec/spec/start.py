"""`start_from:` parameters that a run begins with, and how parts of a network are named."""

from typing import Annotated, ClassVar, Literal

from pydantic import AfterValidator, Field

from fgspec.spec.base import PositiveInt, Resume, Section, Unit, Values

PartName = Annotated[str, Field(pattern=r"^[A-Za-z0-9_-]+(\.[A-Za-z0-9_-]+)*$")]
"""How the names of parameters begin: `blocks.0`, `blocks.block0.channel.w`, `heads`."""


class Renamed(dict[str, str]):
    """Names there and here; hashable, as plans are."""

    def __hash__(self) -> int:  # pyright: ignore[reportIncompatibleVariableOverride]
        """Of all of them."""
        return hash(frozenset(self.items()))


class StartFrom(Section):
    """Start from parameters of another run, or of a file that `fgspec export` wrote. Give one."""

    on_resume: ClassVar = Resume.FIXED
    shown: ClassVar[tuple[str, ...]] = ("run",)
    run: str | None = Field(
        default=None,
        description="The folder of a run, relative to the current directory. null: give `file` "
        "instead.",
        examples=["runs/quickstart/20261129T055740-5da40003"],
    )
    file: str | None = Field(
        default=None,
        description="A file or folder that `fgspec export` wrote, relative to the current "
        "directory. null: give `run` instead.",
        examples=["parameters.npz"],
    )
    step: Annotated[
        Literal["newest", "best"] | PositiveInt,
        Unit("updates"),
        Values(
            {
                "newest": "The last checkpoint.",
                "best": "The best checkpoint by the metric that the objective is judged by, among "
                "those that were evaluated.",
            }
        ),
    ] = Field(
        default="newest",
        description="Which checkpoint of the run: one of these, or the number of updates done.",
        examples=[1320],
    )
    only: tuple[PartName, ...] = Field(
        default=(),
        description="The parts that are read, such as `blocks.0` or `classifier`; all others are "
        "drawn as usual. Empty: all parts, and there must be no others.",
        examples=[["blocks"]],
    )
    rename: Annotated[dict[PartName, PartName], AfterValidator(Renamed)] = Field(
        default={},
        description="What parts are called there, and what they are called here: `{blocks.3: "
        "blocks.0}` reads the fourth block into the first.",
        examples=[{"blocks.3": "blocks.0"}],
    )
