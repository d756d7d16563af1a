"""What every section of a spec has in common."""

import inspect
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import Annotated, Any, ClassVar

from pydantic import BaseModel, ConfigDict, Field, GetJsonSchemaHandler
from pydantic_core import CoreSchema

PositiveInt = Annotated[int, Field(ge=1, lt=2**31)]
NonNegativeInt = Annotated[int, Field(ge=0, lt=2**31)]
PositiveFloat = Annotated[float, Field(gt=0)]
NonNegativeFloat = Annotated[float, Field(ge=0)]
Fraction = Annotated[float, Field(ge=0, lt=1)]
Seed = Annotated[int, Field(ge=0, lt=2**32)]


@dataclass(frozen=True)
class Values:
    """What each fixed value of a field means, a line each; stands in the field's annotation.

    Attributes:
        lines: by value; None is `null`.
    """

    lines: Mapping[Any, str]


@dataclass(frozen=True)
class Unit:
    """The unit of a number, in words; stands in the field's annotation."""

    name: str


@dataclass(frozen=True)
class Like:
    """What a field holds is described at another path; stands in the field's annotation.

    Attributes:
        path: of a section of the same class, such as `gradient`.
    """

    path: str


UNIT = "x-unit"
"""The keyword of the JSON Schema that holds the unit of a field."""

RESUME = "x-resume"
"""The keyword of the JSON Schema that holds a field's `Resume`."""


class Resume(StrEnum):
    """What becomes of a run that is resumed with another value of a field."""

    FIXED = "fixed"  # the state of the run would not fit, or would mean something else
    FORKS = "makes a fork"  # it would compute other numbers: a new run, with this one as its parent
    MAY_CHANGE = "may change"  # no number that the run has computed would be another

    @classmethod
    def strictest(cls, said: "Iterable[Resume]") -> "Resume":
        """The one of these that allows least."""
        order = list(cls)
        return min(said, key=order.index)


class Section(BaseModel):
    """A frozen record that refuses unknown keys, wrong types, NaN and infinity.

    Attributes:
        on_resume: what holds of its fields when a run is resumed; a field that differs says so in
            its annotation, such as `Annotated[str, Resume.MAY_CHANGE]`. What says nothing is fixed.
            None: it is no part of a run.
        shown: fields that examples give besides those that it must have.
        listed_after: items, as plain values, that examples list before it where it stands in a list
            and does not fit what is there without them.
    """

    on_resume: ClassVar[Resume | None] = Resume.FIXED
    shown: ClassVar[tuple[str, ...]] = ()
    listed_after: ClassVar[tuple[Mapping[str, Any], ...]] = ()

    model_config = ConfigDict(
        frozen=True,
        extra="forbid",
        strict=True,
        allow_inf_nan=False,
        validate_default=True,
        use_attribute_docstrings=False,
    )

    @classmethod
    def about(cls) -> list[str]:
        """What it is, in paragraphs; the first is a line for lists."""
        text = inspect.cleandoc(cls.__doc__ or "").partition("\nAttributes:\n")[0]
        return [" ".join(part.split()) for part in text.split("\n\n") if part]

    @classmethod
    def field_on_resume(cls, name: str) -> Resume | None:
        """What holds of one of its fields when a run is resumed."""
        said = (part for part in cls.model_fields[name].metadata if isinstance(part, Resume))
        return next(said, cls.on_resume)

    @classmethod
    def __get_pydantic_json_schema__(
        cls, core_schema: CoreSchema, handler: GetJsonSchemaHandler, /
    ) -> dict[str, Any]:
        """Every field says its unit, its values, and what holds of it when a run is resumed."""
        schema = handler(core_schema)
        for name, field in handler.resolve_ref_schema(schema).get("properties", {}).items():
            if (said := cls.field_on_resume(name)) is not None:
                field[RESUME] = str(said)
            for part in cls.model_fields[name].metadata:
                if isinstance(part, Unit):
                    field[UNIT] = part.name
                elif isinstance(part, Values):
                    _describe_values(field, part.lines)
                    if None in part.lines:  # which is no value of an enum
                        field["description"] += f" null: {part.lines[None]}"
        return schema


def plain(text: str) -> str:
    """A text without the marks of Markdown that the language's own texts have."""
    return text.replace("`", "")


def enum_descriptions(lines: Iterable[str]) -> dict[str, list[str]]:
    """The keywords of a JSON Schema that describe the values of its `enum`, in their order."""
    lines = list(lines)
    return {"enumDescriptions": list(map(plain, lines)), "markdownEnumDescriptions": lines}


def _describe_values(schema: Any, lines: Mapping[Any, str]) -> None:
    """Add a description to every value of every `enum` in the schema of a field."""
    parts = schema if isinstance(schema, list) else schema.values()
    for part in parts:
        if isinstance(part, dict | list):
            _describe_values(part, lines)
    if isinstance(schema, dict) and isinstance(schema.get("enum"), list):
        schema |= enum_descriptions(lines.get(value, "") for value in schema["enum"])


class Interval(Section):
    """How often something happens. Give `epochs` or `steps`, not both."""

    on_resume: ClassVar = Resume.MAY_CHANGE

    epochs: Annotated[PositiveInt | None, Unit("epochs")] = Field(
        default=None,
        description="Once every so many passes over the training set. null: give `steps` instead.",
        examples=[5],
    )
    steps: Annotated[PositiveInt | None, Unit("updates")] = Field(
        default=None,
        description="Once every so many updates. null: give `epochs` instead.",
        examples=[100],
    )
