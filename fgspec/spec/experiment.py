"""The root of the language: one experiment, and the keys that only a file has."""

from typing import Annotated, Any, ClassVar, Literal

from pydantic import BeforeValidator, Field
from pydantic_core import PydanticCustomError

from fgspec.spec.ablation import Ablation
from fgspec.spec.architectures import ARCHITECTURES, Architecture, LocalMixer
from fgspec.spec.base import Resume, Section, Seed
from fgspec.spec.data import Data
from fgspec.spec.gradient import Gradient
from fgspec.spec.kinds import OneOf
from fgspec.spec.losses import Losses
from fgspec.spec.mesh import Mesh
from fgspec.spec.optimizers import OPTIMIZERS, Optimizer, Sgd
from fgspec.spec.rules import RULES, Rule
from fgspec.spec.run import Checkpoint, Compile, Diagnostics, Expect, Training
from fgspec.spec.start import PartName, StartFrom

LONGEST_NAME = 100
"""Letters of a name: folders and files are named by it, with a little more."""

Name = Annotated[str, Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]*$", max_length=LONGEST_NAME)]


def _whole(value: Any) -> Any:
    if isinstance(value, bool | float):  # which a Literal takes for the equal whole number
        raise PydanticCustomError("int_type", "must be a whole number")
    return value


Version = Annotated[Literal[1], BeforeValidator(_whole)]


class Experiment(Section):
    """One experiment: everything that decides its numbers, and nothing else."""

    on_resume: ClassVar = Resume.FORKS
    fgspec: Annotated[Version, Resume.FIXED] = Field(description="Version of the language.")
    name: Name = Field(description="Names the folder of its runs.")
    description: Annotated[str, Resume.MAY_CHANGE] = Field(
        default="", description="One line for people."
    )
    # The state holds what was drawn with it, and the key that draws the noise of every step.
    seed: Annotated[Seed, Resume.FIXED] = Field(
        default=0, description="Of initial weights, data order and all that is drawn."
    )
    data: Data = Field(default=Data(), description="Images, labels and batches.")
    architecture: Annotated[Architecture, OneOf(ARCHITECTURES), Resume.FIXED] = Field(
        default=LocalMixer(), description="The network."
    )
    losses: Losses = Field(
        default=Losses(), description="What is minimised, and where gradients stop."
    )
    gradient: Gradient = Field(default=Gradient(), description="What is estimated and how.")
    optimizer: Annotated[Optimizer, OneOf(OPTIMIZERS)] = Field(
        default=Sgd(), description="How estimates become steps."
    )
    start_from: Annotated[StartFrom | None, Resume.FIXED] = Field(
        default=None,
        description="Parameters to begin with, of another run or a file; null: all are drawn.",
    )
    freeze: tuple[PartName, ...] = Field(
        default=(),
        description="Parts that do not learn, by how the names of their parameters begin: "
        "blocks.0 or blocks.block0, blocks.0.channel.w, heads, classifier. Their update is zero, "
        "weight decay and momentum too; running moments of normalizations go on moving.",
    )
    training: Annotated[Training, Resume.MAY_CHANGE] = Field(description="How long.")
    mesh: Annotated[Mesh, Resume.MAY_CHANGE] = Field(default=Mesh(), description="Devices.")
    checkpoint: Annotated[Checkpoint, Resume.MAY_CHANGE] = Field(
        default=Checkpoint(), description="What survives a stop."
    )
    diagnostics: Annotated[Diagnostics, Resume.MAY_CHANGE] = Field(
        default=Diagnostics(), description="What the estimate is worth, at intervals."
    )
    compile: Annotated[Compile, Resume.MAY_CHANGE] = Field(
        default=Compile(), description="How the program is lowered."
    )
    expect: Annotated[Expect | None, Resume.MAY_CHANGE] = Field(
        default=None, description="The number this run should reach."
    )

    def on(self, mesh: Mesh) -> "Experiment":
        """The same experiment on another mesh."""
        return self.model_copy(update={"mesh": mesh})

    @property
    def order_seed(self) -> int:
        """The seed of the order of training examples."""
        return self.seed if self.data.seed is None else self.data.seed


class SpecFile(Experiment):
    """What a file may hold besides an experiment; none of it is part of the resolved spec."""

    # What a file is made of may change as long as what it resolves to may.
    extends: Annotated[str, Resume.MAY_CHANGE] = Field(
        default="", description="A spec this one changes, relative to this file."
    )
    rule: Annotated[Rule, OneOf(RULES, named=True)] | None = Field(
        default=None,
        description="Shorthand for the losses and gradient of a published rule; "
        "`fgspec show` prints what it stands for.",
    )
    ablation: Annotated[Ablation | None, Resume.MAY_CHANGE] = Field(
        default=None,
        description="What this spec changes of another one, and nothing else; binds this file, not "
        "those that extend it.",
    )
