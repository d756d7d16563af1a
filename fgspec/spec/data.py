"""The data section: which images and labels, and how they come in batches."""

from typing import Annotated, ClassVar

from pydantic import Field

from fgspec.spec.augmentations import AUGMENTATIONS, Augmentation, NoAugment
from fgspec.spec.base import PositiveInt, Resume, Section, Seed
from fgspec.spec.kinds import OneOf
from fgspec.spec.sources import SOURCES, Digits, Source


class Data(Section):
    """The images and labels of an experiment, and how they are batched and changed."""

    on_resume: ClassVar = Resume.FORKS
    source: Annotated[Source, OneOf(SOURCES)] = Field(
        default=Digits(), description="Where images and labels come from."
    )
    batch_size: PositiveInt = Field(
        default=128,
        description="Training examples in one update; the last, partial batch of an epoch is "
        "dropped.",
    )
    evaluation_batch_size: PositiveInt = Field(
        default=500,
        description="Test examples in one evaluation batch; evaluation is one pass over the test "
        "set, and its last batch may be smaller.",
    )
    # The only seed of its own: data order is a nuisance that ablations vary alone; all else is
    # addressed by name, so that arms stay comparable under one seed. Null in a resolved spec too,
    # so that `--set seed=1` of one changes everything.
    seed: Seed | None = Field(
        default=None,
        description="Of the order of training examples alone; augmentation, initial weights and "
        "perturbations keep that of the experiment. null: that one too.",
    )
    augment: Annotated[Augmentation, OneOf(AUGMENTATIONS)] = Field(
        default=NoAugment(),
        description="Random change of training images, never of test images: none, crop_flip or "
        "byol. The name alone stands for {type: name}.",
    )
    standardize: bool = Field(
        default=True,
        description="Whether each colour channel is shifted and scaled to the training images' "
        "mean 0 and standard deviation 1; otherwise pixels lie in [0, 1].",
    )
