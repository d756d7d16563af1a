"""`data.source:` where images and labels come from, one class each; files are read elsewhere."""

from collections.abc import Iterator, Sequence
from pathlib import Path as File
from typing import TYPE_CHECKING, Annotated, Any, ClassVar, Literal, Self

from pydantic import Field

from fgspec.problems.problems import Problem
from fgspec.spec.base import PositiveInt, Resume, Unit, Values
from fgspec.spec.dataset_info import DatasetInfo, LabelKind
from fgspec.spec.kinds import Kind, table
from fgspec.yaml.load import Path

SOURCES = table("source", "sources")

Search = Sequence[File] | None
"""Folders in which a relative path is looked for; None: the current one, then $FGSPEC_DATA."""

DIGITS = DatasetInfo("digits", (8, 8, 1), 10, 1437, 360, (0.3054,), (0.3760,))
MNIST = DatasetInfo("mnist", (28, 28, 1), 10, 60_000, 10_000, (0.1307,), (0.3081,))
# The deviations are those in common use; they average each image's own deviation. Over all pixels
# at once the training images have (0.2470, 0.2435, 0.2616).
CIFAR10 = DatasetInfo(
    "cifar10",
    (32, 32, 3),
    10,
    50_000,
    10_000,
    (0.4914, 0.4822, 0.4465),
    (0.2023, 0.1994, 0.2010),
)
# The constants that published models are trained with; like those of CIFAR10, and of a part of the
# training images only (github.com/pytorch/vision/pull/1965). Over all pixels the deviations are
# (0.28, 0.27, 0.29).
IMAGENET = DatasetInfo(
    "imagenet",
    (224, 224, 3),
    1000,
    1_281_167,
    50_000,
    (0.485, 0.456, 0.406),
    (0.229, 0.224, 0.225),
)


class Source(Kind):
    """Where images and labels come from.

    Attributes:
        decoded: whether images are decoded for each batch. If so they are never held whole, neither
            in memory nor on a device.
        resizes: whether a picture of any size is made one of its images: the central square of
            its colours, resized.
        licence: under which the data may be used, in one line; empty for a user's own data.
        citation: whom to cite; empty for a user's own data.
        homepage: the page that describes the data; empty if there is none.
        title: the name of published data for people; empty for a user's own data.
    """

    table: ClassVar = SOURCES
    on_resume: ClassVar = Resume.FORKS  # but for a path: what is read there is compared
    decoded: ClassVar[bool] = False
    resizes: ClassVar[bool] = False
    licence: ClassVar[str] = ""
    citation: ClassVar[str] = ""
    homepage: ClassVar[str] = ""
    title: ClassVar[str] = ""

    def describe(self, search: Search = None) -> DatasetInfo:
        """Shapes, counts and pixel statistics, as far as possible without reading any file.

        Raises:
            DataError: the files are missing or not what they should be.
            UserError: the source needs a package that is not installed.
        """
        raise self.lacks("describe")

    def given_moments(self) -> tuple[tuple[float, ...], tuple[float, ...]] | None:
        """Mean and deviation per channel that its fields state; None where they are not stated."""
        return None

    def label_kind(self) -> LabelKind:
        """What the label of an image is; the same as `describe` says, but no file is read."""
        return "class"

    def read(self, search: Search = None) -> Any:
        """The images and labels, a `fgspec.data.dataset.Dataset`.

        All labels are in memory, and all images unless they are `decoded` for each batch.

        Raises:
            DataError: a file is missing, damaged or not what the source says it is.
            UserError: the source needs a package that is not installed.
        """
        raise self.lacks("read")

    @classmethod
    def recognizes(cls, place: File) -> bool:
        """Whether a folder, or an archive, holds the files of this published set.

        It says what there is where the files of another set are looked for, and is asked only once
        they are missing or wrong. No error is raised, and little is read.
        """
        return False

    @classmethod
    def example(cls, folder: File) -> Self:
        """A source with little data, for tests; one that reads files writes them into `folder`."""
        return cls()


class Digits(Source):
    """scikit-learn's 1,797 handwritten digits, 8x8 grey pixels; installed with fgspec."""

    behaviour: ClassVar[str | None] = "fgspec.data.digits:Digits"
    licence: ClassVar[str] = "CC BY 4.0"
    citation: ClassVar[str] = (
        "Alpaydin and Kaynak (1998), Optical Recognition of Handwritten Digits, UCI Machine "
        "Learning Repository"
    )
    homepage: ClassVar[str] = (
        "https://archive.ics.uci.edu/dataset/80/optical+recognition+of+handwritten+digits"
    )

    type: Literal["digits"] = Field(default="digits", description="The 8x8 digits of scikit-learn.")

    def describe(self, search: Search = None) -> DatasetInfo:
        """No file is read."""
        return DIGITS


MaybePath = Annotated[str | None, Resume.MAY_CHANGE]
"""The place of published files. Another one changes no number: what is read there is compared."""


def published_path(name: str, what: str) -> Any:
    """The field `path` of a published set.

    Args:
        name: of its folder among the usual ones.
        what: it names, as a sentence.
    """
    return Field(
        default=None,
        description=f"{what} A relative path is looked for in the current directory, then in "
        f"`$FGSPEC_DATA`. null: `$FGSPEC_DATA/{name}`, then `~/.cache/fgspec/{name}`.",
        examples=[f"data/{name}"],
    )


def verified(how: str) -> Any:
    """The field `verify` of a published set; `how` says by what its files are known."""
    return Field(
        default=True,
        description=f"Whether the files must be the published ones, by {how}. false: counts, mean "
        "and standard deviation are measured on the files there are.",
        examples=[False],
    )


class Published(Source):
    """Files that others have published, whose counts and digests are known.

    Attributes:
        published: what they hold.
    """

    published: ClassVar[DatasetInfo]

    # Not a field here: fields of a base come first, and specs are printed in the order of fields.
    if TYPE_CHECKING:
        path: Any
        verify: Any

    def describe(self, search: Search = None) -> DatasetInfo:
        """The published files, which `verify: true` enforces; no file is read.

        With `verify: false` it is what the files hold: another set in files of the same names has
        other counts, and would be standardized by a mean and a deviation that are not its own.
        """
        known = self.as_published() if self.verify else None
        return self.measured(search) if known is None else known

    def as_published(self) -> DatasetInfo | None:
        """What the published files hold of what the fields ask for.

        None if nobody has published its mean and deviation: then all of it is read.
        """
        return self.published

    def measured(self, search: Search = None) -> DatasetInfo:
        """What the files hold, whatever they are; raises what `read` raises."""
        raise self.lacks("measured")


class Mnist(Published):
    """MNIST, 28x28 grey digits, from its four published IDX files, gzipped or not."""

    behaviour: ClassVar[str | None] = "fgspec.data.mnist:Mnist"
    published: ClassVar[DatasetInfo] = MNIST
    title: ClassVar[str] = "MNIST"
    licence: ClassVar[str] = "none stated by its authors"
    citation: ClassVar[str] = (
        "LeCun, Bottou, Bengio and Haffner (1998), Gradient-based learning applied to document "
        "recognition, Proceedings of the IEEE 86(11)"
    )
    homepage: ClassVar[str] = "http://yann.lecun.com/exdb/mnist"

    type: Literal["mnist"] = Field(default="mnist", description="MNIST, 28x28 grey digits.")
    path: Annotated[str | None, Resume.MAY_CHANGE] = Field(
        default=None,
        description="The folder that holds the four IDX files. A relative path is looked for in "
        "the current directory, then in `$FGSPEC_DATA`. null: `$FGSPEC_DATA/mnist`, then "
        "`~/.cache/fgspec/mnist`.",
        examples=["data/mnist"],
    )
    verify: bool = Field(
        default=True,
        description="Whether the files must be the published ones, by MD5 digest and number of "
        "examples. false: counts, mean and standard deviation are measured on the files there are.",
        examples=[False],
    )


class Cifar10(Published):
    """CIFAR-10, 32x32 colour photographs: the python or binary version, archived or unpacked."""

    behaviour: ClassVar[str | None] = "fgspec.data.cifar10:Cifar10"
    published: ClassVar[DatasetInfo] = CIFAR10
    title: ClassVar[str] = "CIFAR-10"
    licence: ClassVar[str] = "none stated by its authors, who ask to be cited"
    citation: ClassVar[str] = (
        "Krizhevsky (2009), Learning multiple layers of features from tiny images, University of "
        "Toronto"
    )
    homepage: ClassVar[str] = "https://www.cs.toronto.edu/~kriz/cifar.html"

    type: Literal["cifar10"] = Field(
        default="cifar10", description="CIFAR-10, 32x32 colour photographs."
    )
    path: Annotated[str | None, Resume.MAY_CHANGE] = Field(
        default=None,
        description="The archive, the unpacked folder, or a folder that holds one of them. A "
        "relative path is looked for in the current directory, then in `$FGSPEC_DATA`. null: "
        "`$FGSPEC_DATA/cifar10`, then `~/.cache/fgspec/cifar10`.",
        examples=["data/cifar10"],
    )
    verify: bool = Field(
        default=True,
        description="Whether the files must be the published ones, by MD5 digest and number of "
        "examples. false: counts, mean and standard deviation are measured on the files there are.",
        examples=[False],
    )


_Share = Annotated[float, Field(ge=0, le=1)]
_PositiveShare = Annotated[float, Field(gt=0, le=1)]


class ImageFolder(Source):
    """Your own image files, in a folder for each class: `PATH/train/CLASS/*.jpg`.

    Classes are the names of the folders, sorted. Images are decoded when a batch needs them: the
    central square, resized to `size`, in red, green and blue. Rotation by EXIF is not applied and
    transparency is dropped.
    """

    behaviour: ClassVar[str | None] = "fgspec.data.image_folder:ImageFolder"
    decoded: ClassVar[bool] = True
    resizes: ClassVar[bool] = True

    type: Literal["image_folder"] = Field(
        default="image_folder", description="Image files, a folder for each class."
    )
    path: Annotated[str, Resume.MAY_CHANGE] = Field(
        description="The folder that holds the folders `train` and `test` name. A relative path is "
        "looked for in the current directory, then in `$FGSPEC_DATA`.",
        examples=["data/flowers"],
    )
    train: str = Field(
        default="train",
        description="The folder, below `path`, that holds the training images' class folders.",
        examples=["training"],
    )
    test: str = Field(
        default="val",
        description="The folder, below `path`, that holds the test images' class folders.",
        examples=["test"],
    )
    size: Annotated[PositiveInt, Unit("pixels")] = Field(
        default=224,
        description="Height and width of the images: what central squares are resized to.",
        examples=[64],
    )
    mean: tuple[_Share, _Share, _Share] | None = Field(
        default=None,
        strict=False,
        description="Means of red, green and blue, between 0 and 1, which `data.standardize` "
        "subtracts. Give `std` with it. null: measured on up to 1,024 training images, evenly "
        "spread, the same in every run.",
        examples=[[0.49, 0.48, 0.45]],
    )
    std: tuple[_PositiveShare, _PositiveShare, _PositiveShare] | None = Field(
        default=None,
        strict=False,
        description="Standard deviations of red, green and blue, above 0 and at most 1, which "
        "`data.standardize` divides by. Give `mean` with it. null: measured like `mean`.",
        examples=[[0.22, 0.22, 0.22]],
    )

    def given_moments(self) -> tuple[tuple[float, ...], tuple[float, ...]] | None:
        """The fields, where both are given."""
        return None if self.mean is None or self.std is None else (self.mean, self.std)

    def problems(self, at: Path, data: Any) -> Iterator[Problem]:
        """Two folders; mean and standard deviation come together, for standardized images."""
        given = [name for name in ("mean", "std") if getattr(self, name) is not None]
        if self.test == self.train:
            message = "must be another folder than that of the training images"
            yield Problem((*at, "test"), message, others=((*at, "train"),))
        if len(given) == 1:
            message = "give both mean and std, or neither to have them measured"
            yield Problem((*at, given[0]), message)
        elif given and not data.standardize:
            message = "never read: images are not standardized; remove it"
            standardize: Path = ("data", "standardize")
            yield from (Problem((*at, n), message, others=(standardize,)) for n in given)


class ImageNet(Published):
    """ImageNet (ILSVRC 2012), 224x224 pixels, in a folder for each class, like `image_folder`.

    The validation images are published in one folder; sort them into class folders first. They
    serve as the test set.
    """

    behaviour: ClassVar[str | None] = "fgspec.data.imagenet:ImageNet"
    published: ClassVar[DatasetInfo] = IMAGENET
    title: ClassVar[str] = "ImageNet"
    decoded: ClassVar[bool] = True
    resizes: ClassVar[bool] = True
    licence: ClassVar[str] = "non-commercial research and education, by its terms of access"
    citation: ClassVar[str] = (
        "Russakovsky et al. (2015), ImageNet Large Scale Visual Recognition Challenge, "
        "International Journal of Computer Vision 115(3)"
    )
    homepage: ClassVar[str] = "https://image-net.org"

    type: Literal["imagenet"] = Field(
        default="imagenet", description="ImageNet of 2012, 224x224 colour photographs."
    )
    path: Annotated[str | None, Resume.MAY_CHANGE] = Field(
        default=None,
        description="The folder that holds `train/` and `val/`. A relative path is looked for in "
        "the current directory, then in `$FGSPEC_DATA`. null: `$FGSPEC_DATA/imagenet`, then "
        "`~/.cache/fgspec/imagenet`.",
        examples=["data/imagenet"],
    )
    verify: bool = Field(
        default=True,
        description="Whether the numbers of classes and examples must be the published ones. "
        "false: counts, mean and standard deviation are measured on the files there are.",
        examples=[False],
    )


class Npz(Source):
    """Your own arrays in a NumPy archive (`numpy.savez`): images and labels, to train and to test.

    Images have the shape [N, height, width] or [N, height, width, colours]: `uint8` from 0 to 255,
    or `float32` from 0 to 1. Labels are N whole numbers, classes counted from 0, unless `labels`
    says otherwise.
    """

    behaviour: ClassVar[str | None] = "fgspec.data.npz:Npz"

    type: Literal["npz"] = Field(default="npz", description="Arrays in a NumPy .npz archive.")
    path: Annotated[str, Resume.MAY_CHANGE] = Field(
        description="The archive, a `.npz` file. A relative path is looked for in the current "
        "directory, then in `$FGSPEC_DATA`.",
        examples=["data/mine.npz"],
    )
    train_images: str = Field(
        default="train_images",
        description="Name of the array that holds the training images.",
        examples=["x_train"],
    )
    train_labels: str = Field(
        default="train_labels",
        description="Name of the array that holds the training labels.",
        examples=["y_train"],
    )
    test_images: str = Field(
        default="test_images",
        description="Name of the array that holds the test images.",
        examples=["x_test"],
    )
    test_labels: str = Field(
        default="test_labels",
        description="Name of the array that holds the test labels.",
        examples=["y_test"],
    )
    labels: Annotated[
        LabelKind,
        Values(
            {
                "class": "A class: a whole number from 0, [N].",
                "vector": "A vector of k numbers, [N, k], for regression; [N] is read as [N, 1].",
                "binary": "k labels that are 0 or 1 each, [N, k]: an image may have several.",
            }
        ),
    ] = Field(default="class", description="What the label of an image is.")

    def label_kind(self) -> LabelKind:
        """As the field `labels` says."""
        return self.labels


class Synthetic(Source):
    """Made-up images: noise around one random template for each class. For benchmarks only."""

    behaviour: ClassVar[str | None] = "fgspec.data.synthetic:Synthetic"

    type: Literal["synthetic"] = Field(
        default="synthetic", description="Made-up images, for benchmarks only."
    )
    # YAML and JSON know lists and no tuples; the sizes within stay strict.
    image: tuple[PositiveInt, PositiveInt, PositiveInt] = Field(
        default=(32, 32, 3),
        strict=False,
        description="Height and width of the images in pixels, and number of colour channels.",
        examples=[[8, 8, 1]],
    )
    classes: Annotated[int, Field(ge=2)] = Field(
        default=10, description="Number of classes.", examples=[100]
    )
    train_examples: Annotated[PositiveInt, Unit("examples")] = Field(
        default=4096, description="Number of training images.", examples=[512]
    )
    test_examples: Annotated[PositiveInt, Unit("examples")] = Field(
        default=1024, description="Number of test images.", examples=[128]
    )

    def describe(self, search: Search = None) -> DatasetInfo:
        """Mean and deviation are those of the distribution that pixels are drawn from."""
        channels = self.image[-1]
        return DatasetInfo(
            name="synthetic",
            image_shape=self.image,
            classes=self.classes,
            train_examples=self.train_examples,
            test_examples=self.test_examples,
            # Of the sum of two uniform integers, 0 to 127 and 0 to 128, divided by 255.
            mean=(0.5,) * channels,
            std=(0.2057,) * channels,
        )

    @classmethod
    def example(cls, folder: File) -> Self:
        """Three classes of small images."""
        return cls(image=(6, 5, 2), classes=3, train_examples=300, test_examples=30)
