"""VGG, the ResNets for CIFAR and AugLocal's heads under every kind of rule, beside the oracle."""

import pytest

from oracle.small import check, small

REVERSE = [
    ("bp", "vgg"),
    ("dfa", "small resnet"),
    ("l-bp", "small resnet, projected"),
    ("lg-fa", "vgg, no hidden"),
]
FORWARD = [
    ("fg-a", "small resnet, projected", "normal"),
    ("fg-w", "vgg, no hidden", "sphere"),
    ("lg-fg-a", "vgg", "rademacher"),
    ("lg-fg-w", "small resnet", "normal"),
]


@pytest.mark.parametrize(("rule", "name"), REVERSE)
def test_reverse_rules(rule, name):
    check(small(name, rule=rule))


@pytest.mark.parametrize(("rule", "name", "guess"), FORWARD)
def test_forward_rules(rule, name, guess):
    check(small(name, rule=rule, guess=guess, batch=4, seed=17))


@pytest.mark.parametrize(
    ("rule", "name"),
    [("l-bp", "units"), ("lg-fa", "small resnet, projected"), ("lg-fg-w", "small resnet")],
)
def test_auxiliary_networks_of_auglocal(rule, name):
    check(small(name, rule=rule, head="auglocal"))
