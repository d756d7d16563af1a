"""YAML 1.2 text to plain Python values, with the place of every key and value.

PyYAML scans and parses; scalars follow the core schema of YAML 1.2, so `no` is text and `1e-3` a
number, which they are not to PyYAML. What a reader could take for something else is refused, and
size, depth and aliases are bounded before anything is built.
"""

import pathlib
import re
from dataclasses import dataclass, replace
from typing import Any

import yaml

from fgspec.errors import UserError

MAX_BYTES = 1024 * 1024
MAX_DEPTH = 64
MAX_NODES = 10_000
# Python refuses decimal integers of more than 4,300 digits; 64 bits in octal need 24.
MAX_INTEGER = 40
_TOO_LARGE = "The text is larger than 1 MiB; expected a spec of a few kilobytes: check the file"

Path = tuple[str | int, ...]


@dataclass(frozen=True)
class Mark:
    """A place in a file; line and column count from 1."""

    file: str
    line: int
    column: int

    def __str__(self) -> str:
        """Return `file:line:column`."""
        return f"{self.file}:{self.line}:{self.column}"


@dataclass(frozen=True)
class Document:
    """A plain value and its places: of each mapping key or list item, and of each value.

    The path `()` is the root. An aliased value stands where the alias does, and what is inside it
    where the anchor does.
    """

    value: Any
    keys: dict[Path, Mark]
    values: dict[Path, Mark]


class YamlError(UserError):
    """A text cannot be read as one plain YAML 1.2 document."""

    def __init__(self, mark: Mark, problem: str) -> None:
        super().__init__(mark, problem)
        self.mark = mark
        self.problem = problem

    def __str__(self) -> str:
        """Return `file:line:column: problem`."""
        return f"{self.mark}: {self.problem}"


@dataclass(frozen=True)
class _Node:
    """A scalar, a list of nodes, or a dict of key -> (its place, its node)."""

    mark: Mark
    value: Any
    size: int
    height: int


_CONSTANTS = {
    **dict.fromkeys(("", "~", "null", "Null", "NULL")),
    **dict.fromkeys(("true", "True", "TRUE"), True),
    **dict.fromkeys(("false", "False", "FALSE"), False),
}
_DECIMAL = re.compile(r"[-+]?[0-9]+")
_BASED = re.compile(r"0o[0-7]+|0x[0-9a-fA-F]+")
_FLOAT = re.compile(r"[-+]?(\.[0-9]+|[0-9]+(\.[0-9]*)?)([eE][-+]?[0-9]+)?")
_NOT_FINITE = re.compile(r"[-+]?\.(inf|Inf|INF)|\.(nan|NaN|NAN)")
_GROUPED = re.compile(r"[-+]?[0-9]+(_+[0-9]+)+(\.[0-9_]*)?([eE][-+]?[0-9]+)?")
# YAML's printable characters, less the line breaks of YAML 1.1 that are none in 1.2 nor in an
# editor, and the byte order mark, which is invisible.
_REFUSED = re.compile(
    "[^\t\n\r -~\xa0-\u2027\u202a-\ud7ff\ue000-\ufefe\uff00-\ufffd\U00010000-\U0010ffff]"
)
_LINE_BREAK = re.compile("\r\n|\r|\n")
_CORE = "tag:yaml.org,2002:"
_KINDS = {str: "a string", int: "an integer", float: "a float", bool: "a boolean"}
_KINDS |= {type(None): "null", dict: "a mapping", list: "a list"}
_TAGS = {"str": str, "int": int, "float": float, "bool": bool, "null": type(None)}
_TAGS |= {"map": dict, "seq": list}

# What PyYAML says -> what we say; the first row that fits is taken.
_SYNTAX = {
    "end of stream|stream end": "{rest} is not closed before the text ends; "
    "expected its closing quote or bracket: add it",
    r"'\\t'": "{line} has a tab here; expected spaces: replace the tab by spaces",
    "mapping values are not allowed": "{line} has a ':' where no key can stand; expected one "
    "'key: value' a line: mend the indentation, or quote a value that contains ': '",
    "could not find expected ':'": "{line} has no ':' after its key; expected 'key: value': "
    "add the colon, or indent the line if it continues a value",
    "<block end>.* first$": "{line} does not continue the lines above it; "
    "expected their indentation, and '- ' before each item of a list: align it",
    "<block end>|<document start>": "{rest} follows a value that is already complete; "
    "expected the end of the line: remove it, or quote the whole value",
    "sequence entries are not allowed": "{line} has a '- ' where no list can start; "
    "expected each item on its own line: start a new line, or write [a, b]",
    "expected ',' or": "{rest} stands where a list or mapping in brackets goes on; "
    "expected ',' or its closing bracket: add it",
    "escape": "{line} has an unknown backslash escape; expected one such as \\n or \\u00e9: "
    "use single quotes, or write \\\\ for a backslash",
    "cannot start any|the node content": "{rest} cannot start a value; expected plain text, "
    "a quote or an opening bracket: quote the value, or add the missing one",
    "": "{line} is not YAML here ({problem}); expected 'key: value': mend or quote the value",
}


def _show(text: str, limit: int = 60) -> str:
    return repr(text if len(text) <= limit else text[: limit - 3] + "...")


def _syntax_error(text: str, file: str, error: yaml.MarkedYAMLError) -> YamlError:
    """Say in one line what PyYAML says in several."""
    problem = str(error.problem)
    # Where it was opened tells more than the end of the text or the line after the key.
    opened = re.search("end of stream|stream end|could not find expected ':'", problem)
    place = (error.context_mark if opened else None) or error.problem_mark
    if place is None:
        return YamlError(Mark(file, 1, 1), f"{problem}; expected YAML: mend the text")
    line = _LINE_BREAK.split(text)[place.line]
    said = problem if line[: place.column].strip() else f"{problem} first"
    ours = next(ours for theirs, ours in _SYNTAX.items() if re.search(theirs, said))
    rest = line[place.column :].strip() or "the end of the line"
    message = ours.format(line=_show(line.strip()), rest=_show(rest), problem=problem)
    return YamlError(Mark(file, place.line + 1, place.column + 1), message)


def _end(text: str, file: str) -> Mark:
    """Return the place that follows the text."""
    lines = _LINE_BREAK.split(text)
    return Mark(file, len(lines), len(lines[-1]) + 1)


def _checked(text: str, file: str) -> str:
    """Return the text without its byte order mark, or refuse its size or a character."""
    if len(text.encode("utf-8", "surrogatepass")) > MAX_BYTES:
        raise YamlError(Mark(file, 1, 1), _TOO_LARGE)
    text = text.removeprefix("\ufeff")
    if found := _REFUSED.search(text):
        problem = (
            f"The character U+{ord(found[0]):04X} cannot stand here; expected visible text: "
            "remove it, or write its escape in double quotes"
        )
        raise YamlError(_end(text[: found.start()], file), problem)
    return text


def _plain(text: str, mark: Mark) -> Any:
    """Return what an unquoted scalar means in YAML 1.2's core schema."""
    shown = _show(text)
    if text in _CONSTANTS:
        return _CONSTANTS[text]
    if (_DECIMAL.fullmatch(text) or _BASED.fullmatch(text)) and len(text) > MAX_INTEGER:
        problem = f"{shown} is too long; expected an integer of at most {MAX_INTEGER} characters"
        raise YamlError(mark, f"{problem}: write fewer digits, or quote it if it is text")
    if _BASED.fullmatch(text):
        return int(text, 0)
    if _DECIMAL.fullmatch(text):
        if re.match("[-+]?0[0-9]", text):
            problem = f"{shown} starts with a zero, which some readers take for octal; expected "
            problem += f"an integer without it: write {int(text)}, or quote it if it is text"
            raise YamlError(mark, problem)
        return int(text)
    if _FLOAT.fullmatch(text):
        return float(text)
    if _NOT_FINITE.fullmatch(text):
        return float(text.replace(".", ""))
    if _GROUPED.fullmatch(text):
        problem = f"{shown} is no number in YAML 1.2; expected digits without '_': write "
        raise YamlError(mark, f"{problem}{text.replace('_', '')}, or quote it if it is text")
    return text


class _Composer:
    """Composes one document from PyYAML's events, counting nodes and depth as they come."""

    def __init__(self, text: str, file: str) -> None:
        self.text = _checked(text, file)
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
            problem = f"{_show(self.text)} is in block style; expected one value on one line: "
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
            event = self.loader.get_event()
        except yaml.MarkedYAMLError as error:
            raise _syntax_error(self.text, self.file, error) from None
        except (ValueError, OverflowError):
            # PyYAML passes an escape's number to chr(), and a directive's to int(), unchecked.
            place = self.loader.get_mark()
            problem = "A number here is out of range; expected an escape up to \\U0010ffff: mend it"
            raise YamlError(Mark(self.file, place.line + 1, place.column + 1), problem) from None
        return event

    def mark(self, event: yaml.Event) -> Mark:
        """Return where the event starts."""
        return Mark(self.file, event.start_mark.line + 1, event.start_mark.column + 1)

    def node(self, event: yaml.Event, depth: int) -> _Node:
        """Return the node that starts with the event, inside `depth` lists and mappings."""
        mark = self.mark(event)
        if isinstance(event, yaml.AliasEvent):
            return self.alias(event.anchor, mark, depth)
        before = self.nodes
        nested = isinstance(event, yaml.CollectionStartEvent)
        self.grow(1, depth + nested, mark)
        tag = _tag(event, mark)
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
            value = _scalar_value(event, tag, mark)
        if tag is not None and type(value) is not _TAGS[tag]:
            problem = f"The tag !!{tag} stands before {_KINDS[type(value)]}; expected "
            raise YamlError(mark, f"{problem}{_KINDS[_TAGS[tag]]}: remove the tag")
        height = max((child.height for child in inner), default=0) + nested
        node = _Node(mark, value, self.nodes - before, height)
        if anchor is not None:
            self.anchors[anchor] = node
        return node

    def alias(self, name: str, mark: Mark, depth: int) -> _Node:
        """Return the anchored node, moved to the place of its alias."""
        if name not in self.anchors:
            problem = f"'*{name}' has no anchor; expected '&{name}' before an earlier value: "
            raise YamlError(mark, f"{problem}add it, or quote '*{name}' if it is text")
        node = self.anchors[name]
        if node is None:
            problem = f"'*{name}' stands inside the value it names; expected a value that ended "
            raise YamlError(mark, f"{problem}before it: remove the alias")
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
                problem = f"The key {_show(key.value)} stands here again, first at {first}; "
                raise YamlError(key.mark, f"{problem}expected each key once: remove one of them")
            entries[key.value] = (key.mark, self.node(self.event(), depth))
        return entries

    def key(self, event: yaml.Event, depth: int) -> _Node:
        """Return the node of a mapping's key, which is a string."""
        if _is_plain(event, "<<"):
            problem = "The merge key '<<' is not in YAML 1.2; expected a plain key: "
            problem += "use 'extends:', or an anchor on a whole value"
            raise YamlError(self.mark(event), problem)
        key = self.node(event, depth)
        if not isinstance(key.value, str):
            shown = f" {_show(event.value)}" if isinstance(event, yaml.ScalarEvent) else ""
            problem = f"The key{shown} is {_KINDS[type(key.value)]}; expected a string: "
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


def _tag(event: Any, mark: Mark) -> str | None:
    """Return the name of the node's core tag; `!` alone is a string's, or says nothing."""
    tag = event.tag
    if tag is None or tag.removeprefix(_CORE) in _TAGS:
        return tag and tag.removeprefix(_CORE)
    if tag == "!":
        return "str" if isinstance(event, yaml.ScalarEvent) else None
    shown = _show(f"!!{tag.removeprefix(_CORE)}" if tag.startswith(_CORE) else tag)
    problem = f"The tag {shown} is not in YAML's core schema; expected a plain value: "
    raise YamlError(mark, f"{problem}remove the tag")


def _scalar_value(event: Any, tag: str | None, mark: Mark) -> Any:
    """Return a scalar's value; quotes and `!!str` make it a string."""
    text = event.value
    if re.search("[\ud800-\udfff]", text):
        problem = f"{_show(text)} has half a character; expected a whole one: "
        raise YamlError(mark, f"{problem}write it as itself, or as \\U and eight digits")
    if tag == "str" or (tag is None and event.style is not None):
        return text
    value = _plain(text, mark)
    return float(value) if tag == "float" and type(value) is int else value


def _build(node: _Node, path: Path, keys: dict[Path, Mark], values: dict[Path, Mark]) -> Any:
    """Return the node's plain value and note its places."""
    values[path] = node.mark
    if isinstance(node.value, dict):
        for name, (mark, _) in node.value.items():
            keys[(*path, name)] = mark
        return {
            name: _build(child, (*path, name), keys, values)
            for name, (_, child) in node.value.items()
        }
    if isinstance(node.value, list):
        for index, child in enumerate(node.value):
            keys[(*path, index)] = child.mark
        return [
            _build(child, (*path, index), keys, values) for index, child in enumerate(node.value)
        ]
    return node.value


def parse(text: str, file: str) -> Document:
    """Return the one document of a text, whose root is a mapping.

    Args:
        text: YAML, at most 1 MiB.
        file: What the marks call the text.

    Raises:
        YamlError: If the text is anything else.
    """
    root = _Composer(text, file).document(in_flow=False)
    if not isinstance(root.value, dict):
        problem = f"The document is {_KINDS[type(root.value)]}; expected a mapping: "
        raise YamlError(root.mark, problem + "write 'key: value' lines")
    keys: dict[Path, Mark] = {}
    values: dict[Path, Mark] = {}
    return Document(_build(root, (), keys, values), keys, values)


def read(path: pathlib.Path, shown_as: str | None = None) -> Document:
    """Return the one document of a file, as `parse` does.

    Args:
        path: A file in UTF-8.
        shown_as: What the marks call the file, if not its path.

    Raises:
        YamlError: If the file cannot be read, or is not such a document.
    """
    file = str(path) if shown_as is None else shown_as
    start = Mark(file, 1, 1)
    try:
        with path.open("rb") as stream:
            data = stream.read(MAX_BYTES + 1)
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
        raise YamlError(start, _TOO_LARGE)
    try:
        text = data.decode("utf-8")
    except UnicodeDecodeError as error:
        before = data[: error.start].decode("utf-8").removeprefix("\ufeff")
        problem = f"The byte 0x{data[error.start]:02X} is not UTF-8; expected UTF-8 text: "
        raise YamlError(_end(before, file), problem + "save the file as UTF-8") from None
    return parse(text, file)


def scalar(text: str) -> Any:
    """Return one value as `--set key=value` gives it: a scalar, or a list or mapping in brackets.

    Raises:
        YamlError: If the text is anything else; its mark's file is `--set`.
    """
    if not text.strip(" \t\r\n"):
        return None
    return _build(_Composer(text, "--set").document(in_flow=True), (), {}, {})
