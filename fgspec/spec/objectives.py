"""Objectives: what is minimised at every site of a loss, one class each."""

from collections.abc import Callable, Iterable, Iterator, Mapping
from math import log
from typing import Annotated, Any, ClassVar, Literal

from pydantic import Field

from fgspec.formulas import losses as of
from fgspec.formulas.tree import (
    Equation,
    Function,
    Number,
    Product,
    Ratio,
    Symbol,
    Total,
)
from fgspec.problems.problems import Problem
from fgspec.spec.augmentations import Draw
from fgspec.spec.base import PositiveFloat, PositiveInt, Resume, Unit, Values
from fgspec.spec.coupling import Coupling
from fgspec.spec.data import Data
from fgspec.spec.dataset_info import DatasetInfo, LabelKind
from fgspec.spec.kinds import Kind, table
from fgspec.yaml.load import Path

OBJECTIVES = table("objective", "objectives")


class Objective(Kind):
    """What is minimised at every site, and what it needs.

    Arrays are JAX arrays: outputs of a readout [n, k], float32, and targets: classes [n], int32;
    vectors [n, k], float32; labels of 0 and 1 [n, k], int32; or what `targets` makes of an example.
    Where examples have several rows, example i of N has the rows i, N + i, and so on: first those
    of its first view, then those of its second.

    Attributes:
        title: what it is called in sentences and pictures; its name, with spaces, if empty.
        makes: which rows `prepared` makes of an example, as a sentence; needed with `variants`.
        takes: what the label of an example may be. Data with other labels are refused.
        classifies: whether `predict` gives a class for each row.
        views: of each example, 1 or 2, differently augmented.
        variants: rows that `prepared` makes of each view.
        writes_labels: whether `prepared` writes labels into images, and `goodness_of` says how well
            the one that an image holds fits it.
        answers: whether its outputs are the answer of the task. If so the classifier is the readout
            of the final loss, and is trained and evaluated by this objective. If not, the final
            loss has a head of its own, and the classifier is trained by the objective `answer()` on
            features of clean images that no gradient reaches.
        local_only: why it cannot be the final loss, if so; it is then given as
            `losses.local.objective`.
        reads_head: whether its outputs are those of the head that the spec chooses.
        reads_features: whether a local loss reads the features after its block themselves, those of
            all positions, neither normalized nor averaged. Its copies do so too.
        reads_grid: why it cannot read features averaged over patches, if so.
        compares: whether the loss of a row reads the outputs of other rows, with their gradient or
            behind a stop-gradient, so that it is another loss in another batch.
        reports: the names of what `metrics` gives.
        headline: the one of them that tells how good a model is.
        lower_is_better: whether less of the headline is better.
        needs_labels: whether a row's loss depends on its label, which `targets` may leave out. If
            not, examples without a label train too; theirs is `UNLABELLED`.
    """

    table: ClassVar = OBJECTIVES
    on_resume: ClassVar = Resume.FORKS
    title: ClassVar[str] = ""
    makes: ClassVar[str] = ""
    takes: ClassVar[tuple[LabelKind, ...]] = ("class",)
    classifies: ClassVar[bool] = True
    needs_labels: ClassVar[bool] = True
    views: ClassVar[int] = 1
    variants: ClassVar[int] = 1
    writes_labels: ClassVar[bool] = False
    answers: ClassVar[bool] = True
    local_only: ClassVar[str] = ""
    reads_head: ClassVar[bool] = True
    reads_features: ClassVar[bool] = False
    reads_grid: ClassVar[str] = ""
    compares: ClassVar[bool] = False
    reports: ClassVar[tuple[str, ...]] = ("error", "accuracy")
    headline: ClassVar[str] = "error"
    lower_is_better: ClassVar[bool] = True

    def called(self) -> str:
        """What it is called in sentences and pictures."""
        return self.title or str(self).replace("_", " ")

    def reading(self) -> str:
        """What a local loss is a loss of, such as `the features there`."""
        return "a head of its own" if self.reads_head else "the features there"

    def readout(self) -> str:
        """What the final readout is called that it trains: by default a classifier if it is one."""
        return "classifier" if self.classifies else "readout"

    def outputs(self, data: DatasetInfo) -> int:
        """How many outputs each head that it trains has; by default those that tell a label."""
        return data.width

    def chains(self, place: Any, head: tuple[Any, ...]) -> tuple[tuple[Any, ...], ...]:
        """The chains of layers from the features to what `value` reads: by default the head alone.

        A chain that ends in one position gives [n, k], another one [n, rows, columns, k]; an empty
        chain gives the features themselves. If there are several chains, `value` gets a tuple of
        their outputs. Names of layers must be unique among all chains.

        Args:
            place: `compiler.network.heads.Place`: the features, the outputs, the network around.
            head: the layers of the head, which end in `outputs(data)` numbers.
        """
        return (head,)

    def scale(self, data: DatasetInfo) -> float:
        """The loss of a model that knows nothing: a loss far beyond it has diverged."""
        raise self.lacks("scale")

    def answer(self) -> "Objective":
        """The objective that the classifier is trained and evaluated by."""
        return self if self.answers else CrossEntropy()

    def for_labels(self, label: LabelKind) -> "Objective":
        """The objective for data whose labels are such; itself where they make no difference.

        One that reports other metrics for other labels returns another object of its own.

        Args:
            label: one of `takes`.
        """
        return self

    def targets(self, labels: Any, images: Callable[[], Any]) -> Any:
        """What the outputs of every row are compared with: the labels by default.

        Args:
            labels: of every row, as the data set gives them.
            images: returns what the network sees of every row, [n, height, width, colours]:
                augmented while it trains, and standardized if the spec says so.
        """
        return labels

    @property
    def reads_last(self) -> bool:
        """Whether local losses read the features after the last block, behind a stop-gradient."""
        return False

    def targets_from_last(self, targets: Any, features: Any, start: Any) -> Any:
        """What local losses compare outputs with, needed where it `reads_last`.

        Args:
            targets: of every row, from `targets`.
            features: after the last block, [n, p, g, c]; no gradient passes through them.
            start: `fgspec.spec.shapes.Extent`: their shape, with rows and columns.
        """
        raise self.lacks("targets_from_last")

    def prepared(self, images: Any, labels: Any, data: DatasetInfo, draw: Draw) -> tuple[Any, Any]:
        """The rows that blocks train on, and the label of every row, which `targets` is given.

        By default every view of an example is a row.

        Args:
            images: all views of all examples, augmented: [v, h, w, colours], numbers in [0, 1].
            labels: the label of each of them, [v, ...].
            data: the data set.
            draw: gives the random numbers of a step for each of them; see `Draw`.

        Returns:
            Images [m, h, w, colours] and labels [m, ...], with m = v * variants.
        """
        return images, labels

    def neutral(self, images: Any, data: DatasetInfo) -> Any:
        """Images [n, h, w, colours] as evaluation shows them to the network, unchanged by default.

        They have numbers in [0, 1]. Where `prepared` writes labels into images, this writes what
        stands for none.
        """
        return images

    def labelled(self, images: Any, labels: Any, data: DatasetInfo) -> Any:
        """Images with labels written into them; needed where it `writes_labels`.

        Args:
            images: [n, h, w, colours], numbers in [0, 1].
            labels: that each image gets, right or wrong, int32 [n].
            data: the data set.
        """
        raise self.lacks("labelled")

    def goodness_of(self, outputs: Any) -> Any:
        """How well the label that an image holds fits it, [n]; needed where it `writes_labels`.

        Args:
            outputs: what `value` reads.
        """
        raise self.lacks("goodness_of")

    def coupling(self) -> Coupling | None:
        """What makes a row's loss depend, with a gradient, on the outputs of other rows.

        Its path begins at this objective. A loss that couples nothing may read other rows behind a
        stop-gradient only; that one evaluation serves all copies of a replicated loss rests on it.
        """
        return None

    def value(self, outputs: Any, targets: Any, others: Any = None) -> Any:
        """The loss of every row, [n], from the outputs [n, k] of a readout.

        Args:
            outputs: of every row; of other shapes if its `chains` are not the head alone.
            targets: of every row, from `targets`.
            others: outputs [n, k] that what a row takes from other rows is taken from; the outputs
                themselves if None. Finite differences give the outputs at rest, as a stop-gradient
                stops no difference.
        """
        raise self.lacks("value")

    def formulas(self) -> Iterable[Equation]:
        """The loss of a row as equations, the last of which is for `fgspec.formulas.losses.LOSS`.

        By default there are none. The law of objectives evaluates them: they give `value`.
        """
        return ()

    def quantities(self, outputs: Any, targets: Any) -> Mapping[Any, tuple[Any, str]]:
        """What the letters of its formulas stand for that no formula defines.

        By default the outputs are o and what they are compared with is t.

        Args:
            outputs: as `value` reads them.
            targets: of every row, from `targets`.

        Returns:
            Numbers with a letter for each of their axes, by the key of a symbol, or by its key and
            what its index stands for, such as `("z", 1)`. Sums over the index run over these.
        """
        return {"o": (outputs, "nc"), "t": (targets, "nc")}

    def metrics(self, outputs: Any, targets: Any) -> Mapping[str, Any]:
        """What else tells how good outputs are, by the names of `reports`: each [n], one a row."""
        raise self.lacks("metrics")

    def predict(self, outputs: Any) -> Any:
        """The answer that outputs [n, k] stand for, [n, ...]; see `classifies`."""
        raise self.lacks("predict")

    def probabilities(self, outputs: Any) -> Any | None:
        """Of every class or label, [n, k], from outputs [n, k]; None where there are none."""
        return None


class CrossEntropy(Objective):
    """Cross entropy of the softmax of the outputs with the labels, in nats."""

    behaviour: ClassVar[str | None] = "compiler.objectives.cross_entropy:CrossEntropy"
    type: Literal["cross_entropy"] = "cross_entropy"

    def formulas(self) -> Iterable[Equation]:
        """The softmax, then the loss."""
        yield of.softmax()
        says = "The loss is the negative log probability of the label, in nats."
        yield Equation(of.LOSS, of.cross_entropy(), says, letters=(of.ONE_HOT,))

    def scale(self, data: DatasetInfo) -> float:
        """The entropy of a uniform guess."""
        return log(data.classes)


class InfoNce(Objective):
    """Contrastive loss: each view of an image must find the other among all (Ren et al. 2022).

    An anchor is one view of an image; the keys are all other views in the batch. It needs an
    augmentation that makes two views. The classifier learns beside it by cross entropy, on features
    of clean images that no gradient flows back from (Ren et al. 2022, table 4).
    """

    behaviour: ClassVar[str | None] = "compiler.objectives.info_nce:InfoNce"
    title: ClassVar[str] = "InfoNCE loss"
    needs_labels: ClassVar[bool] = False
    views: ClassVar[int] = 2
    answers: ClassVar[bool] = False
    compares: ClassVar[bool] = True
    reports: ClassVar[tuple[str, ...]] = ()
    type: Literal["info_nce"] = "info_nce"
    temperature: PositiveFloat = Field(
        default=0.5,
        description="Divides the cosine similarities before the softmax. Lower weights the most "
        "similar keys more.",
        examples=[0.1],
    )
    projection: Annotated[PositiveInt, Unit("outputs")] = Field(
        default=128,
        description="Outputs of the linear projection of features that views are compared by.",
        examples=[64],
    )
    keys: Annotated[
        Literal["stopped", "free"],
        Values(
            {
                "stopped": "Keys carry no gradient, only the anchor does.",
                "free": "Keys carry a gradient, so that every row moves the losses of all anchors.",
            }
        ),
    ] = Field(
        default="stopped",
        description="Whether gradients flow through the keys (Ren et al. 2022, figure 4).",
    )

    def formulas(self) -> Iterable[Equation]:
        """Projections of length one, their similarities, then the loss."""
        unit = Symbol("unit", "u", "u", (), ("n", "c"))
        alike = Symbol("alike", "s", "s", (), ("n", "m"))
        other = Symbol("other view", r"\mathbf 1[m=n^{+}]", "1{m=n⁺}", bare=True)
        apart = Symbol("apart", r"\mathbf 1[m\neq n]", "1{m≠n}", bare=True)
        yield Equation(
            unit,
            Ratio(of.OUTPUT, of.length(of.OUTPUT, "d")),
            "Projections are scaled to length one.",
            letters=("o output c of row n, a view of an image",),
        )
        yield Equation(
            alike,
            Ratio(of.inner(unit), Number(self.temperature, r"\tau", "τ")),
            "The similarity of two views is the cosine over the temperature.",
            letters=(f"τ the temperature, {self.temperature:g}",),
        )
        exp = Function("exp", alike)
        yield Equation(
            of.LOSS,
            of.minus(
                of.log(
                    Ratio(
                        Total(("m",), Product((other, exp))), Total(("m",), Product((apart, exp)))
                    )
                )
            ),
            "The other view of the image must be told from all views of the batch.",
            letters=(
                "n⁺ the other view of the image of row n",
                "1{} is 1 where this holds, else 0",
            ),
        )

    def outputs(self, data: DatasetInfo) -> int:
        """Of the projection."""
        return self.projection

    def scale(self, data: DatasetInfo) -> float:
        """The most that cosine similarities can add to the entropy of choosing among many keys."""
        return 2 / self.temperature + log(2 * data.train_examples)

    def coupling(self) -> Coupling | None:
        """Keys that are free move the losses of all anchors."""
        # Answering for all of them is unbiased, and of large variance. Ren et al. let a row answer
        # for its own anchor (`credit: paper`), which is biased where both views share noise.
        return Coupling("keys: free", ("keys",)) if self.keys == "free" else None

    def problems(self, at: Path, data: Data) -> Iterator[Problem]:
        """There are other examples."""
        if data.batch_size == 1:
            message = "info_nce has no negatives in a batch of one example; give at least 2"
            yield Problem(("data", "batch_size"), message, others=((*at, "type"),))
