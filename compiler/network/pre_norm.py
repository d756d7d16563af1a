"""What networks have in common that normalize at the beginning of every residual branch."""

from typing import Any

from compiler.network.activations import NoActivation
from compiler.network.extend import averaging, full, normalized
from compiler.network.norms import Norm
from compiler.network.readout import Readout
from compiler.network.shapes import Layer
from fgspec.spec import layers
from fgspec.spec.activations import Activation
from fgspec.spec.attention import FirstPositionLayer
from fgspec.spec.kinds import working
from fgspec.spec.normalizations import PreNormalization
from fgspec.spec.shapes import Extent


def pre_norm(spec: PreNormalization, grouped: bool = False, affine: bool = False) -> Norm | None:
    """The normalization, or None.

    Args:
        spec: its section.
        grouped: whether it stays in each group of channels, as before the heads of local losses.
        affine: whether a learnt scale and shift follow.
    """
    how = working(spec.type)
    if not how.normalizes:
        return None
    own = how.over_in_group if grouped else None
    return Norm(how.over if own is None else own, spec.epsilon, affine, how=how)


def branch(
    spec: PreNormalization,
    norm_name: str,
    start: Extent,
    source: str | None,
    name: str,
    kind: layers.Layer,
    activation: Activation | None = None,
) -> list[Layer]:
    """The first map of a residual branch, and the normalization before it.

    A normalization with a learnt scale and shift is a layer of its own, because only the
    normalization after a map can have them.

    Args:
        spec: the section of the normalization.
        norm_name: of its layer.
        start: what enters the branch.
        source: the layer that gives it; None: the layer before.
        name: of the map's layer.
        kind: the map.
        activation: that follows the map; None: none.
    """
    options: dict[str, Any] = {"activation": activation or NoActivation()}
    if spec.type.normalizes and spec.affine:
        norm = normalized(norm_name, start, pre_norm(spec, affine=True), source=source)
        return [norm, Layer(name, kind, start, **options)]
    return [Layer(name, kind, start, before=pre_norm(spec), source=source, **options)]


def readouts(
    spec: PreNormalization, features: Extent, outputs: int, first: bool = False
) -> dict[str, Any]:
    """The arguments of `Network` that concern readouts.

    The classifier normalizes, takes the first position or averages over all, and is linear.

    Args:
        spec: the section of the normalization.
        features: what the last block gives.
        outputs: of the classifier.
        first: whether the classifier reads the first position alone.
    """
    pool = averaging("pool", features)
    if first:
        pool = Layer("pool", FirstPositionLayer(), features, activation=NoActivation())
    norm = pre_norm(spec, affine=spec.affine)
    before = (normalized("norm", features, norm),) if norm is not None else ()
    classifier = (*before, pool, full("linear", pool.end, outputs))
    return {
        "head_norm": pre_norm(spec, grouped=True),
        "auxiliary_norm": pre_norm(spec, affine=True),
        "classifier": Readout(classifier, averages=False),
    }
