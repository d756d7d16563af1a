"""The text of a spec before it is composed: places, errors, characters and unquoted scalars."""

import re
from dataclasses import dataclass
from typing import Any

import yaml

from fgspec.errors import UserError
from fgspec.errors.seen import seen

MAX_BYTES = 1024 * 1024
# Python refuses decimal integers of more than 4,300 digits; 64 bits in octal need 24.
MAX_INTEGER = 40
TOO_LARGE = "The text is larger than 1 MiB; expected a spec of a few kilobytes: check the file"


@dataclass(frozen=True)
class Mark:
    """A place in a file; line and column count from 1."""

    file: str
    line: int
    column: int

    def __str__(self) -> str:
        """Return `file:line:column`."""
        return f"{seen(self.file)}:{self.line}:{self.column}"


class YamlError(UserError):
    """A text cannot be read as one plain YAML 1.2 document."""

    def __init__(self, mark: Mark, problem: str) -> None:
        super().__init__(mark, problem)
        self.mark = mark
        self.problem = problem

    def __str__(self) -> str:
        """Return `file:line:column: problem`."""
        return f"{self.mark}: {self.problem}"


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

# What PyYAML says -> what we say; the first row that fits is taken.
_SYNTAX = {
    "end of stream|stream end": "{rest} is not closed before the text ends; "
    "expected its closing quote or bracket: add it",
    r"'\\t'": "{line} has a tab here; expected spaces: replace the tab by spaces",
    "mapping values are not allowed": "{line} has a ':' where no key can stand; expected one "
    "'key: value' a line: correct the indentation, or quote a "
    "value that contains ': '",
    "could not find expected ':'": "{line} has no ':' after its key; expected 'key: value': "
    "add the colon, or indent the line if it continues a value",
    "<block end>.* first$": "{line} does not continue the lines above it; "
    "expected their indentation, and '- ' before each item of a list: align it",
    "<block end>|<document start>": "{rest} follows a value that is already complete; "
    "expected the end of the line: remove it, or quote the whole value",
    "sequence entries are not allowed": "{line} has a '- ' where no list can start; "
    "expected each item on its own line: start a new line, or write [a, b]",
    "expected ',' or": "{rest} cannot stand inside a list or mapping in brackets; expected ',' "
    "or its closing bracket: add it",
    "unknown escape|^expected escape": "{line} has an unknown backslash escape; "
    "expected one such as \\n or \\u00e9: use single quotes, or write \\\\ for a backslash",
    "cannot start any|the node content": "{rest} cannot start a value; expected plain text, "
    "a quote or an opening bracket: quote the value, or add the missing one",
    "": ("{line} is not YAML here ({problem}); expected 'key: value': correct or quote the value"),
}


def show(text: str, limit: int = 60) -> str:
    """Quote a piece of text, shortened."""
    return repr(text if len(text) <= limit else text[: limit - 3] + "...")


def syntax_error(text: str, file: str, error: yaml.MarkedYAMLError) -> YamlError:
    """Say in one line what PyYAML says in several."""
    problem = str(error.problem)
    # Where it was opened tells more than the end of the text or the line after the key.
    opened = re.search("end of stream|stream end|could not find expected ':'", problem)
    place = (error.context_mark if opened else None) or error.problem_mark
    if place is None:
        return YamlError(Mark(file, 1, 1), f"{problem}; expected YAML: correct the text")
    line = _LINE_BREAK.split(text)[place.line]
    said = problem if line[: place.column].strip() else f"{problem} first"
    ours = next(ours for theirs, ours in _SYNTAX.items() if re.search(theirs, said))
    rest = line[place.column :].strip() or "the end of the line"
    message = ours.format(line=show(line.strip(" ")), rest=show(rest), problem=problem)
    return YamlError(Mark(file, place.line + 1, place.column + 1), message)


def end_of(text: str, file: str) -> Mark:
    """Return the place that follows the text."""
    lines = _LINE_BREAK.split(text)
    return Mark(file, len(lines), len(lines[-1]) + 1)


def checked(text: str, file: str) -> str:
    """Return the text without its byte order mark, or refuse its size or a character."""
    if len(text.encode("utf-8", "surrogatepass")) > MAX_BYTES:
        raise YamlError(Mark(file, 1, 1), TOO_LARGE)
    text = text.removeprefix("\ufeff")
    if found := _REFUSED.search(text):
        problem = (
            f"The character U+{ord(found[0]):04X} cannot stand here; expected visible text: "
            "remove it, or write its escape in double quotes"
        )
        raise YamlError(end_of(text[: found.start()], file), problem)
    return text


def plain(text: str, mark: Mark) -> Any:
    """Return what an unquoted scalar means in YAML 1.2's core schema."""
    shown = show(text)
    if text in _CONSTANTS:
        return _CONSTANTS[text]
    if (_DECIMAL.fullmatch(text) or _BASED.fullmatch(text)) and len(text) > MAX_INTEGER:
        problem = f"{shown} is too long; expected an integer of at most {MAX_INTEGER} characters"
        raise YamlError(mark, f"{problem}: write fewer digits, or quote it if it is text")
    if _BASED.fullmatch(text):
        return int(text, 0)
    if _DECIMAL.fullmatch(text):
        if re.match("[-+]?0[0-9]", text):
            problem = f"{shown} starts with a zero, which some programs read as octal; expected "
            problem += f"an integer without it: write {int(text)}, or quote it if it is text"
            raise YamlError(mark, problem)
        return int(text)
    if _FLOAT.fullmatch(text):
        return float(text)
    if _NOT_FINITE.fullmatch(text):
        return float(text.replace(".", ""))
    if _GROUPED.fullmatch(text):
        problem = f"{shown} is not a number in YAML 1.2; expected digits without '_': write "
        raise YamlError(mark, f"{problem}{text.replace('_', '')[:60]}, or quote it if it is text")
    return text


_CORE = "tag:yaml.org,2002:"
KINDS = {str: "a string", int: "an integer", float: "a float", bool: "a boolean"}
KINDS |= {type(None): "null", dict: "a mapping", list: "a list"}
TAGS = {"str": str, "int": int, "float": float, "bool": bool, "null": type(None)}
TAGS |= {"map": dict, "seq": list}


def core_tag(event: Any, mark: Mark) -> str | None:
    """Return the name of the node's core tag; `!` alone is a string's, or says nothing."""
    tag = event.tag
    if tag is None or tag.removeprefix(_CORE) in TAGS:
        return tag and tag.removeprefix(_CORE)
    if tag == "!":
        return "str" if isinstance(event, yaml.ScalarEvent) else None
    shown = show(f"!!{tag.removeprefix(_CORE)}" if tag.startswith(_CORE) else tag)
    problem = f"The tag {shown} is not in YAML's core schema; expected a plain value: "
    raise YamlError(mark, f"{problem}remove the tag")
