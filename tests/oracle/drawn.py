"""What hypothesis draws, and the check of what it has drawn."""

from dataclasses import replace

from hypothesis import HealthCheck, Phase, assume, settings
from hypothesis import strategies as st

from oracle.cases import Norm, refused
from oracle.compare import compare

few = settings(
    max_examples=3,
    derandomize=True,
    deadline=None,
    phases=[Phase.generate],  # to make an example smaller would compile it a hundred times
    suppress_health_check=list(HealthCheck),
)
once = settings(few, max_examples=1)
PLACES = st.sets(st.sampled_from(["begin_block", "before_linear", "after_linear"])).map(sorted)


def check(case):
    """Agreement to 1e-4, or to what the rounding of the parameters explains where it is more."""
    assert refused(case) is None, refused(case)
    found, path, rounding = compare(case)
    assume(rounding < 1e-3)
    print(f"{found:.1e} {path} (rounding {rounding:.1e}) {case}")
    assert found < max(1e-4, 30 * rounding), (found, path, rounding, case)


@st.composite
def placed(draw, name, rule=""):
    """A small network by its name in NETS, with what its case and a rule leave open."""
    found = NETS[name] | {"seed": draw(st.integers(0, 1000)), "batch": draw(st.integers(3, 4))}
    if rule.endswith("fg-a") and found["norm"].type != "none":
        gradient = draw(st.sampled_from(["ignored", "exact"]))
        found |= {"norm": replace(found["norm"], gradient=gradient)}
    return found


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
    "mixed": _net("chain", ("mixed",), "layer_norm"),
    "mixed, none": _net("chain", ("mixed",), "none"),
    "positionwise": _net("chain", ("positionwise",), "batch_norm", affine=False),
    "full": _net("chain", ("full",), "batch_norm"),
}
"""Names the tests take networks by: every kind of layer, normalization, residual and pooling."""
