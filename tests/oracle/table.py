"""Print, cell by cell, how far the compiler is from the oracle, or why it refuses the cell.

    python tests/oracle/table.py > table.md

A cell is rule x space x guess x architecture. None is left out: a cell that neither compiles nor is
refused says what it raised. The last line counts them. Programs run operation by operation, which
for one run of each is quicker than to compile them; the tests beside this file compile theirs.
"""

import sys
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

if __name__ == "__main__":  # as a script the tests and the compiler are not on the path yet
    sys.path[:0] = [str(Path(__file__).parents[1]), str(Path(__file__).parents[2])]
    sys.path = [place for place in sys.path if Path(place).resolve() != Path(__file__).parent]
    import conftest  # noqa: F401  # strict JAX, quick compilation

import jax

from oracle.cases import ARCHITECTURES, Case, Norm, refused
from oracle.compare import compare

REVERSE = ["bp", "l-bp", "lg-bp", "fa", "l-fa", "lg-fa", "dfa", "drtp"]
FORWARD = ["fg-w", "fg-a", "lg-fg-w", "lg-fg-a"]
TARGETS = ["global", "local", "above", "sum"]
SPACES = ["weight", "activation", "block_output"]
DRAWN = ["normal", "rademacher", "sphere"]
GUESSES = [*DRAWN, "local", "ntk", "fixed_ntk", "global", "above", "jacobian"]
HEADS = ["linear", "mlp", "cnn", "next_blocks"]
NORMS = {
    "local_mixer": [Norm("local_layer_norm"), Norm("batch_norm")],
    "mlp": [Norm(), Norm("layer_norm")],
    "resnet18": [Norm("batch_norm"), Norm()],
    "conv_net": [Norm("batch_norm", affine=False), Norm("layer_norm")],
    "vgg": [Norm("batch_norm"), Norm()],
    "cifar_resnet": [Norm("batch_norm"), Norm("layer_norm")],
    "chain": [Norm(), Norm("batch_norm")],
    "vit": [Norm("local_layer_norm"), Norm("layer_norm", affine=False)],
    "mlp_mixer": [Norm("local_layer_norm"), Norm("layer_norm", affine=False)],
    "conv_mixer": [Norm("batch_norm"), Norm()],
}
EVERY = 20
"""Rows of the table after which what JAX has cached is dropped."""


def rows() -> Iterator[tuple[str, str, str, dict]]:
    """Rule, space, guess and the words of their case."""
    for rule in REVERSE:
        yield rule, "-", "-", {"rule": rule}
    for weights in ("fa", "l-fa", "lg-fa"):
        for kind in ("sign_symmetric", "signs"):
            yield f"{weights}, {kind}", "-", "-", {"rule": weights, "weights": kind}
    for target in ("above", "sum"):
        for kind in ("exact", "feedback"):
            yield f"target {target}, {kind}", "-", "-", {"target": target, "estimator": kind}
    for rule in FORWARD:
        space = "weight" if rule.endswith("w") else "activation"
        for guess in GUESSES:
            yield rule, space, guess, {"rule": rule, "guess": guess}
    for target in TARGETS:
        for space in SPACES:
            for guess in (guess for guess in GUESSES if guess != "sphere"):
                words = {"target": target, "space": space, "guess": guess}
                yield f"target {target}", space, guess, words
            if target in ("global", "sum"):
                yield from _variations(target, space)
    for rule in ("l-bp", "lg-fa", "lg-fg-a", "lg-fg-w"):
        for head in HEADS:
            yield f"{rule}, pooled {head} head", "-", "-", {"rule": rule, "head": head}
    for rule in (*REVERSE, *FORWARD):
        yield f"{rule}, info_nce", "-", "-", {"rule": rule, "objective": "info_nce"}


def _variations(target: str, space: str) -> Iterator[tuple[str, str, str, dict]]:
    """What else there is to say of a target in a space: one row each."""
    words = {"target": target, "space": space}
    difference = {"estimator": "finite_difference"}
    yield f"target {target}, finite difference", space, "rademacher", {**words, **difference}
    around = {**words, "guess": "normal", "control": "local", "samples": 2}
    yield f"target {target}, control variate", space, "normal", around
    exact = {**words, "grouping": "tensor", "last_block": "exact", "samples": 2}
    yield f"target {target}, one scalar a tensor", space, "rademacher", exact
    span = {**words, "guess": "local", "granularity": "span"}
    yield f"target {target}, span", space, "local", span
    batch = {**words, "guess": "local", "granularity": "batch", "grouping": "net"}
    yield f"target {target}, one scalar in all", space, "local", batch


def cell(case: Case) -> tuple[str, str]:
    """(kind of the cell, its text): the largest relative difference, or why there is none."""
    reason = refused(case)
    if reason is not None:
        return "refused", f"refused: {reason}"
    try:
        found, path, rounding = compare(case, compiling=False)
    except Exception as error:  # a table says what is wrong and goes on
        return "raised", f"RAISED {type(error).__name__}: {str(error).splitlines()[:1]}"
    if found < max(1e-4, 30 * rounding):
        return "agree", f"{found:.1e}"
    return "WRONG", f"WRONG {found:.1e} in {path} (rounding {rounding:.1e})"


def main(only: list[str]) -> None:
    """Print the table; arguments restrict it to rules that contain one of them."""
    head = ["rule", "space", "guess", "architecture", "normalization", "difference"]
    print(f"| {' | '.join(head)} |\n|{' --- |' * len(head)}")
    kinds: Counter[str] = Counter()
    wanted = [row for row in rows() if not only or any(word in row[0] for word in only)]
    for number, (rule, space, guess, words) in enumerate(wanted, 1):
        for architecture, (_, _, _, sizes) in ARCHITECTURES.items():
            norms = NORMS[architecture]
            cases = [Case(architecture=architecture, sizes=sizes, norm=n, **words) for n in norms]
            reasons = {refused(case) for case in cases}
            same = None not in reasons and len(reasons) == 1
            for case in cases[:1] if same else cases:
                norm = "either" if same else case.norm.type
                kind, said = cell(case)
                kinds[kind] += 1
                print(
                    f"| {rule} | {space} | {guess} | {architecture} | {norm} | {said} |", flush=True
                )
        if number % EVERY == 0:
            jax.clear_caches()
    counts = ("agree", "refused", "WRONG", "raised")
    print(f"\n{sum(kinds.values())} cells: " + ", ".join(f"{kinds[k]} {k}" for k in counts))


if __name__ == "__main__":
    main(sys.argv[1:])
