"""The data section: which images and labels, and how they come in batches."""

from typing import Annotated, ClassVar, Literal

from pydantic import Field

from fgspec.spec.base import NonNegativeInt, PositiveInt, Section, Seed
from fgspec.spec.kinds import Kind, OneOf, table

SOURCES = table("source", "sources")
AUGMENTATIONS = table("augmentation", "augmentations")


class Source(Kind):
    """Where images and labels come from."""

    table: ClassVar = SOURCES
    decoded: ClassVar[bool] = False


class Augmentation(Kind):
    """A random change of training images."""

    table: ClassVar = AUGMENTATIONS
    changes: ClassVar[bool] = True


class Digits(Source):
    """scikit-learn's 1,797 handwritten digits, 8x8 pixels; always there, nothing to download."""

    type: Literal["digits"] = Field(default="digits", description="scikit-learn's 8x8 digits.")


class Mnist(Source):
    """MNIST in its four published IDX files, gzipped or not."""

    type: Literal["mnist"] = Field(default="mnist", description="MNIST, 28x28 grey digits.")
    path: str | None = Field(
        default=None,
        description="Folder that holds the four IDX files; a relative one is looked for in the "
        "current directory, then in $FGSPEC_DATA. null: $FGSPEC_DATA/mnist, then "
        "~/.cache/fgspec/mnist.",
    )
    verify: bool = Field(
        default=True,
        description="Whether md5 and example counts must be those of the published files.",
    )


class Cifar10(Source):
    """CIFAR-10 as published: the python or the binary version, as archive or unpacked."""

    type: Literal["cifar10"] = Field(
        default="cifar10", description="CIFAR-10, 32x32 colour photographs."
    )
    path: str | None = Field(
        default=None,
        description="The archive, the unpacked folder, or the folder that holds one of them; a "
        "relative path is looked for in the current directory, then in $FGSPEC_DATA. null: "
        "$FGSPEC_DATA/cifar10, then ~/.cache/fgspec/cifar10.",
    )
    verify: bool = Field(
        default=True,
        description="Whether md5 and example counts must be those of the published files.",
    )


_Share = Annotated[float, Field(ge=0, le=1)]
_PositiveShare = Annotated[float, Field(gt=0, le=1)]


class ImageFolder(Source):
    """Image files of one's own, a folder for each class: PATH/train/CLASS/*.jpg.

    Classes are the sorted names of folders. Images are decoded when a batch needs them: their
    central square, resized, RGB. Turns that EXIF asks for are not made; alpha is dropped.
    """

    decoded: ClassVar[bool] = True
    type: Literal["image_folder"] = Field(
        default="image_folder", description="Image files, a folder for each class."
    )
    path: str = Field(
        description="The folder that holds the two below; a relative path is looked for in the "
        "current directory, then in $FGSPEC_DATA."
    )
    train: str = Field(default="train", description="Folder of the training images' classes.")
    test: str = Field(default="val", description="Folder of the test images' classes.")
    size: PositiveInt = Field(
        default=224, description="Height and width (pixels) to which central squares are resized."
    )
    mean: tuple[_Share, _Share, _Share] | None = Field(
        default=None,
        strict=False,
        description="Of red, green and blue, in [0, 1], for standardize; null: measured on up to "
        "1,024 training images, evenly spread over all, the same in every run.",
    )
    std: tuple[_PositiveShare, _PositiveShare, _PositiveShare] | None = Field(
        default=None, strict=False, description="Like mean, the standard deviations."
    )


class ImageNet(Source):
    """ImageNet (ILSVRC 2012), unpacked into a folder for each class, as image_folder, 224 pixels.

    The validation images, published in one folder, must be sorted into those of their classes.
    """

    decoded: ClassVar[bool] = True
    type: Literal["imagenet"] = Field(
        default="imagenet", description="ImageNet of 2012, 224x224 colour photographs."
    )
    path: str | None = Field(
        default=None,
        description="Folder that holds train/ and val/; a relative one is looked for in the "
        "current directory, then in $FGSPEC_DATA. null: $FGSPEC_DATA/imagenet, then "
        "~/.cache/fgspec/imagenet.",
    )
    verify: bool = Field(
        default=True,
        description="Whether classes and example counts must be those of the published files.",
    )


class Npz(Source):
    """Arrays of one's own in a NumPy archive.

    Images are [N, H, W] or [N, H, W, C], uint8 or float32 in [0, 1]; labels are integers [N].
    """

    type: Literal["npz"] = Field(default="npz", description="Arrays in a NumPy .npz archive.")
    path: str = Field(
        description="The archive; a relative path is looked for in the current directory, then "
        "in $FGSPEC_DATA."
    )
    train_images: str = Field(
        default="train_images", description="Name in the archive of the training images."
    )
    train_labels: str = Field(
        default="train_labels", description="Name in the archive of the training labels."
    )
    test_images: str = Field(
        default="test_images", description="Name in the archive of the test images."
    )
    test_labels: str = Field(
        default="test_labels", description="Name in the archive of the test labels."
    )


class Synthetic(Source):
    """Random images around one random template a class; for benchmarks only."""

    type: Literal["synthetic"] = Field(
        default="synthetic", description="Made-up images, for benchmarks only."
    )
    # YAML and JSON know lists and no tuples; the sizes within stay strict.
    image: tuple[PositiveInt, PositiveInt, PositiveInt] = Field(
        default=(32, 32, 3), strict=False, description="Height, width (pixels) and colour channels."
    )
    classes: Annotated[int, Field(ge=2)] = Field(default=10, description="Number of classes.")
    train_examples: PositiveInt = Field(default=4096, description="Number of training images.")
    test_examples: PositiveInt = Field(default=1024, description="Number of test images.")


class NoAugment(Augmentation):
    """Training images as they are."""

    changes: ClassVar[bool] = False
    type: Literal["none"] = Field(default="none", description="Training images as they are.")


class CropFlip(Augmentation):
    """A crop after padding and a flip (the CIFAR-10 recipe of Fournier et al. 2023)."""

    type: Literal["crop_flip"] = Field(
        default="crop_flip", description="A crop after padding, and a flip."
    )
    padding: NonNegativeInt = Field(
        default=4, description="Black pixels put on each side before cropping to the old size."
    )
    flip: bool = Field(
        default=True, description="Whether half of the images are mirrored left to right."
    )


class Byol(Augmentation):
    """Crop, flip, colour jitter, greyscale, blur and solarization (Grill et al. 2020)."""

    type: Literal["byol"] = Field(
        default="byol",
        description="Crop, flip, colour jitter, greyscale, blur, and in a second view "
        "solarization, at the chances of BYOL.",
    )
    crop_area: Annotated[float, Field(gt=0, le=1)] = Field(
        default=0.08,
        description="Smallest share of the image that a crop covers; the largest is 1.",
    )
    flip: bool = Field(
        default=True, description="Whether half of the images are mirrored left to right."
    )


class Data(Section):
    """The images and labels of an experiment, and how they are batched and changed."""

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
