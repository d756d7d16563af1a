"""What hypothesis draws, and the check of what it has drawn."""

from hypothesis import HealthCheck, Phase, assume, settings
from hypothesis import strategies as st

from oracle.cases import ARCHITECTURES, Norm, refused
from oracle.compare import compare

few = settings(
    max_examples=3,
    derandomize=True,
    deadline=None,
    phases=[Phase.generate],  # to make an example smaller would compile it a hundred times
    suppress_health_check=list(HealthCheck),
)
once = settings(few, max_examples=1)
twice = settings(few, max_examples=2)
PLACES = st.sets(st.sampled_from(["begin_block", "before_linear", "after_linear"])).map(sorted)


def check(case):
    """Agreement to 1e-4, or to what the rounding of the parameters explains where it is more."""
    assert refused(case) is None, refused(case)
    found, path, rounding = compare(case)
    assume(rounding < 1e-3)
    print(f"{found:.1e} {path} (rounding {rounding:.1e}) {case}")
    assert found < max(1e-4, 30 * rounding), (found, path, rounding, case)


@st.composite
def spatial_norms(draw, kinds=("batch_norm", "layer_norm", "group_norm", "none"), ignored=False):
    """Normalizations after convolutions; `ignored`: their gradient may be."""
    kind = draw(st.sampled_from(kinds))
    gradient = draw(st.sampled_from(["exact", "ignored"])) if ignored else "exact"
    if kind == "none":
        return Norm()
    return Norm(kind, gradient=gradient, affine=draw(st.booleans()), parts=1, epsilon=0.1)


@st.composite
def on_grids(draw, names=("conv_net", "resnet18", "chain")):
    """Architectures of convolutions, small."""
    name = draw(st.sampled_from(names))
    sizes = {
        "conv_net": [(-2, -3, 2), (-3, -2)],
        "resnet18": [(2, 0.03, "cifar"), (2, 0.05, "imagenet")],
        "chain": [("mixed",), ("positionwise",), ("full",)],
    }
    return {"architecture": name, "sizes": draw(st.sampled_from(sizes[name]))}


@st.composite
def anything(draw, names=tuple(ARCHITECTURES)):
    """Architectures of every type with a normalization."""
    name = draw(st.sampled_from(names))
    if name in ("mlp", "local_mixer"):
        kind = draw(st.sampled_from(["none", "local_layer_norm", "layer_norm", "batch_norm"]))
        sizes = {"mlp": (5, 6, 4), "local_mixer": (2, 2, 2, 3)}[name]
        return {"architecture": name, "sizes": sizes, "norm": Norm(kind, epsilon=0.1)}
    kinds = ("batch_norm", "layer_norm", "none")
    return draw(on_grids((name,))) | {"norm": draw(spatial_norms(kinds))}
