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
    """What this spec changes of another one; `check` refuses it when anything else differs.

    Name, description and expectation may differ. `--set` acts on both specs, but for what is
    listed.
    """

    on_resume: ClassVar = Resume.MAY_CHANGE
    base: str = Field(description="The other spec, relative to this file.")
    changes: Annotated[tuple[str, ...], Field(strict=False, min_length=1)] = Field(
        description="Fields that differ, such as gradient.perturbation.guess; all below one counts "
        "as changed with it."
    )
    touches: Annotated[
        tuple[Annotated[str, AfterValidator(_known)], ...] | None, Field(strict=False)
    ] = Field(
        default=None,
        description="What may differ in consequence; `fgspec plan` refuses anything else. "
        f"{', '.join(CONSEQUENCES)}, or a part of one, such as update/blocks/block1. null: "
        "anything.",
    )
