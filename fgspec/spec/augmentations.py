"""`data.augment:` random changes of training images, one class each."""

from collections.abc import Callable, Iterator
from typing import Annotated, Any, ClassVar, Literal

from pydantic import Field

from fgspec.problems.problems import Problem
from fgspec.spec.base import NonNegativeInt, Resume, Unit
from fgspec.spec.dataset_info import DatasetInfo
from fgspec.spec.kinds import Kind, table
from fgspec.yaml.load import Path

AUGMENTATIONS = table("augmentation", "augmentations")

Draw = Callable[[str, tuple[int, ...]], Any]
"""(name of a choice, shape) -> uniform numbers in [0, 1), of that shape for every image."""


class Augmentation(Kind):
    """A random change of training images; test images are never changed.

    Attributes:
        changes: whether it changes any image.
    """

    table: ClassVar = AUGMENTATIONS
    on_resume: ClassVar = Resume.FORKS
    changes: ClassVar[bool] = True

    def apply(self, images: Any, draw: Draw, view: int) -> Any:
        """Changed images, [n, h, w, c] in [0, 1] as they came.

        Every random choice comes from `draw` under a name of its own, and an image's change
        depends on that image and its own draws alone; so neither the batch nor its split over
        devices matters.

        Args:
            images: JAX array [n, h, w, c], float32 in [0, 1].
            draw: gives the random numbers.
            view: of the example, 0 or 1.
        """
        raise self.lacks("apply")


class NoAugment(Augmentation):
    """Training images as they are."""

    behaviour: ClassVar[str | None] = "compiler.augment.recipes:NoAugment"
    changes: ClassVar[bool] = False
    type: Literal["none"] = Field(default="none", description="Training images as they are.")


class CropFlip(Augmentation):
    """A random crop after padding and a random flip: the recipe of Fournier et al. 2023."""

    behaviour: ClassVar[str | None] = "compiler.augment.recipes:CropFlip"
    type: Literal["crop_flip"] = Field(
        default="crop_flip", description="A crop after padding, and a flip."
    )
    padding: Annotated[NonNegativeInt, Unit("pixels")] = Field(
        default=4,
        description="Black pixels that are put on each side before a crop of the old size is cut.",
        examples=[2],
    )
    flip: bool = Field(
        default=True,
        description="Whether images are mirrored left to right, each with probability 1/2.",
        examples=[False],
    )


class Byol(Augmentation):
    """Crop, flip, colour jitter, greyscale, blur and solarization (BYOL, Grill et al. 2020).

    With probabilities and strengths as in that paper: the first view is always blurred, the second
    seldom blurred and sometimes solarized.
    """

    behaviour: ClassVar[str | None] = "compiler.augment.recipes:Byol"
    type: Literal["byol"] = Field(
        default="byol",
        description="Crop, flip, colour jitter, greyscale, blur, and in a second view "
        "solarization, at the chances of BYOL.",
    )
    crop_area: Annotated[float, Field(gt=0, le=1)] = Field(
        default=0.08,
        description="The smallest share of the image's area that a crop covers; the largest is 1.",
        examples=[0.5],
    )
    flip: bool = Field(
        default=True,
        description="Whether images are mirrored left to right, each with probability 1/2.",
        examples=[False],
    )

    def data_problems(self, at: Path, info: DatasetInfo) -> Iterator[Problem]:
        """Changes of colour know grey images, and red, green and blue."""
        colours = info.image_shape[-1]
        if colours not in (1, 3):
            message = f"byol changes images of 1 or 3 colours; those of {info.name} have {colours}"
            yield Problem(at, message, False)
