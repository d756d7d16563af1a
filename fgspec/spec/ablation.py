"""`ablation:` what a spec promises to change of another one, and nothing else."""

from typing import Annotated, ClassVar

from pydantic import AfterValidator, Field
from pydantic_core import PydanticCustomError

from fgspec.spec.base import Resume, Section

CONSEQUENCES = {
    "initial": "initial parameters",
    "data": "data",
    "forward": "forward pass",
    "update": "gradients before the optimizer",
    "noise": "random streams",
    "optimizer": "optimizer step",
    "evaluation": "evaluation",
    "run": "length of the run",
    "program": "compilation",
}
"""Everything that a difference of two specs can change, and what it is called."""


def _known(name: str) -> str:
    if name.split("/")[0] not in CONSEQUENCES:
        raise PydanticCustomError("literal_error", "", {"expected": ", ".join(CONSEQUENCES)})
    return name


# A key of files, like `extends`: two ways to ask for the same spec have one hash. Its fields are
# held to by `check`; its consequences by `plan` and `diff`, as they take tracing.
class Ablation(Section):
    """What this spec changes of another one. `check` refuses it when anything else differs.

    Name, description and `expect` may differ. `--set` acts on both specs, except for the fields
    listed in `changes`.
    """

    on_resume: ClassVar = Resume.MAY_CHANGE
    base: str = Field(
        description="The other spec: its path, relative to this file.", examples=["base.yaml"]
    )
    changes: Annotated[tuple[str, ...], Field(strict=False, min_length=1)] = Field(
        description="The fields that may differ, and all that is below them.",
        examples=[["optimizer.learning_rate"]],
    )
    touches: Annotated[
        tuple[Annotated[str, AfterValidator(_known)], ...] | None, Field(strict=False)
    ] = Field(
        default=None,
        description="What of the computation may differ in consequence; `fgspec plan` and `fgspec "
        f"diff` refuse anything else. Any of {', '.join(CONSEQUENCES)}, or a part of one, such as "
        "`update/blocks/block1`. null: anything.",
        examples=[["optimizer"]],
    )
