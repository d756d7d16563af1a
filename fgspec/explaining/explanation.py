"""A spec explained: words, equations, bias, variance, cost and picture in one object."""

import html
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass

from compiler.compile import compile_plan
from compiler.cost.by_part import dissect
from compiler.cost.exact_updates import exact_updates
from compiler.plan.plan import Plan, make_plan
from fgspec.errors import UserError
from fgspec.explaining import words
from fgspec.explaining.equations import equations_of, readout_equation
from fgspec.explaining.picture import picture
from fgspec.formulas.styles import LATEX, TEXT
from fgspec.formulas.tree import Equation
from fgspec.show.text import mebibytes, quantity
from fgspec.spec.gradient import Gradient

LETTERS = {
    "ĝ": "ĝ the estimated gradient",
    "t̂": "t̂ the estimate at what is perturbed",
    "ℓ": "ℓ a loss",
    "N": "N the rows n of a batch",
    "b": "b a block",
    "_end": "end the last block, and its loss",
    "B": "B a backward weight",
    "_j": "j a loss, by its block",
    "z": "z a layer's pre-activation",
    "_x": "x a block's output",
    "∂x": "x a block's output",
    "h": "h a layer's output",
    "y": "y the network's outputs",
    "e[": "e their error",
    "f'": "f' the derivative of the activation",
    "1{": "1{} is 1 where this holds, else 0",
    "W": "W a weight or bias",
    "V": "V a weight or bias of a readout",
    "u": "u the perturbation",
    "ω": "ω the noise that is drawn",
    "m̂": "m the average of past estimates, m̂ its direction",
    "a_j": "a the part of a draw along it",
    "D": "D how many numbers share one derivative",
    "e_j": "e a vector of zeros with a single 1",
    "k": "k one of K samples",
    "pg": "p, g a patch and a group",
    "d_": "d a derivative along u",
    "d̄": "d̄ what is credited of it",
    "T_": "T the target",
    "G_": "G the guess",
    "γ": "γ arrays that share one derivative",
    "⟨": "⟨ , ⟩ an inner product over all indices but those that are shown",
    "ᵀ": "ᵀ a transposed Jacobian",
}
"""What letters mean, by what stands in the formulas where they are used."""


@dataclass(frozen=True)
class Explanation:
    """What a spec's learning rule is.

    Attributes:
        name: of the spec.
        paragraphs: the rule in words.
        equations: the same as equations; none where the estimator gives no formula.
        losses: for every kind of loss what it is called and its equations; those are left out that
            give none.
        bias: what its mean is.
        variance: how much it varies for one batch.
        cost: what an update costs beside backprop.
        picture: an SVG element.
    """

    name: str
    paragraphs: tuple[str, ...]
    equations: tuple[Equation, ...]
    losses: tuple[tuple[str, tuple[Equation, ...]], ...]
    bias: str
    variance: str
    cost: str
    picture: str

    def text(self) -> str:
        """As plain text."""
        parts = [*self.paragraphs, ""]
        for equation in self.equations:
            parts += [f"    {equation.show(TEXT)}", f"        {equation.says}"]
        parts += ["", self.letters()] if self.equations else []
        for title, equations in self.losses:
            parts += ["", f"{title}:"]
            for equation in equations:
                parts += [f"    {equation.show(TEXT)}", f"        {equation.says}"]
            parts += ["", letters_of(equations)]
        parts += ["", f"Bias: {self.bias}", f"Variance: {self.variance}", f"Cost: {self.cost}"]
        return "\n".join(parts)

    def letters(self) -> str:
        """What the letters of the equations mean."""
        shown = " ".join(equation.show(TEXT) for equation in self.equations)
        told = dict.fromkeys(says for mark, says in LETTERS.items() if mark in shown)
        return letters_of(self.equations, told)

    def latex(self) -> str:
        """The equations as LaTeX."""
        every = [*self.equations, *(e for _, equations in self.losses for e in equations)]
        lines = [rf"  {e.show(LATEX).replace(' = ', ' &= ', 1)} \\" for e in every]
        return "\n".join([r"\begin{align}", *lines, r"\end{align}"])

    def markdown(self) -> str:
        """As Markdown with LaTeX between `$$`; the picture is left out."""
        parts = [*self.paragraphs]
        for equation in self.equations:
            parts += [equation.says, f"$$\n{equation.show(LATEX)}\n$$"]
        for title, equations in self.losses:
            parts.append(f"**{title}.**")
            for equation in equations:
                parts += [equation.says, f"$$\n{equation.show(LATEX)}\n$$"]
            parts.append(letters_of(equations))
        parts += [f"**Bias.** {self.bias}", f"**Variance.** {self.variance}"]
        return "\n\n".join([*parts, f"**Cost.** {self.cost}"])

    def _repr_markdown_(self) -> str:
        return self.markdown()

    def _repr_html_(self) -> str:
        return f"{self.picture}<pre>{html.escape(self.text())}</pre>"

    def __str__(self) -> str:
        """As plain text."""
        return self.text()


def letters_of(equations: Sequence[Equation], told: Iterable[str] = ()) -> str:
    """What the letters of equations mean, by what these say and what is told besides."""
    own = (says for equation in equations for says in equation.letters)
    return f"Letters: {'; '.join(dict.fromkeys([*told, *own]))}."


def losses_of(plan: Plan) -> Iterator[tuple[str, tuple[Equation, ...]]]:
    """What every kind of loss of a plan is called, and its equations."""
    objectives = [plan.objective_at(site) for site in words.heard(plan)]
    if plan.units[-1][1].name != "final" or not plan.objective.answers:
        objectives.append(plan.answer)
    for title, objective in {objective.called(): objective for objective in objectives}.items():
        if equations := tuple(objective.formulas()):
            yield f"The {title}", equations


def explain(plan: Plan) -> Explanation:
    """Explain the learning rule of a plan."""
    missing: list[str] = []
    try:
        equations = equations_of(plan)
    except UserError as error:  # of a method of a package that does not say its part
        equations, missing = (), [f"There are no equations: {error}."]
    if equations:
        equations = (*equations, readout_equation())
    return Explanation(
        plan.experiment.name,
        (
            " ".join(words.losses(plan)),
            *filter(None, [" ".join(words.phases(plan))]),
            " ".join([*words.estimates(plan), words.stops(plan)]),
            *missing,
        ),
        equations,
        tuple(losses_of(plan)),
        words.bias(plan),
        words.variance(plan),
        cost_beside_backprop(plan),
        picture(plan),
    )


def cost_beside_backprop(plan: Plan) -> str:
    """FLOPs and temporaries of an update, beside those of the same spec under backprop."""
    spec = plan.experiment
    final = {"local": None, "isolate": "none", "classifier_reads": "last"}
    losses = spec.losses.model_copy(update=final)
    as_backprop = {"losses": losses, "gradient": Gradient(), "freeze": ()}
    other = make_plan(spec.model_copy(update=as_backprop), plan.data)
    own, bp = (dissect(compile_plan(p)) for p in (plan, other))
    flops, memory = (
        [sum(getattr(each, name).values()) for each in (own, bp)] for name in ("flops", "memory")
    )
    work, held = flops[0] / flops[1], memory[0] / memory[1]
    exact, mean = exact_updates(plan), " This is the mean over all phases." * bool(plan.phases)
    if exact is not None:
        mean += (
            f" This is the mean: {quantity(exact.exact)} FLOPs at one update in {exact.every}, "
            f"which is exact, {quantity(exact.estimated)} at all others."
        )
    return (
        f"{quantity(flops[0])} FLOPs an update, {work:.2f} times those of backprop; about "
        f"{mebibytes(memory[0])} of temporaries, {held:.2f} times backprop's.{mean}"
    )
