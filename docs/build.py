"""Build the site, and check its links.

    pip install -e ".[docs]"
    python docs/build.py        # writes build/site

Pages are those in docs/, and four files of the repository's root. The language reference is written
by `fgspec.reference`, the API's pages list what `fgspec` and `fgspec.testing` offer. A link to a
file that is no page, such as a source file, leads to a copy of it as text. The build fails where a
link or an anchor leads nowhere, or where a page is not in the navigation.
"""

import os
import posixpath
import re
import shutil
import subprocess
import sys
from collections.abc import Iterator
from html.parser import HTMLParser
from pathlib import Path
from typing import Any
from urllib.parse import unquote, urlsplit

import yaml

import fgspec
import fgspec.testing

ROOT = Path(__file__).resolve().parent.parent
DOCS = ROOT / "docs"
BUILD = ROOT / "build"
SOURCE = BUILD / "site_source"
SITE = BUILD / "site"

ROOT_PAGES = {
    "README.md": "index.md",
    "CHANGELOG.md": "changelog.md",
    "CONTRIBUTING.md": "contributing.md",
    "SECURITY.md": "security.md",
}
"""Pages of the root, with their names on the site."""

NO_CONTENT = shutil.ignore_patterns("*.py", "*.yml", "matplotlibrc", "__pycache__", ".*")

LINK = re.compile(r"(?P<text>\]\()(?P<target>[^)\s]+)(?P<end>\))")
FENCED = re.compile(r"(^ *(`{3,}).*?^ *\2 *$)", re.MULTILINE | re.DOTALL)


class SiteError(Exception):
    """What is wrong with the site, a line each."""


def collect() -> None:
    """Bring all pages, pictures and linked files together in the folder that is built from."""
    shutil.rmtree(BUILD / "site_source", ignore_errors=True)
    shutil.copytree(DOCS, SOURCE, ignore=NO_CONTENT)
    places = {path: SOURCE / path.relative_to(DOCS) for path in DOCS.rglob("*.md")}
    places |= {ROOT / name: SOURCE / page for name, page in ROOT_PAGES.items()}
    for path, place in places.items():
        parts = FENCED.split(path.read_text())
        # Of each three parts, the second is a fence and the third its ticks.
        text = "".join(
            part if i % 3 == 1 else _with_links(part, path, place, places)
            for i, part in enumerate(parts)
            if i % 3 != 2
        )
        place.write_text(text)


def _with_links(text: str, path: Path, place: Path, places: dict[Path, Path]) -> str:
    """The text of a page, with the links that hold at the page's place on the site."""

    def moved(link: re.Match[str]) -> str:
        name, hash_, anchor = link["target"].partition("#")
        target = (path.parent / name).resolve()
        if not name or "://" in name or not target.is_file():
            return link[0]  # a broken one is found when links are checked
        there = places.get(target) or _copied(target)
        return f"{link['text']}{os.path.relpath(there, place.parent)}{hash_}{anchor}{link['end']}"

    return LINK.sub(moved, text)


def _copied(file: Path) -> Path:
    """Where a file that is no page is on the site: with the docs, or as text."""
    place = SOURCE / file.relative_to(DOCS) if file.is_relative_to(DOCS) else None
    if place is None or not place.is_file():
        place = SOURCE / "files" / f"{file.relative_to(ROOT)}.txt"
        place.parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(file, place)
    return place


def write_reference() -> None:
    """The pages of the language, by the package that describes it."""
    command = [sys.executable, "-m", "fgspec.reference", str(SOURCE / "reference")]
    subprocess.run(command, cwd=ROOT, check=True)


def write_api() -> None:
    """A page for each group of public names."""
    laws = dict.fromkeys(fgspec.testing.__all__, "fgspec.testing")
    tables = vars(fgspec)  # the stub has only what is for users
    groups = {
        "python": ("What is called", "fgspec", tables["VERBS"]),
        "bases": ("Bases of methods", "fgspec", tables["BASES"]),
        "parts": ("What methods are made of", "fgspec", tables["PARTS"]),
        "testing": ("Laws for methods", "fgspec.testing", laws),
    }
    (SOURCE / "api").mkdir()
    for page, (title, package, names) in groups.items():
        lines = [f"# {title}", "", f"All of these are imported from `{package}`.", ""]
        for name, place in names.items():
            module, _, other = place.partition(":")
            if module == "pydantic":
                lines += [f"## `{package}.{name}`", "", "As in pydantic.", ""]
                continue
            lines += [
                f"::: {module}.{other or name}",
                "    options:",
                f"      heading: {package}.{name}",
                f"      toc_label: {name}",
                "",
            ]
        (SOURCE / "api" / f"{page}.md").write_text("\n".join(lines))


def expanded(nav: list[Any]) -> list[Any]:
    """The navigation, with the pages of a folder where an entry names one."""
    entries: list[Any] = []
    for entry in nav:
        ((title, below),) = entry.items()
        if isinstance(below, list):
            entries.append({title: expanded(below)})
        elif below.endswith("/"):
            found = sorted((SOURCE / below).glob("*.md"))
            found.sort(key=lambda path: path.name != "index.md")
            if not found:
                raise SiteError(f"docs/site.yml: there is no page in {below}")
            entries.append({title: [str(path.relative_to(SOURCE)) for path in found]})
        else:
            entries.append(entry)
    return entries


def pages_in(nav: list[Any]) -> Iterator[str]:
    """The pages that the navigation leads to."""
    for entry in nav:
        if isinstance(entry, str):
            yield entry
            continue
        for below in entry.values():
            yield from pages_in(below) if isinstance(below, list) else [below]


def check_navigation(nav: list[Any]) -> None:
    """Every page is in the navigation, and every entry of it is a page."""
    there = {str(path.relative_to(SOURCE)) for path in SOURCE.rglob("*.md")}
    listed = set(pages_in(nav))
    problems = [f"{page}: is not in the navigation of docs/site.yml" for page in there - listed]
    problems += [f"docs/site.yml: there is no page {page}" for page in listed - there]
    if problems:
        raise SiteError("\n".join(sorted(problems)))


class Page(HTMLParser):
    """The anchors and links of a page."""

    def __init__(self, path: Path) -> None:
        super().__init__()
        self.anchors: set[str] = set()
        self.links: set[str] = set()
        self.feed(path.read_text())

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        """Note what can be linked to, and what is."""
        of = dict(attrs)
        self.anchors |= {value for key in ("id", "name") if (value := of.get(key))}
        self.links |= {value for key in ("href", "src") if (value := of.get(key))}


def check_links() -> None:
    """Every link within the site leads to a file, and to an anchor in it if it names one."""
    pages = {path: Page(path) for path in SITE.rglob("*.html")}
    problems, inside, outside = [], 0, 0
    for path, page in pages.items():
        for link in sorted(page.links) if path.name != "404.html" else []:
            parts = urlsplit(link)
            if parts.scheme or parts.netloc:
                outside += 1
                continue
            inside += 1
            name = posixpath.join(path.parent.as_posix(), unquote(parts.path))
            target = Path(posixpath.normpath(name)) if parts.path else path
            target = target / "index.html" if target.is_dir() else target
            anchor = unquote(parts.fragment)
            if not target.is_file():
                problems.append(f"{path.relative_to(SITE)}: {link}: leads to no file")
            elif anchor and target in pages and anchor not in pages[target].anchors:
                problems.append(f"{path.relative_to(SITE)}: {link}: there is no such anchor")
    if problems:
        raise SiteError("\n".join(problems))
    print(f"{len(pages)} pages, {inside} links within the site; {outside} others, not followed")


def main() -> None:
    """Build and check."""
    collect()
    write_reference()
    write_api()
    settings = yaml.safe_load((DOCS / "site.yml").read_text())
    settings |= {"docs_dir": SOURCE.name, "site_dir": SITE.name, "nav": expanded(settings["nav"])}
    settings["plugins"][1]["mkdocstrings"]["handlers"]["python"]["paths"] = [str(ROOT)]
    check_navigation(settings["nav"])
    (BUILD / "mkdocs.yml").write_text(yaml.safe_dump(settings, sort_keys=False))
    shutil.rmtree(SITE, ignore_errors=True)
    subprocess.run(
        [sys.executable, "-m", "zensical", "build", "--strict", "--clean", "-f", "mkdocs.yml"],
        cwd=BUILD,
        env=os.environ | {"PYTHONPATH": str(DOCS), "NO_COLOR": "1"},
        check=True,
    )
    check_links()


if __name__ == "__main__":
    try:
        main()
    except SiteError as error:
        sys.exit(str(error))
