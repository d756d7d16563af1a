"""The data section: which images and labels, and how they come in batches."""

from typing import Annotated, ClassVar

from pydantic import Field

from fgspec.spec.augmentations import AUGMENTATIONS, Augmentation, NoAugment
from fgspec.spec.base import PositiveInt, Resume, Section, Seed
from fgspec.spec.kinds import OneOf
from fgspec.spec.sources import SOURCES, Digits, Source


class Validation(Section):
    """Training examples that are set aside: no update sees them, and runs are selected by them.

    Which these are follows from the seed here and the number of training examples alone, so that
    all arms of a comparison set aside the same, on any mesh.
    """

    on_resume: ClassVar = Resume.FORKS
    examples: PositiveInt | None = Field(
        default=None, description="How many training examples; give this or fraction."
    )
    fraction: Annotated[float, Field(gt=0, lt=1)] | None = Field(
        default=None, description="Which part of the training examples, above 0 and below 1."
    )
    seed: Seed = Field(
        default=0,
        description="Of which examples these are; that of the experiment changes none of them.",
    )

    def count(self, training: int) -> int:
        """How many of so many training examples are set aside; one at least."""
        if self.examples is not None:
            return self.examples
        assert self.fraction is not None
        return max(1, round(self.fraction * training))


class Data(Section):
    """The images and labels of an experiment, and how they are batched and changed."""

    on_resume: ClassVar = Resume.FORKS
    source: Annotated[Source, OneOf(SOURCES)] = Field(
        default=Digits(), description="Where images and labels come from."
    )
    validation: Validation | None = Field(
        default=None,
        description="Training examples that are set aside to select by: valid/* in the log, while "
        "the test set is read once, at the end. null: runs are evaluated on the test set.",
    )
    batch_size: PositiveInt = Field(
        default=128,
        description="Training examples in one update; the last, partial batch of an epoch is "
        "dropped.",
    )
    evaluation_batch_size: PositiveInt = Field(
        default=500,
        description="Examples in one evaluation batch; evaluation is one pass over the validation "
        "set or the test set, and its last batch may be smaller.",
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
