"""How expressions are written: as LaTeX, and as plain text."""

from collections.abc import Sequence

from fgspec.formulas.tree import Index

_NAMES = {"γ": r"\gamma", "end": r"\mathrm{end}"}
"""Letters of indices that LaTeX has another name for."""


_IN_LATEX = {
    "sign": r"\operatorname{{sign}}\left({}\right)",
    "root": r"\sqrt{{{}}}",
    "square": r"\left({}\right)^{{2}}",
    "exp": r"\exp\left({}\right)",
    "log": r"\log\left({}\right)",
    "sigmoid": r"\operatorname{{sigmoid}}\left({}\right)",
    "softplus": r"\operatorname{{softplus}}\left({}\right)",
    "positive part": r"\max\left(0, {}\right)",
    "mirrored": r"\pm {}",
    "inverse": r"\left({}\right)^{{-1}}",
    "inverse root": r"\left({}\right)^{{-1/2}}",
    "pseudo inverse": r"\left({}\right)^{{+}}",
}
_IN_TEXT = {
    "root": "√{}",
    "square": "({})²",
    "exp": "exp({})",
    "log": "log({})",
    "sigmoid": "sigmoid({})",
    "softplus": "softplus({})",
    "positive part": "max(0, {})",
    "sign": "sign({})",
    "mirrored": "±{}",
    "inverse": "({})⁻¹",
    "inverse root": "({})^(-1/2)",
    "pseudo inverse": "({})⁺",
}
"""How functions are written, by the names that `fgspec.formulas.arrays` knows them by."""


def _marks(at: Sequence[Index], axes: Sequence[str]) -> tuple[str, str]:
    """What stands below a letter, and what above: samples apart from other axes."""
    samples = [axis for axis in axes if axis in "ki"]
    others = [axis for axis in axes if axis not in "ki"]
    above = ",".join(filter(None, ("".join(samples), "".join(others))))
    return ",".join(map(str, at)), above


class Latex:
    """LaTeX, as GitHub and MathJax read it."""

    def letter(self, latex: str, text: str) -> str:
        """The LaTeX of a letter."""
        return latex

    def symbol(self, letter: str, at: Sequence[Index], axes: Sequence[str]) -> str:
        """Indices below, axes above."""
        below, above = _marks(at, axes)
        for plain, latex in _NAMES.items():
            below = below.replace(plain, latex)
        letter = f"{{{letter}}}" if "^" in letter else letter
        return letter + (f"_{{{below}}}" if below else "") + (f"^{{{above}}}" if above else "")

    def brackets(self, body: str) -> str:
        """In brackets."""
        return rf"\left({body}\right)"

    def times(self, factors: Sequence[str]) -> str:
        """Side by side."""
        return r"\,".join(factors)

    def ratio(self, above: str, below: str, loose: bool) -> str:
        """A fraction."""
        return rf"\frac{{{above}}}{{{below}}}"

    def sum(self, under: str, body: str) -> str:
        """A sum sign."""
        return rf"\sum_{{{under}}} {body}"

    def mean(self, under: str, body: str) -> str:
        """A mean, written as a sum is."""
        return rf"\operatorname*{{mean}}_{{{under}}} {body}"

    def partial(self, of: str, by: str) -> str:
        """A derivative."""
        return rf"\frac{{\partial {of}}}{{\partial {by}}}"

    def transposed(self, of: str, by: str, mark: str, plain: str) -> str:
        """A transposed derivative."""
        below = f"_{{{mark}}}" if mark else ""
        return rf"\left({self.partial(of, by)}\right)^{{\!\top}}{below}"

    def inner(self, left: str, right: str) -> str:
        """Angle brackets."""
        return rf"\left\langle {left},\; {right}\right\rangle"

    def function(self, name: str, of: str, axes: Sequence[str]) -> str:
        """By its name, or a matrix with its mark and indices."""
        shown = _IN_LATEX[name].format(of)
        return rf"\left[{shown}\right]^{{{''.join(axes)}}}" if len(axes) > 1 else shown

    def equation(self, left: str, right: str) -> str:
        """Both sides."""
        return f"{left} = {right}"


class Text:
    """Plain text, for terminals."""

    def letter(self, latex: str, text: str) -> str:
        """The plain letter."""
        return text

    def symbol(self, letter: str, at: Sequence[Index], axes: Sequence[str]) -> str:
        """Indices after a low line, axes in square brackets."""
        below, above = _marks(at, axes)
        return letter + (f"_{below}" if below else "") + (f"[{above}]" if above else "")

    def brackets(self, body: str) -> str:
        """In brackets."""
        return f"({body})"

    def times(self, factors: Sequence[str]) -> str:
        """With a space."""
        return " · ".join(factors)

    def ratio(self, above: str, below: str, loose: bool) -> str:
        """With a slash."""
        over = f"({above})" if " " in above else above
        return f"{over}/({below})" if loose or " " in below else f"{over}/{below}"

    def sum(self, under: str, body: str) -> str:
        """A sum sign."""
        return f"Σ_{{{under}}} {body}" if len(under) > 1 else f"Σ_{under} {body}"

    def mean(self, under: str, body: str) -> str:
        """A mean, written as a sum is."""
        return f"mean_{under} {body}"

    def partial(self, of: str, by: str) -> str:
        """A derivative."""
        return f"∂{of}/∂{by}"

    def transposed(self, of: str, by: str, mark: str, plain: str) -> str:
        """A transposed derivative."""
        return f"(∂{of}/∂{by})ᵀ" + (f"|{plain}" if plain else "")

    def inner(self, left: str, right: str) -> str:
        """Angle brackets."""
        return f"⟨{left}, {right}⟩"

    def function(self, name: str, of: str, axes: Sequence[str]) -> str:
        """By its name, or a matrix with its mark and indices."""
        form = _IN_TEXT[name]
        # A mark before what it is of needs brackets where that is more than one word.
        shown = form.format(self.brackets(of) if form.endswith("{}") and " " in of else of)
        return f"[{shown}][{''.join(axes)}]" if len(axes) > 1 else shown

    def equation(self, left: str, right: str) -> str:
        """Both sides."""
        return f"{left} = {right}"


LATEX, TEXT = Latex(), Text()
