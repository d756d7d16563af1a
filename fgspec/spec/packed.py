"""`packed`: the folder of ArrayRecord files that `fgspec data pack` writes."""

from typing import Annotated, ClassVar, Literal

from pydantic import Field

from fgspec.spec.base import Resume, Values
from fgspec.spec.dataset_info import LabelKind
from fgspec.spec.sources import Source


class Packed(Source):
    """Images in ArrayRecord files, as `fgspec data pack` writes them from any other source.

    Each image is a record of its pixels, read when a batch needs it. Counts, classes, mean and
    standard deviation are those of the source that was packed.
    """

    behaviour: ClassVar[str | None] = "fgspec.data.packed:Packed"
    decoded: ClassVar[bool] = True

    type: Literal["packed"] = Field(
        default="packed", description="ArrayRecord files that `fgspec data pack` wrote."
    )
    path: Annotated[str, Resume.MAY_CHANGE] = Field(
        description="The folder that `fgspec data pack` wrote. A relative path is looked for in "
        "the current directory, then in `$FGSPEC_DATA`.",
        examples=["data/digits-packed"],
    )
    labels: Annotated[
        LabelKind,
        Values(
            {
                "class": "A class.",
                "vector": "A vector of numbers.",
                "binary": "Several labels that are 0 or 1 each.",
            }
        ),
    ] = Field(
        default="class", description="What the label of an image is, as in the packed source."
    )
    verify: bool = Field(
        default=True,
        description="Whether the SHA-256 of every file is compared when the set is read, which "
        "reads all of it. false: the sizes of files are compared, and every record as it is read.",
        examples=[False],
    )

    def label_kind(self) -> LabelKind:
        """As the field `labels` says."""
        return self.labels
