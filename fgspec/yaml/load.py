"""YAML 1.2 text to plain Python values, with the place of every key and value.

PyYAML scans and parses; scalars follow the core schema of YAML 1.2, so `no` is text and `1e-3` a
number, which they are not to PyYAML. What a reader could take for something else is refused, and
size, depth and aliases are bounded before anything is built.
"""

import os
import pathlib
import re
import stat
from dataclasses import dataclass, replace
from typing import Any

import yaml

from fgspec.yaml.scalars import (
    KINDS,
    MAX_BYTES,
    TAGS,
    TOO_LARGE,
    Mark,
    YamlError,
    checked,
    core_tag,
    end_of,
    plain,
    show,
    syntax_error,
)

MAX_DEPTH = 64
MAX_NODES = 10_000

Path = tuple[str | int, ...]


@dataclass(frozen=True)
class Document:
    """A plain value and its places: of each mapping key or list item, and of each value.

    The path `()` is the root. An aliased value stands where the alias does, and what is inside it
    where the anchor does. `text` is what was parsed.
    """

    value: Any
    keys: dict[Path, Mark]
    values: dict[Path, Mark]
    text: str


@dataclass(frozen=True)
class _Node:
    """A scalar, a list of nodes, or a dict of key -> (its place, its node)."""

    mark: Mark
    value: Any
    size: int
    height: int


class _Composer:
    """Composes one document from PyYAML's events, counting nodes and depth as they come."""

    def __init__(self, text: str, file: str) -> None:
        self.text = checked(text, file)
        self.file = file
        self.loader = yaml.SafeLoader(self.text)
        self.anchors: dict[str, _Node | None] = {}  # None while the anchored node is open
        self.nodes = 0

    def document(self, in_flow: bool) -> _Node:
        """Return the root of the text's one document; `in_flow` refuses block style."""
        self.event()
        start = self.event()
        first = start if isinstance(start, yaml.StreamEndEvent) else self.event()
        if isinstance(first, yaml.StreamEndEvent) or _is_plain(first, ""):
            problem = "The document is empty; expected at least one value: write it"
            raise YamlError(self.mark(first), problem)
        block = isinstance(first, yaml.CollectionStartEvent) and not first.flow_style
        if in_flow and (block or getattr(first, "style", None) in ("|", ">")):
            problem = f"{show(self.text)} is in block style; expected one value on one line: "
            raise YamlError(self.mark(first), problem + "write [a, b] or {a: 1}, or quote text")
        root = self.node(first, 0)
        self.event()
        after = self.event()
        if not isinstance(after, yaml.StreamEndEvent):
            problem = "A second document starts here; expected one: move it to a file of its own"
            raise YamlError(self.mark(after), problem)
        return root

    def event(self) -> yaml.Event:
        """Return the next event."""
        try:
            return self.loader.get_event()
        except yaml.MarkedYAMLError as error:
            raise syntax_error(self.text, self.file, error) from None
        except (ValueError, OverflowError):
            # PyYAML passes an escape's number to chr(), and a directive's to int(), unchecked.
            place = self.loader.get_mark()
            problem = (
                "A number here is out of range; expected an escape up to \\U0010ffff: correct it"
            )
            raise YamlError(Mark(self.file, place.line + 1, place.column + 1), problem) from None

    def mark(self, event: yaml.Event) -> Mark:
        """Return where the event starts."""
        return Mark(self.file, event.start_mark.line + 1, event.start_mark.column + 1)

    def node(self, event: Any, depth: int) -> _Node:
        """Return the node that starts with the event, inside `depth` lists and mappings."""
        mark = self.mark(event)
        if isinstance(event, yaml.AliasEvent):
            return self.alias(event.anchor, mark, depth)
        before = self.nodes
        nested = isinstance(event, yaml.CollectionStartEvent)
        self.grow(1, depth + nested, mark)
        tag = core_tag(event, mark)
        anchor = event.anchor
        if anchor is not None:
            self.anchors[anchor] = None
        inner: list[_Node] = []
        if isinstance(event, yaml.MappingStartEvent):
            value = self.entries(depth + 1)
            inner = [child for _, child in value.values()]
        elif nested:
            value = inner = self.items(depth + 1)
        else:
            if _is_plain_number(event) and event.value.startswith("0") and len(event.value) > 1:
                comma = self.decimal_comma(event)
                if comma is not None:
                    raise comma
            value = _scalar_value(event, tag, mark)
        if tag is not None and type(value) is not TAGS[tag]:
            problem = f"The tag !!{tag} stands before {KINDS[type(value)]}; expected "
            raise YamlError(mark, f"{problem}{KINDS[TAGS[tag]]}: remove the tag")
        height = max((child.height for child in inner), default=0) + nested
        node = _Node(mark, value, self.nodes - before, height)
        if anchor is not None:
            self.anchors[anchor] = node
        return node

    def decimal_comma(self, event: Any) -> YamlError | None:
        """Return what to say of `0,05` in brackets or braces, where a comma parts two values."""
        whole = re.search(r"(?<![\w.,+-])[-+]?[0-9]+,\Z", self.text[: event.start_mark.index])
        if whole is None:
            return None
        number = whole[0] + event.value
        place = self.text[: whole.start()]
        problem = (
            f"{show(number)} is two values here, because a comma separates values; expected a "
        )
        problem += f"decimal point: write {number.replace(',', '.')}"
        return YamlError(end_of(place, self.file), problem)

    def alias(self, name: str, mark: Mark, depth: int) -> _Node:
        """Return the anchored node, moved to the place of its alias."""
        if name not in self.anchors:
            problem = f"{show('*' + name)} has no anchor; expected {show('&' + name)} before an "
            raise YamlError(
                mark, f"{problem}earlier value: add it, or quote the alias if it is text"
            )
        node = self.anchors[name]
        if node is None:
            problem = f"{show('*' + name)} stands inside the value it names; expected a value "
            raise YamlError(mark, f"{problem}that ended before it: remove the alias")
        self.grow(node.size, depth + node.height, mark)
        return replace(node, mark=mark)

    def grow(self, nodes: int, depth: int, mark: Mark) -> None:
        """Count nodes that reach down to a depth, or refuse them."""
        self.nodes += nodes
        if self.nodes > MAX_NODES:
            problem = f"The document has more than {MAX_NODES} keys and values once its aliases "
            problem += f"are expanded; expected at most {MAX_NODES}: use fewer aliases or items"
            raise YamlError(mark, problem)
        if depth > MAX_DEPTH:
            problem = f"This value reaches {depth} lists and mappings deep; expected at most "
            raise YamlError(mark, f"{problem}{MAX_DEPTH}: nest less")

    def items(self, depth: int) -> list[_Node]:
        """Return a list's nodes."""
        items = []
        while not isinstance(event := self.event(), yaml.SequenceEndEvent):
            items.append(self.node(event, depth))
        return items

    def entries(self, depth: int) -> dict[str, tuple[Mark, _Node]]:
        """Return a mapping's nodes, each with the place of its key."""
        entries: dict[str, tuple[Mark, _Node]] = {}
        while not isinstance(event := self.event(), yaml.MappingEndEvent):
            key = self.key(event, depth)
            if key.value in entries:
                first = entries[key.value][0]
                problem = f"The key {show(key.value)} is here a second time, first at {first}; "
                raise YamlError(key.mark, f"{problem}expected each key once: remove one of them")
            entries[key.value] = (key.mark, self.node(self.event(), depth))
        return entries

    def key(self, event: yaml.Event, depth: int) -> _Node:
        """Return the node of a mapping's key, which is a string."""
        if _is_plain_number(event) and (comma := self.decimal_comma(event)):
            raise comma
        if _is_plain(event, "<<"):
            problem = "The merge key '<<' is not in YAML 1.2; expected a plain key: "
            problem += "use 'extends:', or an anchor on a whole value"
            raise YamlError(self.mark(event), problem)
        key = self.node(event, depth)
        if not isinstance(key.value, str):
            shown = f" {show(event.value)}" if isinstance(event, yaml.ScalarEvent) else ""
            problem = f"The key{shown} is {KINDS[type(key.value)]}; expected a string: "
            raise YamlError(key.mark, f"{problem}write a name, or quote the key")
        return key


def _is_plain(event: yaml.Event, text: str) -> bool:
    """Tell whether the event is just this text, with no quotes, tag or anchor."""
    return isinstance(event, yaml.ScalarEvent) and (
        event.value,
        event.style,
        event.tag,
        event.anchor,
    ) == (text, None, None, None)


def _is_plain_number(event: yaml.Event) -> bool:
    """Tell whether the event is just digits."""
    return (
        isinstance(event, yaml.ScalarEvent)
        and re.fullmatch("[0-9]+", event.value) is not None
        and _is_plain(event, event.value)
    )


def _scalar_value(event: Any, tag: str | None, mark: Mark) -> Any:
    """Return a scalar's value; quotes and `!!str` make it a string."""
    try:
        # JSON, which is YAML 1.2, escapes a character past U+FFFF as a pair of surrogates.
        text = event.value.encode("utf-16-le", "surrogatepass").decode("utf-16-le")
    except UnicodeDecodeError:
        problem = f"{show(event.value)} has half a character; expected a whole one: "
        raise YamlError(mark, f"{problem}write it as itself, or as \\U and 8 digits") from None
    if tag == "str" or (tag is None and event.style is not None):
        return text
    value = plain(text, mark)
    return float(value) if tag == "float" and type(value) is int else value


def _build(node: _Node, path: Path, keys: dict[Path, Mark], values: dict[Path, Mark]) -> Any:
    """Return the node's plain value and note its places."""
    values[path] = node.mark
    if isinstance(node.value, dict):
        inner = node.value.items()
    elif isinstance(node.value, list):
        inner = enumerate((item.mark, item) for item in node.value)
    else:
        return node.value
    built: dict[Any, Any] = {}
    for step, (mark, child) in inner:
        keys[(*path, step)] = mark
        built[step] = _build(child, (*path, step), keys, values)
    return built if isinstance(node.value, dict) else list(built.values())


def parse(text: str, file: str) -> Document:
    """Return the one document of a text, whose root is a mapping.

    Args:
        text: YAML, at most 1 MiB.
        file: What the marks call the text.

    Raises:
        YamlError: If the text is anything else.
    """
    composer = _Composer(text, file)
    root = composer.document(in_flow=False)
    if not isinstance(root.value, dict):
        problem = f"The document is {KINDS[type(root.value)]}; expected a mapping: "
        raise YamlError(root.mark, problem + "write 'key: value' lines")
    keys: dict[Path, Mark] = {}
    values: dict[Path, Mark] = {}
    return Document(_build(root, (), keys, values), keys, values, composer.text)


_PIPED: dict[tuple[str, int, int], bytes] = {}
"""What pipes held: they can be read once, and a spec is asked for more than once."""


def _bytes(path: pathlib.Path) -> bytes:
    """What a file holds, or more than a spec may."""
    about = os.stat(path)
    key = (str(path), about.st_dev, about.st_ino)
    if key in _PIPED:
        return _PIPED[key]
    with path.open("rb") as stream:
        data = stream.read(MAX_BYTES + 1)
    if not stat.S_ISREG(about.st_mode):
        _PIPED[key] = data
    return data


def read(path: pathlib.Path) -> Document:
    """Return the one document of a file, as `parse` does.

    Args:
        path: A file in UTF-8.

    Raises:
        YamlError: If the file cannot be read, or is not such a document.
    """
    file = str(path)
    start = Mark(file, 1, 1)
    try:
        data = _bytes(path)
    except FileNotFoundError:
        problem = "There is no such file; expected a YAML file: check the path"
        raise YamlError(start, problem) from None
    except IsADirectoryError:
        problem = "This is a directory; expected a YAML file: name a file in it"
        raise YamlError(start, problem) from None
    except (OSError, ValueError) as error:  # ValueError: the path holds a NUL
        reason = getattr(error, "strerror", None) or error
        problem = f"The file cannot be read ({reason}); expected a readable YAML file: check it"
        raise YamlError(start, problem) from None
    if len(data) > MAX_BYTES:
        raise YamlError(start, TOO_LARGE)
    try:
        text = data.decode("utf-8")
    except UnicodeDecodeError as error:
        before = data[: error.start].decode("utf-8").removeprefix("\ufeff")
        problem = f"The byte 0x{data[error.start]:02X} is not UTF-8; expected UTF-8 text: "
        raise YamlError(end_of(before, file), problem + "save the file as UTF-8") from None
    return parse(text, file)


def scalar(text: str) -> Any:
    """Return one value as `--set key=value` gives it: a scalar, or a list or mapping in brackets.

    Raises:
        YamlError: If the text is anything else; its mark's file is `--set`.
    """
    if not text.strip(" \t\r\n"):
        return None
    return _build(_Composer(text, "--set").document(in_flow=True), (), {}, {})
