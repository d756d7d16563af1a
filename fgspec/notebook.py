"""How specs, plans, comparisons and reports look in a notebook.

A notebook asks objects for `_repr_html_`.
"""

from collections.abc import Callable, Mapping
from html import escape
from typing import Any

from compiler.cost.counts import counts
from compiler.plan.plan import Plan
from fgspec.comparing.as_html import page
from fgspec.comparing.comparison import Comparison
from fgspec.loading.resolved import resolved_text, spec_hash
from fgspec.loading.spec_file import Loaded
from fgspec.results.report import Report
from fgspec.show.bias_notes import notes
from fgspec.show.plan_tables import layer_lines

_TEXT = "font: 12px/1.45 ui-monospace, monospace; white-space: pre; overflow-x: auto; margin: 0"

_FRAME = "width: 100%; height: 30em; border: 1px solid #8884; background: #fff; resize: vertical"


def _spec(spec: Loaded) -> str:
    about = " ".join(filter(None, (spec.rule, spec_hash(spec)[:8])))
    return _titled(spec.experiment.name, about, resolved_text(spec))


def _plan(plan: Plan) -> str:
    counted = counts(plan)
    about = f"{counted.parameters:,} parameters, {plan.steps:,} steps"
    lines = [*layer_lines(plan), *(f"note: {note}" for note in notes(plan))]
    return _titled(plan.experiment.name, about, "\n".join(lines))


def _comparison(found: Comparison) -> str:
    return framed(page(found))


def _report(report: Report) -> str:
    return framed(report.html())


def _titled(name: str, about: str, text: str) -> str:
    head = f"<b>{escape(name)}</b> <small>{escape(about)}</small>"
    return f'<div>{head}<pre style="{_TEXT}">{escape(text)}</pre></div>'


def framed(document: str) -> str:
    """A whole HTML page inside of another, where its styles reach nothing else."""
    return f'<iframe srcdoc="{escape(document, quote=True)}" style="{_FRAME}"></iframe>'


SHOWN: Mapping[type, Callable[[Any], str]] = {
    Loaded: _spec,
    Plan: _plan,
    Comparison: _comparison,
    Report: _report,
}
"""What is shown of objects, by their class."""


def join() -> None:
    """Give these classes their `_repr_html_`."""
    # From outside, as the compiler writes nothing for people and a spec knows nothing of HTML.
    for kind, html in SHOWN.items():
        kind._repr_html_ = html
