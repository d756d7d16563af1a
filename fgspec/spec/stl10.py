"""`data.source: stl10`."""

from collections.abc import Iterator
from typing import Any, ClassVar, Literal

from pydantic import Field

from fgspec.problems.problems import Problem
from fgspec.spec.dataset_info import DatasetInfo
from fgspec.spec.sources import MaybePath, Published, published_path, verified
from fgspec.yaml.load import Path

# The mean and the deviation in common use; of the labelled training images.
STL10 = DatasetInfo(
    "stl10",
    (96, 96, 3),
    10,
    5_000,
    8_000,
    (0.4467, 0.4398, 0.4066),
    (0.2603, 0.2566, 0.2713),
)
UNLABELLED_EXAMPLES = 100_000


class Stl10(Published):
    """STL-10, 96x96 colour photographs: the binary version, archived or unpacked.

    Beside 5,000 labelled training images it has 100,000 without a label, for objectives that read
    none, such as a contrastive loss. The classifier then learns from the labelled ones alone.
    """

    behaviour: ClassVar[str | None] = "fgspec.data.stl10:Stl10"
    published: ClassVar[DatasetInfo] = STL10
    title: ClassVar[str] = "STL-10"
    licence: ClassVar[str] = "none stated by its authors; the images are of ImageNet"
    citation: ClassVar[str] = (
        "Coates, Lee and Ng (2011), An analysis of single-layer networks in unsupervised feature "
        "learning, AISTATS"
    )
    homepage: ClassVar[str] = "https://cs.stanford.edu/~acoates/stl10/"

    type: Literal["stl10"] = Field(
        default="stl10", description="STL-10, 96x96 colour photographs, most without a label."
    )
    path: MaybePath = published_path(
        "stl10",
        "The archive `stl10_binary.tar.gz`, the folder `stl10_binary` that it unpacks to, or a "
        "folder that holds one of them.",
    )
    with_unlabelled: bool = Field(
        default=False,
        description="Whether the 100,000 images without a label join the training images. Only "
        "objectives that read no labels train on them. Mean and standard deviation are measured "
        "then, as they were not published.",
        examples=[True],
    )
    verify: bool = verified("MD5 digest and number of examples")

    def problems(self, at: Path, losses: Any) -> Iterator[Problem]:
        """Who trains on images without a label is known before any file is read."""
        for objective_at, objective in losses.placed() if self.with_unlabelled else ():
            if objective.needs_labels:
                message = (
                    f"{objective} reads the label of every training example, and "
                    f"{UNLABELLED_EXAMPLES:,} of these have none; remove it, or use another "
                    "objective, such as info_nce"
                )
                other: Path = (*objective_at, "type")
                yield Problem((*at, "with_unlabelled"), message, others=(other,))

    def as_published(self) -> DatasetInfo | None:
        """Nobody published the mean of the images without a label."""
        return None if self.with_unlabelled else STL10
