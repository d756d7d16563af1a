"""Specs that pages show are specs, and the script that runs the docs' commands reads its fences."""

import re
import runpy
from pathlib import Path

import pytest

import fgspec

DOCS = Path(__file__).parent.parent / "docs"
SPECS = [
    (page.stem, text)
    for page in sorted(DOCS.glob("from_*.md"))
    for text in re.findall(r"```yaml\n(fgspec: .*?)```", page.read_text(), re.DOTALL)
]


@pytest.mark.parametrize(("page", "text"), SPECS, ids=[page for page, _ in SPECS])
def test_the_spec_beside_another_tools_configuration_is_one(page, text):
    assert fgspec.load(text).experiment.name in ("digits", "pictures")


def test_every_page_for_newcomers_has_its_spec():
    assert [page for page, _ in SPECS] == ["from_hydra", "from_lightning", "from_ludwig"]


@pytest.fixture(scope="module")
def commands():
    return runpy.run_path(str(DOCS / "commands.py"))


@pytest.mark.parametrize(
    ("comment", "shown"),
    [
        (None, ["a", "b", "c", "d"]),
        ("first 1, last 1", ["a", "...", "d"]),
        ("last 2", ["...", "c", "d"]),
        ("first 3, exit 2", ["a", "b", "c", "..."]),
        ("first 3, last 1", ["a", "b", "c", "d"]),
    ],
)
def test_output_is_cut_as_the_comment_says(commands, comment, shown):
    assert commands["read"](comment).cut(["a", "b", "c", "d"]) == shown


def test_a_comment_that_is_not_understood_is_an_error(commands):
    with pytest.raises(ValueError, match="first eight"):
        commands["read"]("first eight")


def test_pages_get_the_output_of_today_and_failures_are_counted(commands, tmp_path):
    commands["run_page"].__globals__["ROOT"] = tmp_path
    page = tmp_path / "page.md"
    page.write_text(
        "<!-- output: first 1 -->\n```console\n$ printf 'new\\nmore\\n'\nold\n```\n"
        "```console\n$ exit 3\nkept as it was\n```\n"
        "<!-- output: exit 3 -->\n```console\n$ exit 3\nold\n```\n"
        "<!-- output: kept, no such tool -->\n```console\n$ nothing\nold\n```\n"
    )
    text, counts = commands["run_page"](page, commands["Workspace"](tmp_path))
    assert text == (
        "<!-- output: first 1 -->\n```console\n$ printf 'new\\nmore\\n'\nnew\n...\n```\n"
        "```console\n$ exit 3\nkept as it was\n```\n"
        "<!-- output: exit 3 -->\n```console\n$ exit 3\n```\n"
        "<!-- output: kept, no such tool -->\n```console\n$ nothing\nold\n```\n"
    )
    assert counts == {"run": 2, "failed": 1, "kept": 1}


def test_the_gallery_has_every_picture():
    shown = re.findall(r"!\[.+?\]\((.+?)\)", (DOCS / "gallery.md").read_text())
    there = [path for kind in ("svg", "png") for path in DOCS.rglob(f"*.{kind}")]
    assert sorted(shown) == sorted(path.relative_to(DOCS).as_posix() for path in there)
