"""Networks that keep the patches and channels of an image: ViT, MLP-Mixer, ConvMixer."""

from dataclasses import replace

from oracle.build import norm_axes, windowed
from oracle.layers import Layer
from oracle.network import INPUT, Block, Network, Readout


def _branch(block, norm, affine, at, source, *, kind, **own):
    """The first map of a branch behind its normalization, a layer of its own with scale and shift.

    Args:
        block: its name.
        norm: the normalization, or None.
        affine: whether it has a scale and a shift.
        at: names of the normalization and of the map.
        source: what the branch reads.
        kind: of the map.
        own: fields of the map's layer.
    """
    if norm is not None and affine:
        first = Layer(
            f"{block}/{at[0]}",
            "identity",
            after=replace(norm, affine=True),
            source=source,
            relu=False,
        )
        return [first, Layer(f"{block}/{at[1]}", kind, relu=False, **own)]
    return [Layer(f"{block}/{at[1]}", kind, before=norm, source=source, relu=False, **own)]


def _readouts(norm, affine, pool):
    found = []
    for path in ("classifier", "heads/final"):
        last = (replace(pool, path=f"{path}/pool"), Layer(f"{path}/linear", "full", relu=False))
        own = replace(norm, affine=affine) if norm is not None else None
        first = (Layer(f"{path}/norm", "identity", after=own, relu=False),) if norm else ()
        found.append((path, Readout((*first, *last), averages=False)))
    return tuple(found)


def _network(first, layers, count, norm, pool):
    """Blocks of `layers(block, entering)`, the first of them behind the layer `first`."""
    blocks = [Block("block0", (first, *layers("block0", first.path)))]
    blocks += [
        Block(name, tuple(layers(name, INPUT))) for name in (f"block{b}" for b in range(1, count))
    ]
    over, head = norm_axes(norm.type), norm_axes(norm.type, "grouped")
    affine = norm.affine and over is not None
    return Network(tuple(blocks), _readouts(over, affine, pool), head, norm.epsilon)


def vit(sizes, norm):
    """Tokens, then blocks of attention and a perceptron (Dosovitskiy et al. 2021)."""
    count, side, _, _, _, readout, positions = sizes
    token, over = readout == "class_token", norm_axes(norm.type)
    end = (1, side * side + 1) if token else (side, side)

    def layers(block, entering):
        attend = Layer(f"{block}/attend", "attention", relu=False)
        project = Layer(f"{block}/project", "dense", adds=(entering,), relu=False)
        out = Layer(f"{block}/out", "dense", adds=(project.path,), relu=False)
        return [
            *_branch(block, over, norm.affine, ("norm1", "qkv"), entering, kind="dense"),
            attend,
            project,
            *_branch(block, over, norm.affine, ("norm2", "hidden"), None, kind="dense", gelu=True),
            out,
        ]

    embed = Layer(
        "block0/embed",
        "embedding",
        relu=False,
        grid=(side, side),
        end=end,
        token=token,
        waves=positions == "sinusoidal",
    )
    pool = Layer("pool", "first" if token else "average_pool", relu=False, grid=end)
    return _network(embed, layers, count, norm, pool)


def mlp_mixer(sizes, norm):
    """Two layers over patches, two over channels, in every block (Tolstikhin et al. 2021)."""
    count, side = sizes[:2]
    over = norm_axes(norm.type)

    def layers(block, entering):
        token = Layer(f"{block}/token", "token", adds=(entering,), relu=False)
        channel = Layer(f"{block}/channel", "dense", adds=(token.path,), relu=False)
        own = {"gelu": True}
        return [
            *_branch(block, over, norm.affine, ("norm1", "tokens"), entering, kind="token", **own),
            token,
            *_branch(block, over, norm.affine, ("norm2", "channels"), None, kind="dense", **own),
            channel,
        ]

    embed = Layer("block0/embed", "dense", relu=False)
    pool = Layer("pool", "average_pool", relu=False, grid=(side, side))
    return _network(embed, layers, count, norm, pool)


def conv_mixer(sizes, norm):
    """A convolution with a residual, then a map of channels (Trockman and Kolter 2022)."""
    count, side, _, _, size = sizes
    over, eps = norm.spatial()

    def normed(path, adds=()):
        own = Layer(f"{path}_norm", "identity", after=over, adds=adds, relu=False)
        return (own,) if over is not None or adds else ()

    def mapped(path):
        return (Layer(path, "dense", relu=False, gelu=True), *normed(path))

    def layers(block, entering):
        more = {"size": size, "relu": False, "gelu": True, "source": entering}
        spread = windowed(f"{block}/depthwise", "depthwise", (side, side), **more)
        return (spread, *normed(spread.path, (entering,)), *mapped(f"{block}/pointwise"))

    first = mapped("block0/embed")
    blocks = [Block("block0", (*first, *layers("block0", first[-1].path)))]
    names = [f"block{b}" for b in range(1, count)]
    blocks += [Block(name, layers(name, INPUT)) for name in names]
    pool = Layer("pool", "average_pool", relu=False, grid=(side, side))
    return Network(tuple(blocks), _readouts(None, False, pool), None, eps)
