"""`fgspec diff`."""

import json
from pathlib import Path

import typer
from rich.console import Console

from fgspec import api
from fgspec.cli.arguments import ArgumentError, refuse_unwritable, written
from fgspec.comparing import as_html as diff_html
from fgspec.comparing import as_text as diff_text
from fgspec.comparing.comparison import Probing, of_fields
from fgspec.explaining.picture import picture
from fgspec.loading.spec_file import load
from fgspec.training.logbook import write_text


def run(
    specs: list[Path],
    overrides: list[str] | None,
    fields: bool,
    probe: bool,
    steps: int | None,
    draws: int | None,
    as_json: bool,
    html: Path | None,
) -> None:
    """What `fgspec diff` does."""
    if len(specs) > 2 or (len(specs) == 1 and not overrides):
        raise ArgumentError("diff: give two specs, or one and --set")
    if fields and probe:
        raise ArgumentError("diff: --fields compares no estimates; leave out --fields or --probe")
    chosen = {"steps": steps, "draws": draws}
    given = {name: value for name, value in chosen.items() if value is not None}
    if given and not probe:
        raise ArgumentError(f"diff: --{next(iter(given))} is of --probe; give that too")
    if html is not None:
        refuse_unwritable("diff: --html", html)
    left, right = load(specs[0]), load(specs[-1], overrides or ())
    how = Probing(**given) if probe else None
    found = of_fields(left, right) if fields else api.compare(left, right, how)
    if html is not None:
        drawn = () if fields else tuple(picture(api.plan(s, here=False)) for s in (left, right))
        with written("diff: --html", html):
            write_text(html, diff_html.page(found, drawn))
    if as_json:
        print(json.dumps(found.json(), indent=2))
    else:
        diff_text.show(found, Console())
    if not fields:
        api.refuse_untold(right)
    raise typer.Exit(1 if found.fields else 0)
