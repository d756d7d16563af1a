"""`fgspec diff`."""

import json

import typer

from fgspec.canonical import Difference, differences, identity
from fgspec.cli.options import JsonOption, SpecArgument
from fgspec.diagnostics import MISSING, Origin, dotted, flow
from fgspec.source import load


def run(a: SpecArgument, b: SpecArgument, as_json: JsonOption = False) -> None:
    """Print the fields in which two resolved specs differ, with where each value comes from.

    Exit code 0 if they are the same, 1 if they differ, 2 if one is wrong.

    Example: fgspec diff specs/quickstart.yaml specs/quickstart/bp.yaml
    """
    left, right = load(a), load(b)
    found = differences(left, right)
    if as_json:
        hashes = {"a": identity(left.values()), "b": identity(right.values())}
        print(json.dumps({"sha256": hashes, "fields": [d.json() for d in found]}, indent=2))
    elif not found:
        print("the same")
    for difference in [] if as_json else found:
        print("\n".join(_lines(difference)))
    raise typer.Exit(1 if found else 0)


def _lines(difference: Difference) -> list[str]:
    sides = (
        ("-", difference.a, difference.a_origin),
        ("+", difference.b, difference.b_origin),
    )
    return [dotted(difference.path), *(_side(*side) for side in sides)]


def _side(sign: str, value: object, origin: Origin) -> str:
    return f"  {sign} " + ("absent" if value is MISSING else f"{flow(value)}  ({origin})")
