"""What networks have in common that cut an image into patches and keep these in all blocks."""

from collections.abc import Callable, Sequence

from compiler.network.block import Block
from compiler.network.shapes import Layer
from fgspec.spec.shapes import INPUT, Extent


def cut(image: tuple[int, int, int], side: int) -> Extent:
    """The patches of an image, each with all of its pixels and colours as channels.

    Args:
        image: height, width, colours.
        side: patches per side.
    """
    height, width, colours = image
    return Extent(side, side, 1, height // side * (width // side) * colours)


def alike(
    count: int, first: Sequence[Layer], layers: Callable[[str], Sequence[Layer]]
) -> tuple[Block, ...]:
    """Equal blocks, of which the first also has what makes patches into features.

    Args:
        count: of blocks.
        first: layers that the first block begins with.
        layers: of a block, by the name of the layer that gives what enters them.
    """
    later = tuple(layers(INPUT))
    begin = Block("block0", (*first, *layers(first[-1].name)))
    return begin, *(Block(f"block{index}", later) for index in range(1, count))
