"""The data section: which images and labels, and how they come in batches."""

from typing import Annotated, ClassVar

from pydantic import Field

from fgspec.spec.augmentations import AUGMENTATIONS, Augmentation, NoAugment
from fgspec.spec.base import PositiveInt, Resume, Section, Seed, Unit
from fgspec.spec.kinds import OneOf
from fgspec.spec.sources import SOURCES, Digits, Source


class Validation(Section):
    """Training examples that are set aside as a validation set.

    No update sees them, and the best checkpoint or run is chosen by them. Which examples these are
    depends on `seed` here and the number of training examples alone, so all runs of a comparison
    set aside the same ones. Give `examples` or `fraction`, not both.
    """

    on_resume: ClassVar = Resume.FORKS
    shown: ClassVar[tuple[str, ...]] = ("fraction",)
    examples: Annotated[PositiveInt | None, Unit("examples")] = Field(
        default=None,
        description="How many training examples are set aside. null: give `fraction` instead.",
        examples=[200],
    )
    fraction: Annotated[float, Field(gt=0, lt=1)] | None = Field(
        default=None,
        description="Which share of the training examples is set aside, above 0 and below 1. null: "
        "give `examples` instead.",
        examples=[0.1],
    )
    seed: Seed = Field(
        default=0,
        description="Decides which examples are set aside. The seed of the experiment does not.",
        examples=[1],
    )

    def count(self, training: int) -> int:
        """How many of so many training examples are set aside; one at least."""
        if self.examples is not None:
            return self.examples
        assert self.fraction is not None
        return max(1, round(self.fraction * training))


class Data(Section):
    """The images and labels of an experiment, how they are batched, and how images are changed."""

    on_resume: ClassVar = Resume.FORKS
    source: Annotated[Source, OneOf(SOURCES)] = Field(
        default=Digits(),
        description="Where images and labels come from. The name alone stands for `{type: name}`.",
    )
    validation: Validation | None = Field(
        default=None,
        description="Training examples that are set aside as a validation set: their metrics are "
        "`valid/...` in the log, and the test set is read only once, at the end. null: there is no "
        "validation set, and runs are evaluated on the test set.",
    )
    batch_size: Annotated[PositiveInt, Unit("examples")] = Field(
        default=128,
        description="Training examples in one update, on all devices together. The last, partial "
        "batch of an epoch is dropped.",
        examples=[64],
    )
    evaluation_batch_size: Annotated[PositiveInt, Unit("examples")] = Field(
        default=500,
        description="Examples in one batch of an evaluation. It changes speed and memory only: an "
        "evaluation is one pass over all examples of the set, and its last batch may be smaller.",
        examples=[1000],
    )
    # The only seed of its own: data order is a nuisance that ablations vary alone; all else is
    # addressed by name, so that arms stay comparable under one seed. Null in a resolved spec too,
    # so that `--set seed=1` of one changes everything.
    seed: Seed | None = Field(
        default=None,
        description="A seed for the order of training examples alone. Initial weights, "
        "augmentations and perturbations keep the experiment's `seed`. null: so does the order.",
        examples=[3],
    )
    augment: Annotated[Augmentation, OneOf(AUGMENTATIONS)] = Field(
        default=NoAugment(),
        description="Random changes of training images; test images are never changed. The name "
        "alone stands for `{type: name}`.",
    )
    standardize: bool = Field(
        default=True,
        description="Whether each colour channel is shifted and scaled so that the training images "
        "have mean 0 and standard deviation 1. false: pixels stay between 0 and 1.",
        examples=[False],
    )
