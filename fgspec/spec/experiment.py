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
from fgspec.spec.phases import Phase
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
    """One experiment, a spec file: everything that decides its numbers."""

    on_resume: ClassVar = Resume.FORKS
    fgspec: Annotated[Version, Resume.FIXED] = Field(
        description="The version of the language that the file is written in; always 1.",
        examples=[1],
    )
    name: Name = Field(
        description="The name of the experiment; runs go to a folder of this name.",
        examples=["my-first-run"],
    )
    description: Annotated[str, Resume.MAY_CHANGE] = Field(
        default="",
        description="What the experiment is about, in one line. It changes no number.",
        examples=["Wider blocks, half the learning rate"],
    )
    # The state holds what was drawn with it, and the key that draws the noise of every step.
    seed: Annotated[Seed, Resume.FIXED] = Field(
        default=0,
        description="The seed of all that is random: initial weights, the order of the data, "
        "augmentations and perturbations.",
        examples=[7],
    )
    data: Data = Field(
        default=Data(), description="Which images and labels, and how they come in batches."
    )
    architecture: Annotated[Architecture, OneOf(ARCHITECTURES), Resume.FIXED] = Field(
        default=LocalMixer(), description="The network and its size; a chain of blocks."
    )
    losses: Losses = Field(
        default=Losses(),
        description="What is minimised, where local losses sit, and where gradients stop.",
    )
    gradient: Gradient = Field(
        default=Gradient(), description="Which gradient the blocks learn from, and its estimator."
    )
    phases: tuple[Phase, ...] = Field(
        default=(),
        description="What the run begins with: updates under other gradients, such as a warm start "
        "by backprop. After the last of them the spec's own `gradient` trains the rest of the run. "
        "Losses and parameters are the same in all. Empty: no other gradient than the spec's own.",
        examples=[[{"epochs": 5, "gradient": {"estimator": "exact"}}]],
    )
    optimizer: Annotated[Optimizer, OneOf(OPTIMIZERS)] = Field(
        default=Sgd(),
        description="How a gradient estimate becomes a change of the parameters.",
    )
    start_from: Annotated[StartFrom | None, Resume.FIXED] = Field(
        default=None,
        description="Start from the parameters of another run or of a file. null: all parameters "
        "are drawn.",
    )
    freeze: tuple[PartName, ...] = Field(
        default=(),
        description="Parts that do not learn, each by how the names of its parameters begin, such "
        "as `blocks.0` (or `blocks.block0`), `blocks.0.channel.w`, `heads` or `classifier`. Their "
        "parameters stay as they are: no weight decay, no momentum. Running statistics of "
        "`batch_norm` still move.",
        examples=[["blocks.0"]],
    )
    training: Annotated[Training, Resume.MAY_CHANGE] = Field(
        description="How long to train, and how often to log and evaluate.",
        examples=[{"epochs": 10}],
    )
    mesh: Annotated[Mesh, Resume.MAY_CHANGE] = Field(
        default=Mesh(), description="How many devices, and what is split over them."
    )
    checkpoint: Annotated[Checkpoint, Resume.MAY_CHANGE] = Field(
        default=Checkpoint(), description="When the state of a run is saved."
    )
    diagnostics: Annotated[Diagnostics, Resume.MAY_CHANGE] = Field(
        default=Diagnostics(),
        description="How good the gradient estimate is, measured during training.",
    )
    compile: Annotated[Compile, Resume.MAY_CHANGE] = Field(
        default=Compile(),
        description="How the update is compiled: speed and memory, not what it computes.",
    )
    expect: Annotated[Expect | None, Resume.MAY_CHANGE] = Field(
        default=None,
        description="A metric that the run should reach, to compare with at its end. null: none.",
    )

    def on(self, mesh: Mesh) -> "Experiment":
        """The same experiment on another mesh."""
        return self.model_copy(update={"mesh": mesh})

    @property
    def order_seed(self) -> int:
        """The seed of the order of training examples."""
        return self.seed if self.data.seed is None else self.data.seed


class SpecFile(Experiment):
    """A spec file: an experiment, and three keys that are gone once the spec is resolved."""

    # What a file is made of may change as long as what it resolves to may.
    extends: Annotated[str, Resume.MAY_CHANGE] = Field(
        default="",
        description="Another spec that this one changes: its path, relative to this file. Fields "
        "given here win.",
        examples=["base.yaml"],
    )
    rule: Annotated[Rule, OneOf(RULES, named=True)] | None = Field(
        default=None,
        description="A published learning rule: a short name for settings of `losses` and "
        "`gradient`. `fgspec show` prints them. null: those fields are as given.",
        examples=["lg-fg-a"],
    )
    ablation: Annotated[Ablation | None, Resume.MAY_CHANGE] = Field(
        default=None,
        description="A promise to change certain fields of another spec and nothing else, which "
        "`check` verifies. It binds this file, not the files that extend it. null: no promise.",
    )
