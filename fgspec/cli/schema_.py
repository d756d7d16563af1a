"""`fgspec schema`."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from fgspec.cli.arguments import written
from fgspec.reference.words import RESUMED
from fgspec.spec.base import RESUME, UNIT, plain
from fgspec.spec.experiment import SpecFile
from fgspec.spec.sweep import SweepFile
from fgspec.sweeps.expand import RESERVED
from fgspec.training.logbook import write_text

SPEC = "Spec"
"""What the schema of a sweep calls the sections of a spec."""

_SHOWN = ("description", "markdownDescription", "examples")
"""The keywords of a field that editors show."""

_ITEM = r"^[A-Za-z_]\w*(\.\w+)*?(\.\d+|\[\d+\])"
"""The path of an item of a list, or of a field in one, of which no schema is given."""


def language_schema() -> dict[str, Any]:
    """The JSON Schema of what a file may hold; more lenient than `check`, for editors."""
    schema = _lenient(SpecFile.model_json_schema())
    schema["$schema"] = "https://json-schema.org/draft/2020-12/schema"
    schema["title"] = "fgspec experiment, language version 1"
    needed = schema.pop("required")  # a base may have what the spec that extends it leaves out
    _gather_sections(schema)
    _name_alone(schema)
    for section in schema["$defs"].values():
        kind = section.get("properties", {}).get("type", {})
        if "description" in section:
            kind.setdefault("description", section["description"])
    for field in (schema["properties"][name] for name in needed):
        field["description"] += " Required, here or in a spec that this one extends."
    _describe(schema)
    return schema


def _describe(schema: dict[str, Any]) -> None:
    """Put all that is known of a field into its description, which editors show."""
    for section in [schema, *schema["$defs"].values()]:
        for name, field in section.get("properties", {}).items():
            field["description"] = _hover(name, field, section)
            field.pop("title", None)  # its name once more
    _with_markdown(schema)


def _hover(name: str, field: dict[str, Any], section: dict[str, Any]) -> str:
    """What editors show of a field: its meaning, and what its other keywords say."""
    # pydantic leaves out a description that is that of the section that stands there.
    parts = [field.get("description", section["description"])]
    parts += [f"Unit: {field[UNIT]}."] if UNIT in field else []
    parts += ["Required."] if name in section.get("required", ()) else []
    parts += [f"On resume: {RESUMED[field[RESUME]]}."] if RESUME in field else []
    return "\n\n".join(parts)


def _with_markdown(schema: Any) -> None:
    """Give every description a second form for editors that show Markdown."""
    for part in schema if isinstance(schema, list) else ():
        _with_markdown(part)
    if not isinstance(schema, dict):
        return
    for part in schema.values():
        _with_markdown(part)
    text = schema.get("description")
    if isinstance(text, str):
        text = "\n\n".join(" ".join(part.split()) for part in text.split("\n\n"))
        schema.update(description=plain(text), markdownDescription=text)


def _gather_sections(schema: dict[str, Any]) -> None:
    """Move the sections that stand in the fields of others under `$defs`, each once.

    What stands there and is no section, such as any value of JSON, moves into the fields.
    """
    sections = schema.setdefault("$defs", {})
    values = {
        f"#/$defs/{name}": sections.pop(name)
        for name in [name for name, found in sections.items() if "properties" not in found]
    }

    def gathered(part: Any) -> Any:
        if isinstance(part, list):
            return [gathered(item) for item in part]
        if not isinstance(part, dict):
            return part
        if part.get("$ref") in values:
            return values[part["$ref"]]
        found = {key: gathered(value) for key, value in part.items()}
        if "properties" not in found or "title" not in found or found.get("type") != "object":
            return found
        name = found["title"]
        while sections.get(name, found) != found:  # another table has a class of that name
            name += "_"
        sections[name] = found
        return {"$ref": f"#/$defs/{name}"}

    def gathered_fields(section: dict[str, Any]) -> dict[str, Any]:
        # A value that is no section, such as any JSON value, has no fields.
        return {key: gathered(v) if key == "properties" else v for key, v in section.items()}

    for name, section in list(sections.items()):
        sections[name] = gathered_fields(section)
    schema["properties"] = gathered(schema["properties"])


def _name_alone(schema: dict[str, Any]) -> None:
    """A section with a `type` can be written as that alone, as a method can."""
    sections = schema["$defs"]
    for section in [schema, *sections.values()]:
        for field in section.get("properties", {}).values():
            below = sections.get(field.get("$ref", "").split("/")[-1], {}).get("properties", {})
            if "type" in below:
                field["anyOf"] = [{"$ref": field.pop("$ref")}, dict(below["type"])]


def _lenient(schema: Any) -> Any:
    """`schema` with unions that need no `type:`, which a base may have."""
    if isinstance(schema, list):
        return [_lenient(item) for item in schema]
    if not isinstance(schema, dict):
        return schema
    renamed = {"anyOf" if key == "oneOf" else key: _lenient(v) for key, v in schema.items()}
    renamed.pop("discriminator", None)
    return renamed


def sweep_schema() -> dict[str, Any]:
    """The JSON Schema of a sweep file, with every field of a spec by its path, for editors."""
    spec, schema = language_schema(), SweepFile.model_json_schema()
    schema["$schema"] = spec.pop("$schema")
    schema["title"] = "fgspec sweep, language version 1"
    parts = spec.pop("$defs")
    for part in parts.values():
        part.pop("required", None)  # the base, or another key of the sweep, may have it
    _describe(schema)
    sections = schema["$defs"] = parts | schema["$defs"] | {SPEC: spec}
    places: dict[str, list[dict[str, Any]]] = {}
    for path, place in _fields(sections, SPEC, ""):
        if path.split(".")[0] not in RESERVED and {"$ref": place} not in places.setdefault(
            path, []
        ):
            places[path].append({"$ref": place})
    values = {path: {"anyOf": refs} for path, refs in places.items() if refs}
    of_fields = {
        "Settings": values,
        "Axes": {path: {"type": "array", "minItems": 1, "items": v} for path, v in values.items()},
        "Draws": {path: {"$ref": "#/$defs/Draw"} for path in values},
    }
    of_items = {"Settings": {}, "Axes": {"type": "array", "minItems": 1}}
    of_items["Draws"] = {"$ref": "#/$defs/Draw"}
    for name, fields in of_fields.items():
        closed = {"type": "object", "additionalProperties": False, "properties": fields}
        closed["patternProperties"] = {_ITEM: of_items[name]}
        sections[name] = closed | {"description": "By the path of a field of the spec."}
    own, settings = schema["properties"], {"$ref": "#/$defs/Settings"}
    (any_name,) = own["arms"]["patternProperties"]
    own["arms"] |= {"patternProperties": {any_name: settings}, "additionalProperties": False}
    own["base"] = {"anyOf": [{"type": "string"}, own["base"]]} | _about(own["base"])
    own["set"] = settings | _about(own["set"])
    for name in ("grid", "zip"):
        own[name] = {"$ref": "#/$defs/Axes"} | _about(own[name])
    drawn = sections["Random"]["properties"]
    drawn["fields"] = {"$ref": "#/$defs/Draws", "minProperties": 1} | _about(drawn["fields"])
    return schema


def _about(field: dict[str, Any]) -> dict[str, Any]:
    """What editors show of a field."""
    return {key: field[key] for key in _SHOWN if key in field}


def _fields(sections: dict[str, Any], name: str, before: str) -> Iterator[tuple[str, str]]:
    """The path of every field in a section and below, and where the schema of its value is."""
    for key, field in sections[name].get("properties", {}).items():
        yield before + key, f"#/$defs/{name}/properties/{key}"
        for below in (field, *field.get("anyOf", ())):
            if "$ref" in below:
                yield from _fields(sections, below["$ref"].split("/")[-1], f"{before}{key}.")


def run(out: Path | None, sweep: bool) -> None:
    """What `fgspec schema` does."""
    text = json.dumps(sweep_schema() if sweep else language_schema(), indent=2) + "\n"
    if out is None:
        print(text, end="")
        return
    with written("schema: --out", out):
        write_text(out, text)
    print(f"{out} written; begin a {'sweep' if sweep else 'spec'} beside it with")
    print(f"# yaml-language-server: $schema={out.name}")
