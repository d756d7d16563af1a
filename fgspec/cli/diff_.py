"""`fgspec diff`."""

import json
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console

from fgspec import api
from fgspec.cli.options import ArgumentError, JsonOption, SetOption, unwritable
from fgspec.comparing import as_html as diff_html
from fgspec.comparing import as_text as diff_text
from fgspec.comparing.comparison import Probing, of_fields
from fgspec.loading.spec_file import load
from fgspec.training.logbook import write_text

FieldsOption = Annotated[bool, typer.Option("--fields", help="Compare fields only.")]
ProbeOption = Annotated[
    bool, typer.Option("--probe", help="Measure both estimates on a batch of the data.")
]
StepsOption = Annotated[
    int | None,
    typer.Option("--steps", min=0, max=10**6, help="Updates before --probe measures; 20."),
]
DrawsOption = Annotated[
    int | None,
    typer.Option("--draws", min=32, max=10**7, help="Estimates --probe draws, by sixteens; 128."),
]
HtmlFile = Annotated[
    Path | None,
    typer.Option("--html", metavar="FILE", help="Write a page of its own to this file."),
]


def run(
    specs: Annotated[list[Path], typer.Argument(metavar="SPEC [SPEC]", help="YAML files.")],
    overrides: SetOption = None,
    fields: FieldsOption = False,
    probe: ProbeOption = False,
    steps: StepsOption = None,
    draws: DrawsOption = None,
    as_json: JsonOption = False,
    html: HtmlFile = None,
) -> None:
    """Print the fields in which two specs differ, and what of their computations that changes.

    --set acts on the second spec; where one is given, on a second copy of it. Nothing is compiled
    or run without --probe, which trains both for some updates and draws estimates of one batch.

    Exit code 0 if they are the same, 1 if they differ, 2 if one is wrong.

    Example: fgspec diff specs/quickstart.yaml --set gradient.perturbation.samples=4
    """
    if len(specs) > 2 or (len(specs) == 1 and not overrides):
        raise ArgumentError("diff: give two specs, or one and --set")
    if fields and probe:
        raise ArgumentError("diff: --fields compares no estimates; leave out --fields or --probe")
    chosen = {"steps": steps, "draws": draws}
    given = {name: value for name, value in chosen.items() if value is not None}
    if given and not probe:
        raise ArgumentError(f"diff: --{next(iter(given))} is of --probe; give that too")
    if html is not None and (reason := unwritable(html)):
        raise ArgumentError(f"diff: {html} cannot be written ({reason})")
    left, right = load(specs[0]), load(specs[-1], overrides or ())
    how = Probing(**given) if probe else None
    found = of_fields(left, right) if fields else api.compare(left, right, how)
    if html is not None:
        try:
            write_text(html, diff_html.page(found))
        except (OSError, ValueError) as error:
            raise ArgumentError(f"diff: {html} cannot be written ({error})") from None
    if as_json:
        print(json.dumps(found.json(), indent=2))
    else:
        diff_text.show(found, Console())
    if not fields:
        api.refuse_untold(right)
    raise typer.Exit(1 if found.fields else 0)
