"""Direct random target projection: an estimator, and the rule that is named after it.

Frenkel, Lefebvre and Bol 2019, arXiv 1909.01311: "Learning without feedback: direct random target
projection as a feedback-alignment algorithm with layerwise feedforward training".
"""

from collections.abc import Iterator
from typing import ClassVar, Literal

from fgspec.formulas import notation as of
from fgspec.formulas.facts import Facts
from fgspec.formulas.tree import Equation, Product, Symbol
from fgspec.problems.problems import Problem
from fgspec.spec.estimators import Estimator, sent_to_layers
from fgspec.spec.losses import Losses
from fgspec.spec.rules import LAYERS, Rule, reverse
from fgspec.yaml.load import Path


class Drtp(Estimator):
    """Direct random target projection: the label goes straight to every layer (Frenkel 2019).

    Each layer has a fixed random matrix of its own, by which the one-hot label is multiplied. That
    stands for the error at the layer's output, whatever the network answers. So its size never
    falls, however small the loss becomes.
    """

    behaviour: ClassVar[str | None] = "compiler.estimators.drtp:Drtp"
    isolates_layers: ClassVar[bool] = True
    needs_labels: ClassVar[bool] = True
    # The error of cross entropy, p - t, is -t where the network is not sure; with true Jacobians
    # for B, the product B t therefore points up the loss. Random matrices have no sign.
    feedback_sign: ClassVar[int] = -1
    bias: ClassVar[str] = "the label goes to every layer through a fixed random matrix"
    tells: ClassVar[str] = (
        "It is approximated without an error: the one-hot label goes to every layer directly, "
        "through a fixed random matrix of that layer."
    )
    arrives: ClassVar[str] = "label through its matrix B"
    type: Literal["drtp"] = "drtp"

    def equations(self, facts: Facts) -> Iterator[Equation]:
        """The label through a matrix of each layer."""
        label = Symbol("label", "t", "t", (), ("n", "o"))
        error = Product((of.one_over(facts.rows, "N"), label))
        yield Equation(
            of.OUTPUT_ERROR,
            error,
            "In place of an error: the one-hot label t, whatever the outputs are.",
            letters=("t the one-hot label",),
        )
        yield from sent_to_layers("a fixed random matrix B of its own")

    def problems(self, at: Path, losses: Losses) -> Iterator[Problem]:
        """The outputs stand for classes."""
        if not losses.objective.answers:
            message = (
                f"sends labels to layers, but {losses.objective} has outputs that stand for no "
                "classes; use cross_entropy"
            )
            yield Problem(("losses", "objective", "type"), message, others=((*at, "type"),))


class DirectRandomTargetProjection(Rule):
    """Direct random target projection: the label goes straight to every layer (Frenkel 2019)."""

    title: ClassVar = "direct random target projection"
    settings: ClassVar = {"losses": LAYERS, "gradient": reverse("global", "drtp")}
    type: Literal["drtp"] = "drtp"
