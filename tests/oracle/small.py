"""Small networks by name, and the check that the compiler agrees with the oracle on a case."""

from dataclasses import replace

from oracle.cases import Case, Norm, refused
from oracle.compare import compare


def check(case):
    """Agreement to 1e-4, or to what the rounding of the parameters explains where it is more."""
    assert refused(case) is None, refused(case)
    found, path, rounding = compare(case)
    assert rounding < 1e-3, "this network magnifies rounding so much that it proves nothing"
    assert found < max(1e-4, 30 * rounding), (found, path, rounding, case)


def small(name, *, gradient="exact", **words):
    """The case of a network in NETS.

    Args:
        name: in NETS.
        gradient: whether estimates are pulled back through its normalization.
        words: other fields of the case.
    """
    net = NETS[name]
    return Case(**{**net, "norm": replace(net["norm"], gradient=gradient), **words})


def _net(architecture, sizes, kind, **norm):
    own = Norm(kind, epsilon=0.1, **norm) if kind != "none" else Norm()
    return {"architecture": architecture, "sizes": sizes, "norm": own}


NETS = {
    "mixer": _net("local_mixer", (2, 2, 2, 3), "local_layer_norm"),
    "mixer, batch": _net("local_mixer", (2, 2, 2, 3), "batch_norm"),
    "mlp": _net("mlp", (5, 6, 4), "layer_norm"),
    "conv": _net("conv_net", (-2, -3, 2), "batch_norm"),
    "conv, parts": _net("conv_net", (-2, -4, 2), "group_norm", parts=2),
    "resnet": _net("resnet18", (2, 0.03, "cifar"), "batch_norm"),
    "resnet, stem": _net("resnet18", (2, 0.05, "imagenet"), "layer_norm", affine=False),
    "vgg": _net("vgg", (8, 0.005, (3,)), "batch_norm"),
    "vgg, no hidden": _net("vgg", (11, 0.008, ()), "layer_norm", affine=False),
    "small resnet": _net(
        *("cifar_resnet", ((2, 1, 1), "blocks: 3", (1, 2, 4), "padding"), "batch_norm")
    ),
    "small resnet, projected": _net(
        *("cifar_resnet", ((2, 1, 1, 3), "last_block: 3, blocks: 4", (1, 2, 4), "projection")),
        *("layer_norm",),
        affine=False,
    ),
    "units": _net(
        *("cifar_resnet", ((1,) * 7, "blocks: null", (1, 2, 4), "padding"), "batch_norm")
    ),
    "mixed": _net("chain", ("mixed",), "layer_norm"),
    "mixed, none": _net("chain", ("mixed",), "none"),
    "positionwise": _net("chain", ("positionwise",), "batch_norm", affine=False),
    "full": _net("chain", ("full",), "batch_norm"),
    "heads": _net("chain", ("heads",), "none"),
    "heads, layer": _net("chain", ("heads",), "layer_norm"),
    "vit": _net("vit", (2, 2, 2, 3, 4, "class_token", "learned"), "local_layer_norm"),
    "vit, mean": _net("vit", (2, 2, 2, 2, 4, "mean", "sinusoidal"), "layer_norm", affine=False),
    "mlp mixer": _net("mlp_mixer", (2, 2, 2, 3, 3, 4), "local_layer_norm"),
    "conv mixer": _net("conv_mixer", (2, 2, 2, 2, 3), "batch_norm"),
}
"""Names the tests take networks by: every kind of layer, normalization, residual and pooling."""
