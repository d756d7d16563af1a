"""Architectures: the networks whose blocks are trained; one class each."""

import math
from collections.abc import Iterator
from itertools import accumulate
from operator import floordiv, mul
from typing import TYPE_CHECKING, Annotated, Any, ClassVar, Literal, NamedTuple, Self

from pydantic import Field

from fgspec.errors import UserError
from fgspec.problems.problems import Problem
from fgspec.spec.activations import AnyActivation, Relu
from fgspec.spec.base import PositiveFloat, PositiveInt, Resume, Section, Unit, Values
from fgspec.spec.coupling import Coupling
from fgspec.spec.dataset_info import DatasetInfo
from fgspec.spec.initializations import AnyInitialization, Kaiming, KaimingUniform
from fgspec.spec.kinds import Kind, table
from fgspec.spec.layers import (
    ChainLayer,
    ConvLayer,
    DenseLayer,
    DepthwiseLayer,
    FullLayer,
    Layer,
)
from fgspec.spec.losses import Local, LossAxis, Losses
from fgspec.spec.normalizations import (
    GridNormalization,
    LayerNorm,
    NoNormalization,
    NormPlace,
    TokenNormalization,
)
from fgspec.spec.shapes import INPUT, Axis, Extent, Misfit, divisors, flat, slid
from fgspec.yaml.load import Path

INITIALIZATION = "How initial weights and biases are drawn."
ACTIVATION = "The activation in the blocks, and in the hidden layers of heads."

ARCHITECTURES = table("architecture", "architectures")


class Architecture(Kind):
    """The network: what it is made of, and what the rest of a spec needs to know of it.

    A class needs `network` and `loss_axes`; for all else the defaults are those of a network of
    which nothing is known before the data is.

    Attributes:
        loss_axes: the axes that a local loss can be replicated over: those that the features after
            a block have.
        trains_blocks: whether its blocks have parameters. If not, only readouts learn.
    """

    table: ClassVar = ARCHITECTURES
    on_resume: ClassVar = Resume.FIXED
    loss_axes: ClassVar[tuple[LossAxis, ...]] = ()
    trains_blocks: ClassVar[bool] = True

    def holding(self, module: Any) -> "Architecture":
        """The same with a module in hand as its network.

        Raises:
            UserError: it has a network of its own.
        """
        raise UserError(
            f"network=: architecture.type: {self} has a network of its own; use architecture: "
            "{type: flax}, or leave network= out"
        )

    def code(self, image: tuple[int, int, int]) -> str | None:
        """A digest of what the network computes, where no field of the spec says what that is.

        Args:
            image: height and width in pixels, and colours.
        """
        return None

    def network(self, image: tuple[int, int, int], outputs: int) -> Any:
        """The network, a `compiler.network.network.Network`.

        Args:
            image: height and width in pixels, and colours.
            outputs: of the classifier.
        """
        raise self.lacks("network")

    @classmethod
    def example(cls) -> Self:
        """A tiny network that has all parts of larger ones, on which laws are tested."""
        return cls()

    def block_count(self) -> tuple[int, Path] | None:
        """How many blocks there are and the field that says so; None if the data decides."""
        return None

    def deepened(self, blocks: int) -> Self | None:
        """The network with so many blocks, those in the middle equal; None if it cannot have them.

        The law of architectures compares equal blocks that are scanned with unrolled ones. So it
        has no normalization that couples examples, whose statistics keep blocks from being scanned.
        """
        return None

    def coupling(self) -> Coupling | None:
        """What makes an example's features depend on other examples of the batch, if anything."""
        return None

    def head_coupling(self, local: Local) -> Coupling | None:
        """What in the heads of local losses makes examples depend on each other, if anything."""
        return self.coupling()

    def single_values(
        self, image: tuple[int, int, int], losses: Losses, batch: int
    ) -> Iterator[Problem]:
        """Normalizations that have a single value to normalize, which they make 0.

        Args:
            image: height and width in pixels, and colours; it fits.
            losses: whose heads are normalized too.
            batch: examples.
        """
        yield from ()

    def ignored_norm(self) -> Path | None:
        """The field that says that estimates at activations are pulled back past normalizations.

        None if they are pulled back through them, which is exact.
        """
        return None

    def nonlinear(self) -> Path | None:
        """The field of a trained layer whose map is not linear in its input; None if all are."""
        return None

    def axis_sizes(self, axis: Axis) -> Iterator[tuple[Path, int]]:
        """Sizes of a named axis, other than the batch, that a mesh may have to divide.

        Each with the field that decides it.
        """
        yield from ()


def equal_patches(patches: int, info: DatasetInfo, at: Path) -> Iterator[Problem]:
    """Images fall into equal patches."""
    height, width, _ = info.image_shape
    common = math.gcd(height, width)
    if common % patches:
        near = divisors(common, patches)
        message = f"must divide the {height}x{width} images of {info.name}; {near}"
        yield Problem((*at, "patches"), message)


AT: Path = ("architecture",)
"""Where an architecture stands in a spec."""


class Stage(Section):
    """Further blocks of a `local_mixer`; the first of them makes the grid of patches coarser."""

    on_resume: ClassVar = Resume.FIXED
    blocks: PositiveInt = Field(
        default=1, description="Number of blocks in the stage.", examples=[2]
    )
    downsample: PositiveInt = Field(
        default=2,
        description="The first block of the stage averages this many patches per side into one.",
        examples=[4],
    )
    channel_ratio: PositiveInt = Field(
        default=1, description="Factor by which the stage has more channels.", examples=[2]
    )
    group_ratio: PositiveInt = Field(
        default=1,
        description="Factor by which the stage has more groups of channels.",
        examples=[2],
    )


class Normalized(Architecture):
    """An architecture whose field `normalization` is that of all its layers."""

    # Not a field here: fields of a base come first, and specs are printed in the order of fields.
    if TYPE_CHECKING:
        normalization: Any

    def normalized(self, image: tuple[int, int, int]) -> Iterator[NormPlace]:
        """Everything that is normalized but in heads.

        Args:
            image: height and width in pixels, and colours; it fits.
        """
        raise self.lacks("normalized")

    def ends(self, image: tuple[int, int, int]) -> Iterator[NormPlace]:
        """The features after every block, as heads read them."""
        raise self.lacks("ends")

    def single_values(
        self, image: tuple[int, int, int], losses: Losses, batch: int
    ) -> Iterator[Problem]:
        """Of the network and of the heads of local losses."""
        places = [*self.normalized(image), *self._in_heads(image, losses.local)]
        yield from self.normalization.single((*AT, "normalization"), places, batch)

    def _in_heads(self, image: tuple[int, int, int], local: Local | None) -> Iterator[NormPlace]:
        if local is None:
            return
        ends = list(self.ends(image))
        read = ends[local.every - 1 :: local.every]
        pooled = local.aggregation == "pooled"
        for place in read[: -1 if local.last == "final" else None]:
            if not pooled:
                yield from self.head_features(place)
            for extent, field in local.head.normalized(place.extent, pooled):
                path = place.field if field is None else ("losses", "local", "head", field)
                yield NormPlace(extent, path, whole=True)

    def head_features(self, place: NormPlace) -> Iterator[NormPlace]:
        """What is normalized before a head averages it over positions."""
        yield from ()

    def coupling(self) -> Coupling | None:
        """Its normalization, if that couples examples."""
        return self.normalization.coupling((*AT, "normalization"))

    def head_coupling(self, local: Local) -> Coupling | None:
        """Its normalization, where heads or what they read are normalized too."""
        pooled = local.aggregation == "pooled"
        features = () if pooled else tuple(self.head_features(NormPlace(flat(1), AT)))
        return self.coupling() if features or local.head.normalizes(pooled) else None

    def ignored_norm(self) -> Path | None:
        """As its normalization says."""
        return self.normalization.ignored((*AT, "normalization"))


class LocalMixer(Normalized):
    """LocalMixer, the network of Ren et al. 2022 (section 5): an MLP-Mixer with groups of channels.

    Images are cut into patches. A block mixes patches (tokens), then channels, then the channels of
    each group by itself; its input is added before the last activation. The first block has no
    token mixing and adds nothing.
    """

    behaviour: ClassVar[str | None] = "compiler.network.architectures:LocalMixer"
    loss_axes: ClassVar[tuple[LossAxis, ...]] = ("patch", "group")
    type: Literal["local_mixer"] = "local_mixer"
    blocks: Annotated[int, Field(ge=1, le=10_000)] = Field(
        default=4, description="Number of blocks.", examples=[2]
    )
    patches: PositiveInt = Field(
        default=8,
        description="Patches per side of the image; there are patches^2 of them. It must divide "
        "the image's height and width.",
        examples=[2],
    )
    channels: Annotated[PositiveInt, Unit("channels")] = Field(
        default=512,
        description="Channels of every patch; `groups` must divide them.",
        examples=[128],
    )
    groups: PositiveInt = Field(
        default=16,
        description="Groups of channels that the last layer of a block maps each by itself. Local "
        "losses can have a copy for each.",
        examples=[4],
    )
    hidden: Annotated[PositiveInt | None, Unit("channels")] = Field(
        default=None,
        description="Channels between the two channel layers of a block. null: as many as "
        "`channels`.",
        examples=[256],
    )
    token_mixing: Annotated[
        Literal["dense", "depthwise"],
        Values(
            {
                "dense": "One linear layer over all patches, the same for every channel.",
                "depthwise": "A 3x3 convolution of every channel over the grid of patches.",
            }
        ),
    ] = Field(
        default="dense",
        description="How a block mixes patches.",
    )
    # None in table 2 of Ren et al. 2022: all of its networks have one stage.
    stages: tuple[Stage, ...] = Field(
        default=(),
        description="Further stages after the one that `blocks`, `channels` and `groups` describe. "
        "The first block of a stage adds no input where it changes channels or groups.",
        examples=[[{"blocks": 2, "channel_ratio": 2}]],
    )
    normalization: TokenNormalization = Field(
        default=TokenNormalization(), description="The normalization of the linear layers."
    )
    initialization: AnyInitialization = Field(default=Kaiming(), description=INITIALIZATION)
    activation: AnyActivation = Field(default=Relu(), description=ACTIVATION)

    @classmethod
    def example(cls) -> Self:
        """See the base."""
        return cls(blocks=2, patches=2, channels=8, groups=2)

    def deepened(self, blocks: int) -> Self | None:
        """In its first stage."""
        return self.model_copy(update={"blocks": blocks})

    def block_count(self) -> tuple[int, Path] | None:
        """Those of all stages."""
        later = sum(stage.blocks for stage in self.stages)
        return self.blocks + later, (*AT, "blocks")

    def axis_sizes(self, axis: Axis) -> Iterator[tuple[Path, int]]:
        """Groups and patches of every stage."""
        if axis == "group":
            ratios = (stage.group_ratio for stage in self.stages)
            yield from (((*AT, "groups"), n) for n in accumulate((self.groups, *ratios), mul))
        elif axis == "patch":
            by = (stage.downsample for stage in self.stages)
            sides = accumulate((self.patches, *by), floordiv)
            yield from (((*AT, "patches"), side**2) for side in sides)

    def data_problems(self, at: Path, info: DatasetInfo) -> Iterator[Problem]:
        """Images fall into equal patches."""
        yield from equal_patches(self.patches, info, at)

    def normalized(self, image: tuple[int, int, int]) -> Iterator[NormPlace]:
        """Around the layers of every kind of block, and before the classifier."""
        norm, side = self.normalization, self.patches
        start = Extent(side, side, 1, image[0] // side * (image[1] // side) * image[2])
        first = True
        for end, hidden in self._stage_ends():
            if not first or self.blocks > 1:
                # Token mixing reads what the block before it gave, on this stage's grid.
                within = (end if first else start).grid(end.rows, end.columns)
                yield from norm.around(within, within, (*AT, "channels"), begins=True)
            inner = end.grouped(hidden, end.groups)
            wide: Path = (*AT, "channels" if self.hidden is None else "hidden")
            entering: Path = (*AT, "patches") if first else (*AT, "channels")
            for place in norm.around(start, inner, wide, first, first=first):
                yield place._replace(field=entering) if place.extent is start else place
            yield from norm.around(inner, end, (*AT, "groups"), grouped=True)
            start, first = end, False
        if norm.reads("classifier"):
            yield NormPlace(flat(start.width), (*AT, "channels"), whole=True)

    def ends(self, image: tuple[int, int, int]) -> Iterator[NormPlace]:
        """Groups of channels, block by block."""
        counts = (self.blocks, *(stage.blocks for stage in self.stages))
        for count, (end, _) in zip(counts, self._stage_ends(), strict=True):
            yield from [NormPlace(end, (*AT, "groups"), grouped=True)] * count

    def head_features(self, place: NormPlace) -> Iterator[NormPlace]:
        """See the base."""
        if self.normalization.reads("heads"):
            yield place

    def _stage_ends(self) -> Iterator[tuple[Extent, int]]:
        """What leaves the blocks of every stage, and the channels between their channel layers."""
        hidden = self.hidden or self.channels
        end = Extent(self.patches, self.patches, self.groups, self.channels // self.groups)
        yield end, hidden
        for stage in self.stages:
            hidden *= stage.channel_ratio
            rows, columns = end.rows // stage.downsample, end.columns // stage.downsample
            groups = end.groups * stage.group_ratio
            end = end.grouped(end.width * stage.channel_ratio, groups).grid(rows, columns)
            yield end, hidden

    def problems(self, at: Path) -> Iterator[Problem]:
        """Channels fall into groups, grids into coarser ones, and what is set is read."""
        for field in ("channels", "hidden"):
            channels = getattr(self, field)
            if channels is not None and channels % self.groups:
                message = f"must divide {field}; {divisors(channels, self.groups)}"
                yield Problem((*at, "groups"), message, others=((*at, field),))
        yield from self._stage_problems(at)
        yield from self.normalization.problems((*at, "normalization"))
        only = self.blocks + len(self.stages) == 1
        if only and self.token_mixing != type(self).model_fields["token_mixing"].default:
            message = "never read: the first block has no token mixing; remove it"
            yield Problem((*at, "token_mixing"), message, others=((*at, "blocks"),))

    def _stage_problems(self, at: Path) -> Iterator[Problem]:
        """Every stage cuts the grid of patches and the channels into equal parts."""
        side, channels = self.patches, self.channels
        hidden, count = self.hidden or channels, self.groups
        for index, stage in enumerate(self.stages):
            own: Path = (*at, "stages", index)
            if side % stage.downsample:
                near = divisors(side, stage.downsample)
                message = f"must divide the {side} patches per side before it; {near}"
                yield Problem((*own, "downsample"), message, others=((*at, "patches"),))
                return
            side //= stage.downsample
            channels, hidden = channels * stage.channel_ratio, hidden * stage.channel_ratio
            count *= stage.group_ratio
            common = math.gcd(channels, hidden)
            if common % count and common % (count // stage.group_ratio) == 0:
                message = f"makes {count} groups, which must divide the {common} channels of the "
                yield Problem((*own, "group_ratio"), message + "stage")
                return


class Mlp(Normalized):
    """A multi-layer perceptron on flattened images. Every hidden layer is a block."""

    behaviour: ClassVar[str | None] = "compiler.network.architectures:Mlp"
    type: Literal["mlp"] = "mlp"
    hidden: Annotated[tuple[PositiveInt, ...], Field(min_length=1)] = Field(
        default=(256, 256), description="Widths of the hidden layers.", examples=[[512, 512, 512]]
    )
    bias: bool = Field(
        default=True, description="Whether the hidden layers have a bias.", examples=[False]
    )
    normalization: TokenNormalization = Field(
        default=TokenNormalization(type=NoNormalization()),
        description="The normalization of the hidden layers.",
    )
    initialization: AnyInitialization = Field(default=Kaiming(), description=INITIALIZATION)
    activation: AnyActivation = Field(default=Relu(), description=ACTIVATION)

    @classmethod
    def example(cls) -> Self:
        """See the base."""
        return cls(hidden=(4, 3))

    def deepened(self, blocks: int) -> Self | None:
        """Of the width of its first layer."""
        return self.model_copy(update={"hidden": self.hidden[:1] * blocks})

    def block_count(self) -> tuple[int, Path] | None:
        """The hidden layers."""
        return len(self.hidden), (*AT, "hidden")

    def normalized(self, image: tuple[int, int, int]) -> Iterator[NormPlace]:
        """Around every layer, and before the classifier."""
        start, norm = NormPlace(flat(math.prod(image)), ("data", "source")), self.normalization
        for index, end in enumerate(self.ends(image)):
            for place in norm.around(start.extent, end.extent, end.field, True, first=not index):
                yield start if place.extent is start.extent else place
            start = end
        if self.normalization.reads("classifier"):
            yield start

    def ends(self, image: tuple[int, int, int]) -> Iterator[NormPlace]:
        """The hidden layers."""
        for index, width in enumerate(self.hidden):
            yield NormPlace(flat(width), (*AT, "hidden", index))

    def head_features(self, place: NormPlace) -> Iterator[NormPlace]:
        """See the base."""
        if self.normalization.reads("heads"):
            yield place._replace(grouped=True)

    def problems(self, at: Path) -> Iterator[Problem]:
        """Those of its normalization."""
        yield from self.normalization.problems((*at, "normalization"))


class ConvNet(Normalized):
    """3x3 convolutions in a row, each normalized and activated. Every convolution is a block.

    The default widths are those of Fournier et al. 2023.
    """

    behaviour: ClassVar[str | None] = "compiler.network.conv_nets:ConvNet"
    loss_axes: ClassVar[tuple[LossAxis, ...]] = ("patch",)
    type: Literal["conv_net"] = "conv_net"
    channels: Annotated[tuple[PositiveInt, ...], Field(min_length=1)] = Field(
        default=(64, 64, 128, 128, 256, 256),
        description="Channels that each convolution gives.",
        examples=[[32, 64]],
    )
    # No strides by default: Fournier et al. 2023 give widths only.
    downsample: tuple[Annotated[int, Field(ge=0)], ...] = Field(
        default=(),
        description="The convolutions of stride 2, counted from 0; all others have stride 1.",
        examples=[[2, 4]],
    )
    normalization: GridNormalization = Field(
        default=GridNormalization(), description="The normalization of the convolutions."
    )
    initialization: AnyInitialization = Field(default=KaimingUniform(), description=INITIALIZATION)
    activation: AnyActivation = Field(default=Relu(), description=ACTIVATION)

    @classmethod
    def example(cls) -> Self:
        """See the base."""
        return cls(channels=(2, 3), downsample=(0,))

    def deepened(self, blocks: int) -> Self | None:
        """Of the channels of its first convolution; only this one halves the grid, if any does."""
        halved = tuple(index for index in self.downsample if index == 0)
        channels, norm = self.channels[:1] * blocks, GridNormalization(type=LayerNorm())
        update = {"channels": channels, "downsample": halved, "normalization": norm}
        return self.model_copy(update=update)

    def block_count(self) -> tuple[int, Path] | None:
        """The convolutions."""
        return len(self.channels), (*AT, "channels")

    def normalized(self, image: tuple[int, int, int]) -> Iterator[NormPlace]:
        """After every convolution, and before the classifier."""
        yield from _followed(self.ends(image))

    def ends(self, image: tuple[int, int, int]) -> Iterator[NormPlace]:
        """The convolutions."""
        start = Extent(image[0], image[1], 1, image[2])
        for index, channels in enumerate(self.channels):
            stride = 2 if index in self.downsample else 1
            start = slid(_CONV, stride, start.grouped(channels))
            yield NormPlace(start, (*AT, "channels", index))

    def problems(self, at: Path) -> Iterator[Problem]:
        """A convolution that is said to downsample exists."""
        yield from self.normalization.problems((*at, "normalization"), self.channels)
        count = len(self.channels)
        for index, place in enumerate(self.downsample):
            if place >= count:
                message = f"must be less than {count}, the number of convolutions"
                path = (*at, "downsample", index)
                yield Problem(path, message, others=((*at, "channels"),))


_CONV = 3
"""Side of the windows of conv_net and resnet18."""
_WIDTHS = (64, 128, 256, 512)
"""Channels of ResNet-18, from stage to stage."""


def _followed(ends: Iterator[NormPlace]) -> Iterator[NormPlace]:
    """What blocks give, and that of the last once more: the classifier normalizes it as a whole."""
    *before, last = ends
    yield from (*before, last, last._replace(whole=True))


class Resnet18(Normalized):
    """ResNet-18, cut into blocks that can have losses of their own (He et al. 2016).

    The cuts, and the version without residuals, are those of Fournier et al. 2023.
    """

    behaviour: ClassVar[str | None] = "compiler.network.conv_nets:Resnet18"
    loss_axes: ClassVar[tuple[LossAxis, ...]] = ("patch",)
    type: Literal["resnet18"] = "resnet18"
    blocks: Annotated[
        Literal[2, 8, 16],
        Values(
            {
                2: "The stem with the two basic blocks of 64 channels; then the two of 128.",
                8: "The eight basic blocks, the stem in the first.",
                16: "Single convolutions without residuals, the first two in one block.",
            }
        ),
    ] = Field(
        default=8,
        description="Number of blocks, and what each of them is.",
    )
    stem: Annotated[
        Literal["cifar", "imagenet"],
        Values(
            {
                "cifar": "A 3x3 convolution; for small images.",
                "imagenet": "A 7x7 convolution of stride 2, then max pooling; for large images.",
            }
        ),
    ] = Field(
        default="cifar",
        description="The first layers, before the basic blocks.",
    )
    width: PositiveFloat = Field(
        default=1.0,
        description="Factor that multiplies the channels of every layer: 64, 128, 256 and 512.",
        examples=[0.25],
    )
    normalization: GridNormalization = Field(
        default=GridNormalization(), description="The normalization of the convolutions."
    )
    initialization: AnyInitialization = Field(default=KaimingUniform(), description=INITIALIZATION)
    activation: AnyActivation = Field(default=Relu(), description=ACTIVATION)

    @classmethod
    def example(cls) -> Self:
        """See the base."""
        return cls(blocks=2, width=0.02)

    def block_count(self) -> tuple[int, Path] | None:
        """As its field says."""
        return self.blocks, (*AT, "blocks")

    def normalized(self, image: tuple[int, int, int]) -> Iterator[NormPlace]:
        """After the stem and every convolution, and before the classifier."""
        yield NormPlace(self._stem(image), (*AT, "width"))
        yield from _followed(self.ends(image))

    def ends(self, image: tuple[int, int, int]) -> Iterator[NormPlace]:
        """Blocks of equal channels; the grid is halved where there are more."""
        start = self._stem(image)
        if self.stem == "imagenet":
            start = slid(_CONV, 2, start)
        widths = _WIDTHS[: min(self.blocks, len(_WIDTHS))]
        for index, channels in enumerate(widths):
            start = slid(_CONV, 2 if index else 1, start.grouped(self.scaled(channels)))
            yield from [NormPlace(start, (*AT, "width"))] * (self.blocks // len(widths))

    def _stem(self, image: tuple[int, int, int]) -> Extent:
        pixels = Extent(image[0], image[1], 1, self.scaled(_WIDTHS[0]))
        return slid(_CONV, 1, pixels) if self.stem == "cifar" else slid(7, 2, pixels)

    def scaled(self, channels: int) -> int:
        """Channels, times the width."""
        return max(1, round(channels * self.width))

    def problems(self, at: Path) -> Iterator[Problem]:
        """Those of its normalization."""
        widths = tuple(self.scaled(channels) for channels in _WIDTHS)
        yield from self.normalization.problems((*at, "normalization"), widths)


class Chain(Normalized):
    """Blocks of your own, each a list of layers.

    A layer reads the one before it unless its `source` names another, and `adds` makes residuals.
    The classifier follows the last block: features averaged over positions, one linear layer.
    """

    behaviour: ClassVar[str | None] = "compiler.network.conv_nets:Chain"
    loss_axes: ClassVar[tuple[LossAxis, ...]] = ("patch", "group")
    shown: ClassVar[tuple[str, ...]] = ("blocks",)
    type: Literal["chain"] = "chain"
    blocks: Annotated[
        tuple[Annotated[tuple[ChainLayer, ...], Field(min_length=1)], ...], Field(min_length=1)
    ] = Field(
        default=((FullLayer(),),),
        description="The blocks, from first to last, each a list of layers. Every block needs a "
        "layer with parameters.",
        examples=[[[{"type": "conv", "channels": 16}], [{"type": "full", "channels": 64}]]],
    )
    patches: PositiveInt | None = Field(
        default=None,
        description="Patches per side that images are cut into before the first layer: the "
        "positions of its input. null: every pixel is a position.",
        examples=[4],
    )
    normalization: GridNormalization = Field(
        default=GridNormalization(type=NoNormalization()),
        description="The normalization after layers that say `normalize: true`.",
    )
    initialization: AnyInitialization = Field(default=KaimingUniform(), description=INITIALIZATION)

    @classmethod
    def example(cls) -> Self:
        """See the base."""
        first = (DenseLayer(channels=4, groups=2), DepthwiseLayer())
        return cls(blocks=(first, (ConvLayer(channels=2),)), patches=2)

    def block_count(self) -> tuple[int, Path] | None:
        """Those listed."""
        return len(self.blocks), (*AT, "blocks")

    def nonlinear(self) -> Path | None:
        """The first trained layer whose map does not end in a linear one."""
        for path, layer in self.layers():
            if layer.trained and not layer.linear_last:
                return (*path, "type")
        return None

    def layers(self) -> Iterator[tuple[Path, Layer]]:
        """Every layer and its path."""
        for b, block in enumerate(self.blocks):
            yield from (((*AT, "blocks", b, i), layer) for i, layer in enumerate(block))

    def axis_sizes(self, axis: Axis) -> Iterator[tuple[Path, int]]:
        """Those of its layers."""
        for path, layer in self.layers():
            yield from layer.axis_sizes(axis, path)

    def data_problems(self, at: Path, info: DatasetInfo) -> Iterator[Problem]:
        """Images fall into equal patches, and layers fit each other."""
        cut = [] if self.patches is None else list(equal_patches(self.patches, info, at))
        yield from cut or self.laid_out(info.image_shape)[1]

    def normalized(self, image: tuple[int, int, int]) -> Iterator[NormPlace]:
        """After every layer that says so, and before the classifier."""
        for block, placed in enumerate(self.laid_out(image)[0]):
            for index, layer in enumerate(placed):
                if layer.layer.normalized:
                    path: Path = (*AT, "blocks", block, index)
                    yield NormPlace(layer.layer.ends(layer.start), path)
        *_, last = self.ends(image)
        yield last._replace(whole=True)

    def ends(self, image: tuple[int, int, int]) -> Iterator[NormPlace]:
        """The last layers of blocks."""
        for block, placed in enumerate(self.laid_out(image)[0]):
            last = placed[-1]
            yield NormPlace(last.layer.ends(last.start), (*AT, "blocks", block, len(placed) - 1))

    def laid_out(
        self, image: tuple[int, int, int]
    ) -> "tuple[list[list[PlacedLayer]], list[Problem]]":
        """Every layer with its shape, up to the first that does not fit, and why it does not.

        Args:
            image: height, width and colours; the patches divide it.
        """
        rows, columns = (self.patches, self.patches) if self.patches else image[:2]
        start = Extent(rows, columns, 1, image[0] // rows * (image[1] // columns) * image[2])
        blocks: list[list[PlacedLayer]] = []
        for index, layers in enumerate(self.blocks):
            block, problems = _laid_out(layers, start, (*AT, "blocks", index))
            blocks.append(block)
            if problems:
                return blocks, problems
            start = block[-1].layer.ends(block[-1].start)
        return blocks, []

    def problems(self, at: Path) -> Iterator[Problem]:
        """Layers name earlier ones and have names of their own; every block learns something."""
        layers = [layer for _, layer in self.layers() if layer.normalized]
        widths = tuple(width for layer in layers if (width := layer.width()) is not None)
        yield from self.normalization.problems((*at, "normalization"), widths)
        for index, block in enumerate(self.blocks):
            path: Path = (*at, "blocks", index)
            yield from _name_problems(block, path)
            if not any(layer.trained for layer in block):
                message = "has no parameters; put its layers into the next block or the one before"
                yield Problem(path, message, False)


class PlacedLayer(NamedTuple):
    """A layer of a chain with its name and the shape that enters it."""

    layer: Layer
    name: str
    start: Extent


def _named(layer: Layer, index: int) -> str:
    return layer.name or f"{layer}{index}"


def _name_problems(block: tuple[Layer, ...], at: Path) -> Iterator[Problem]:
    """Layers name earlier layers of their block, and themselves by different names."""
    before = [INPUT]
    for index, layer in enumerate(block):
        name, own = _named(layer, index), (*at, index)
        if name in before:
            say = f"the block has a layer {name} already" if name != INPUT else "is reserved"
            yield Problem((*own, "name"), f"{say}; name it otherwise")
        message = f"no such layer before it; known: {', '.join(before)}"
        if layer.source is not None and layer.source not in before:
            yield Problem((*own, "source"), message)
        for place, other in enumerate(layer.adds):
            if other not in before:
                yield Problem((*own, "adds", place), message)
        before.append(name)


def _laid_out(
    layers: tuple[Layer, ...], start: Extent, at: Path
) -> tuple[list[PlacedLayer], list[Problem]]:
    """The layers of a block with their shapes, up to the first that does not fit."""
    extents, last, block = {INPUT: start}, INPUT, list[PlacedLayer]()
    for index, layer in enumerate(layers):
        entering = extents[layer.source or last]
        end = layer.end(entering)
        if isinstance(end, Misfit):
            return block, [Problem((*at, index, end.field), end.message)]
        for place, name in enumerate(layer.adds):
            if extents[name] != end:
                message = f"has the shape {extents[name]}, but the layer gives {end}"
                return block, [Problem((*at, index, "adds", place), message)]
        last = _named(layer, index)
        extents[last] = end
        block.append(PlacedLayer(layer, last, entering))
    return block, []
