"""Print, cell by cell, how far the compiler is from the oracle, or why it refuses the cell.

    python tests/oracle/table.py > table.md

A cell is rule x space x guess x architecture. None is left out: a cell that neither compiles nor is
refused says what it raised.
"""

import sys
from collections.abc import Iterator
from pathlib import Path

if __name__ == "__main__":  # as a script the tests and the compiler are not on the path yet
    sys.path[:0] = [str(Path(__file__).parents[1]), str(Path(__file__).parents[2])]
    sys.path = [place for place in sys.path if Path(place).resolve() != Path(__file__).parent]
    import conftest  # noqa: F401  # strict JAX, quick compilation

from oracle.cases import ARCHITECTURES, Case, Norm, compare, refused

REVERSE = ["bp", "l-bp", "lg-bp", "fa", "l-fa", "lg-fa", "dfa"]
FORWARD = ["fg-w", "fg-a", "lg-fg-w", "lg-fg-a"]
TARGETS = ["global", "local", "above", "sum"]
SPACES = ["weight", "activation", "block_output"]
GUESSES = ["normal", "rademacher", "sphere", "local", "ntk", "fixed_ntk", "global", "above"]
NORMS = [Norm(), Norm("local_layer_norm")]


def rows() -> Iterator[tuple[str, str, str, dict]]:
    """Rule, space, guess and the words of their case."""
    for rule in REVERSE:
        yield rule, "-", "-", {"rule": rule}
    for weights in ("fa", "l-fa", "lg-fa"):
        for kind in ("sign_symmetric", "signs"):
            yield f"{weights}, {kind}", "-", "-", {"rule": weights, "weights": kind}
    for rule in FORWARD:
        space = "weight" if rule.endswith("w") else "activation"
        for guess in GUESSES:
            yield rule, space, guess, {"rule": rule, "guess": guess}
    for target in TARGETS:
        for space in SPACES:
            for guess in GUESSES:
                words = {"target": target, "space": space, "guess": guess}
                yield f"target {target}", space, guess, words
    for target in ("global", "local"):
        for space in SPACES:
            words = {"target": target, "space": space, "estimator": "finite_difference"}
            yield f"target {target}, finite difference", space, "rademacher", words


def cell(case: Case) -> str:
    """Largest relative difference, or the reason why there is none."""
    reason = refused(case)
    if reason is not None:
        return f"refused: {reason}"
    try:
        found, path, rounding = compare(case)
    except NotImplementedError as error:
        return f"compiles; {error}"
    except Exception as error:  # a table says what is wrong and goes on
        return f"RAISED {type(error).__name__}: {str(error).splitlines()[0]}"
    wrong = "" if found < max(1e-4, 30 * rounding) else "WRONG "
    return f"{wrong}{found:.1e}" + (f" in {path}" if wrong else "")


def main(only: list[str]) -> None:
    """Print the table; arguments restrict it to rules that start with one of them."""
    head = ["rule", "space", "guess", "architecture", "normalization", "difference"]
    print(f"| {' | '.join(head)} |\n|{' --- |' * len(head)}")
    for rule, space, guess, words in rows():
        if only and not rule.startswith(tuple(only)):
            continue
        for architecture, (_, _, _, sizes) in ARCHITECTURES.items():
            sys.stdout.flush()
            cases = [Case(architecture=architecture, sizes=sizes, norm=n, **words) for n in NORMS]
            reasons = {refused(case) for case in cases}
            same = None not in reasons and len(reasons) == 1
            for case in cases[:1] if same else cases:
                norm = "any of these" if same else case.norm.type
                print(f"| {rule} | {space} | {guess} | {architecture} | {norm} | {cell(case)} |")


if __name__ == "__main__":
    main(sys.argv[1:])
