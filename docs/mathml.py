"""Equations as MathML, which browsers show by themselves: no script, and no other server.

An extension of Python-Markdown. `pymdownx.arithmatex` finds the equations; this writes them.
"""

import html
import re
from typing import Any

from latex2mathml.converter import convert
from markdown import Markdown
from markdown.extensions import Extension
from markdown.postprocessors import Postprocessor

EQUATION = re.compile(
    r"(?P<open><(?:span|div) class=\"arithmatex\">)"
    r"(?:\\\((?P<inline>.*?)\\\)|\\\[(?P<block>.*?)\\\])(?P<close></(?:span|div)>)",
    re.DOTALL,
)


def written(equation: re.Match[str]) -> str:
    """The element of an equation, with MathML in place of LaTeX."""
    inline = equation["inline"] is not None
    latex = html.unescape(equation["inline"] if inline else equation["block"]).strip()
    mathml = convert(latex, display="inline" if inline else "block")
    return f"{equation['open']}{mathml}{equation['close']}"


class _Equations(Postprocessor):
    def run(self, text: str) -> str:
        return EQUATION.sub(written, text)


class MathML(Extension):
    """Writes what arithmatex found."""

    def extendMarkdown(self, md: Markdown) -> None:
        """Come after all that puts raw HTML back."""
        md.postprocessors.register(_Equations(md), "mathml", -10)


def makeExtension(**options: Any) -> MathML:
    """The extension; Python-Markdown calls this."""
    return MathML(**options)
