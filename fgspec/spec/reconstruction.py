"""Reconstruction: every readout gives back the image that the network was given."""

from collections.abc import Iterable
from math import prod
from typing import ClassVar, Literal

from fgspec.formulas import losses as of
from fgspec.formulas.tree import Equation, Mean, Symbol
from fgspec.spec.dataset_info import DatasetInfo, LabelKind
from fgspec.spec.objectives import Objective


class Reconstruction(Objective):
    """Mean squared error, over pixels, of the outputs with the image that the network was given.

    Every local head and the final readout are decoders of the whole image: as augmented, and
    standardized unless `data.standardize` is false. Labels are not read. What `predict` gives are
    the outputs: standardized pixels in the order height, width, colour.
    """

    behaviour: ClassVar[str | None] = "compiler.objectives.reconstruction:Reconstruction"
    title: ClassVar[str] = "reconstruction error"
    takes: ClassVar[tuple[LabelKind, ...]] = ("class", "vector", "binary")
    needs_labels: ClassVar[bool] = False
    classifies: ClassVar[bool] = False
    reports: ClassVar[tuple[str, ...]] = ("mean_squared_error",)
    headline: ClassVar[str] = "mean_squared_error"
    type: Literal["reconstruction"] = "reconstruction"

    def formulas(self) -> Iterable[Equation]:
        """The mean squared error over pixels."""
        pixel = Symbol("t", "x", "x", (), ("n", "c"))
        says = "The loss is the mean squared error over the colours of all pixels."
        letters = (of.O_SAYS, "x the image of row n, flattened")
        value = Mean(("c",), of.square(of.difference(of.OUTPUT, pixel)))
        yield Equation(of.LOSS, value, says, letters=letters)

    def readout(self) -> str:
        """It gives back the image."""
        return "decoder"

    def outputs(self, data: DatasetInfo) -> int:
        """One for every colour of every pixel."""
        return prod(data.image_shape)

    def scale(self, data: DatasetInfo) -> float:
        """The loss of outputs that are the mean of standardized pixels."""
        return 1.0
