"""Execute the lessons of the tutorial, and write their pages.

    pip install -e ".[docs]"
    python docs/tutorial/build.py                   # executes all lessons, writes pages and figures
    python docs/tutorial/build.py 2 5               # only the second and the fifth
    python docs/tutorial/build.py --check           # executes all lessons, writes nothing
    python docs/tutorial/build.py --notebooks DIR   # also writes notebooks with their outputs

A lesson is a Python file in jupytext's percent format. It fails when a cell raises an error; cells
assert what the text claims. `--check` also fails where a page is older than its lesson.
"""

import argparse
import hashlib
import os
import sys
import tempfile
from pathlib import Path

import jupytext
import nbformat
from nbclient import NotebookClient
from nbclient.exceptions import CellExecutionError
from nbconvert import MarkdownExporter

HERE = Path(__file__).resolve().parent
LESSONS = sorted(HERE.glob("[0-9]_*.py"))
FIGURES = "figures"

# Code and printed text in fences, and figures with the text of their cell's `alt`.
PAGE = """\
{%- extends 'markdown/index.md.j2' -%}
{% block input %}
{%- if cell.source.startswith('%%bash') %}
```sh
{{ cell.source.removeprefix('%%bash').strip() }}
```
{%- else %}
```python
{{ cell.source.rstrip() }}
```
{%- endif %}
{% endblock input %}
{% block stream %}
```text
{{ (output.text | strip_ansi).rstrip() }}
```
{% endblock stream %}
{% block data_text scoped %}
```text
{{ output.data['text/plain'].rstrip() }}
```
{% endblock data_text %}
{% block data_svg %}
![{{ cell.metadata.alt }}]({{ output.metadata.filenames['image/svg+xml'] | path2url }})
{% endblock data_svg %}
"""


def executed(lesson: Path) -> nbformat.NotebookNode:
    """The lesson as a notebook with its outputs, executed in an empty folder.

    Raises:
        CellExecutionError: a cell failed.
    """
    notebook = jupytext.read(lesson)
    with tempfile.TemporaryDirectory() as folder:
        NotebookClient(
            notebook,
            timeout=600,
            kernel_name="python3",
            resources={"metadata": {"path": folder}},
            extra_arguments=["--InlineBackend.figure_formats=svg"],
            coalesce_streams=True,
        ).execute()
    return notebook


def page_of(lesson: Path, notebook: nbformat.NotebookNode) -> tuple[str, dict[str, bytes]]:
    """The lesson's page, and its figures by the paths that the page gives them."""
    exporter = MarkdownExporter(raw_template=PAGE)
    named = {"unique_key": lesson.stem, "output_files_dir": FIGURES}
    text, resources = exporter.from_notebook_node(notebook, resources=named)
    return f"{mark(lesson)}\n\n{text.strip()}\n", resources["outputs"]


def mark(lesson: Path) -> str:
    """The first line of the page that belongs to the lesson as it is now."""
    digest = hashlib.sha256(lesson.read_bytes()).hexdigest()[:16]
    return f"<!-- written by build.py from {lesson.name}, sha256 {digest} -->"


def write(lesson: Path, notebook: nbformat.NotebookNode) -> None:
    """Write the page and the figures of a lesson; figures that it no longer has are removed."""
    text, figures = page_of(lesson, notebook)
    for old in (HERE / FIGURES).glob(f"{lesson.stem}*"):
        old.unlink()
    (HERE / FIGURES).mkdir(exist_ok=True)
    for path, figure in figures.items():
        (HERE / path).write_bytes(figure)
    lesson.with_suffix(".md").write_text(text)


def is_current(lesson: Path) -> bool:
    """Whether the lesson's page was written from the lesson as it is now."""
    page = lesson.with_suffix(".md")
    return page.is_file() and page.read_text().startswith(mark(lesson))


def settings() -> dict[str, str]:
    """Environment variables under which lessons give the same pages everywhere."""
    programs = os.pathsep.join([str(Path(sys.executable).parent), os.environ.get("PATH", "")])
    return {
        "PATH": programs,  # of the `fgspec` and `python` that cells call
        "JAX_PLATFORMS": "cpu",
        "FGSPEC_CACHE": "off",
        "MATPLOTLIBRC": str(HERE / "matplotlibrc"),
        "SOURCE_DATE_EPOCH": "0",  # the date in figures
    }


def main() -> None:
    """Run what the command line asks for."""
    parser = argparse.ArgumentParser(description="Execute the lessons and write their pages.")
    parser.add_argument("lessons", nargs="*", help="numbers of lessons; all if none is given")
    parser.add_argument("--check", action="store_true", help="write no pages")
    parser.add_argument("--notebooks", type=Path, help="folder for notebooks with outputs")
    asked = parser.parse_args()
    os.environ.update(settings())
    failed = []
    for lesson in LESSONS:
        if asked.lessons and lesson.name.partition("_")[0] not in asked.lessons:
            continue
        print(lesson.name, flush=True)
        if asked.check and not is_current(lesson):
            print(f"{lesson.stem}.md is older than {lesson.name}; run {Path(__file__).name}")
            failed.append(lesson.name)
        try:
            notebook = executed(lesson)
        except CellExecutionError as error:
            print(error)
            failed.append(lesson.name)
            continue
        if not asked.check:
            write(lesson, notebook)
        if asked.notebooks is not None:
            asked.notebooks.mkdir(parents=True, exist_ok=True)
            nbformat.write(notebook, asked.notebooks / f"{lesson.stem}.ipynb")
    sys.exit(f"failed: {', '.join(dict.fromkeys(failed))}" if failed else 0)


if __name__ == "__main__":
    main()
