"""Every activation, layer, normalization, initialization and architecture obeys its laws."""

import pytest

from fgspec.spec.activations import ACTIVATIONS
from fgspec.spec.architectures import ARCHITECTURES
from fgspec.spec.initializations import INITIALIZATIONS
from fgspec.spec.layers import LAYERS
from fgspec.spec.normalizations import NORMALIZATIONS
from fgspec.testing import networks


@pytest.mark.parametrize("name", ACTIVATIONS.names())
def test_activation(name):
    networks.check_activation(ACTIVATIONS.kind(name))


@pytest.mark.parametrize("name", LAYERS.names())
def test_layer(name):
    networks.check_layer(LAYERS.kind(name))


@pytest.mark.parametrize("name", NORMALIZATIONS.names())
def test_normalization(name):
    networks.check_normalization(NORMALIZATIONS.kind(name))


@pytest.mark.parametrize("name", INITIALIZATIONS.names())
def test_initialization(name):
    networks.check_initialization(INITIALIZATIONS.kind(name))


@pytest.mark.parametrize("name", ARCHITECTURES.names())
def test_architecture(name):
    networks.check_architecture(ARCHITECTURES.kind(name))
