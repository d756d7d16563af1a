"""A network without hidden layers: the linear probe of the inputs."""

from collections.abc import Iterator
from typing import ClassVar, Literal

from pydantic import Field

from fgspec.problems.problems import Problem
from fgspec.spec.architectures import Architecture
from fgspec.spec.gradient import Gradient
from fgspec.spec.initializations import AnyInitialization, Kaiming
from fgspec.spec.losses import Losses
from fgspec.yaml.load import Path


class LinearNetwork(Architecture):
    """A linear readout of the pixels: softmax regression under `cross_entropy`.

    It has no hidden layers. Its one block passes the flattened image on, without parameters, so
    only the classifier learns. It is the baseline that a learning rule must beat before what its
    hidden layers learn counts for anything (Alain and Bengio 2017, arXiv 1610.01644, on probes).
    """

    behaviour: ClassVar[str | None] = "compiler.network.linear_network:LinearNetwork"
    trains_blocks: ClassVar[bool] = False
    type: Literal["linear"] = "linear"
    initialization: AnyInitialization = Field(
        default=Kaiming(), description="How initial weights of the readout are drawn."
    )

    def block_count(self) -> tuple[int, Path] | None:
        """The one that passes on what it reads."""
        return 1, ("architecture", "type")

    def problems(self, at: Path, losses: Losses, gradient: Gradient) -> Iterator[Problem]:
        """There is nothing that a rule could train."""
        message = "has no hidden layers, so only its readout learns; use rule: bp"
        if losses.local is not None:
            yield Problem((*at, "type"), message, others=(("losses", "local"),))
        elif not gradient.estimator.backward or gradient.estimator.linear_maps:
            yield Problem((*at, "type"), message, others=(("gradient", "estimator", "type"),))
