"""Targets along guesses in every space of every architecture, beside the oracle."""

import pytest

from oracle.small import check, small

MADE = [
    ("global", "jacobian", "weight", "mixed", {}),
    ("above", "jacobian", "block_output", "conv", {}),
    ("sum", "local", "weight", "full", {"granularity": "example", "grouping": "block"}),
    ("global", "ntk", "activation", "mixer", {"granularity": "span"}),
    ("local", "above", "block_output", "resnet", {"granularity": "batch", "grouping": "net"}),
    ("above", "fixed_ntk", "weight", "mixer, batch", {"granularity": "batch"}),
    ("local", "global", "weight", "positionwise", {"grouping": "net"}),
    ("global", "above", "activation", "mlp", {"coefficient": "sign"}),
]
DRAWN = [
    ("above", "rademacher", "weight", "conv", {}),
    ("sum", "normal", "block_output", "mixer, batch", {}),
    ("above", "sphere", "activation", "mixed, none", {}),
    ("local", "normal", "block_output", "positionwise", {}),
    ("sum", "normal", "activation", "mixer", {"control": "local"}),
    ("sum", "normal", "weight", "conv", {"control": "ntk"}),
    ("global", "rademacher", "weight", "mixed", {"grouping": "tensor", "last_block": "exact"}),
    ("above", "normal", "activation", "mlp", {"grouping": "block", "projection": "optimal"}),
    ("above", "rademacher", "block_output", "mixer", {"estimator": "finite_difference"}),
    ("global", "normal", "weight", "conv", {"estimator": "finite_difference"}),
]


@pytest.mark.parametrize(("target", "guess", "space", "name", "how"), [*MADE, *DRAWN])
def test_targets_along_guesses(target, guess, space, name, how):
    check(small(name, target=target, guess=guess, space=space, **how))


@pytest.mark.parametrize(("estimator", "name"), [("exact", "mixer, batch"), ("feedback", "full")])
def test_overlapping_pairs_of_losses(estimator, name):
    """Each local loss also trains the block before its own: the target `above`."""
    check(small(name, target="above", estimator=estimator))
