"""Chains of layers of every kind: their specs, and the same again for the oracle."""

import networks

from oracle.build import on_grid, windowed
from oracle.layers import Layer
from oracle.network import INPUT, Block

POSITIONWISE = """
  type: chain
  patches: 2
  normalization: %s
  blocks:
    - - {type: dense, channels: 4, groups: 2}
    - - {type: grouped, channels: 4, name: first}
      - {type: grouped, channels: 4, adds: [input], normalize: false}
    - - {type: depthwise, size: 1, bias: true}
      - {type: average_pool, grid: [2, 1], activation: relu}
"""
FULL = """
  type: chain
  normalization: %s
  blocks:
    - - {type: conv, channels: 2, size: 2, stride: 3}
    - - {type: average_pool, grid: [2, 2]}
      - {type: depthwise, size: 3, stride: 2, source: input, normalize: false}
    - - {type: full, channels: 5}
"""


HEADS = """
  type: chain
  patches: 2
  normalization: %s
  blocks:
    - - {type: dense, channels: 12, groups: 2, normalize: false, activation: none}
      - {type: attention}
    - - {type: token, grid: [1, 3]}
      - {type: dense, channels: 6, groups: 2, activation: none}
      - {type: attention, activation: relu}
"""
"""Losses follow attention itself, so that heads stay apart up to them."""


def _mixed(norm):
    own = {"grid": (4, 4), "end": (4, 4), "after": norm}
    first = (
        Layer("block0/dense0", "dense", **own),
        windowed("block0/depthwise1", "depthwise", (4, 4), after=norm, relu=False),
        Layer("block0/grouped2", "grouped", adds=("block0/dense0",), **own),
        windowed("block0/max_pool3", "max_pool", (4, 4), 3, 2, relu=False),
    )
    left = windowed("block1/left", "conv", (2, 2), after=norm, relu=False)
    more = {"after": norm, "source": INPUT, "adds": (left.path,)}
    right = windowed("block1/conv1", "conv", (2, 2), 1, **more)
    pool = Layer("block1/average_pool2", "average_pool", relu=False, grid=(2, 2), end=(1, 2))
    return [first, (left, right, pool)]


def _positionwise(norm):
    own = {"grid": (2, 2), "end": (2, 2)}
    second = (
        Layer("block1/first", "grouped", after=norm, **own),
        Layer("block1/grouped1", "grouped", adds=(INPUT,), **own),
    )
    pool = Layer("block2/average_pool1", "average_pool", grid=(2, 2), end=(2, 1))
    third = (windowed("block2/depthwise0", "depthwise", (2, 2), 1, after=norm), pool)
    return [(Layer("block0/dense0", "dense", after=norm, **own),), second, third]


def _full(norm):
    first = windowed("block0/conv0", "conv", (8, 8), 2, 3, after=norm)
    unread = Layer("block1/average_pool0", "average_pool", relu=False, grid=first.end, end=(2, 2))
    second = windowed("block1/depthwise1", "depthwise", first.end, 3, 2, source=INPUT)
    third = Layer("block2/full0", "full", after=norm, grid=second.end)
    return [(first,), (unread, second), (third,)]


def _heads(norm):
    first = Layer("block0/dense0", "dense", relu=False)
    second = (
        Layer("block1/token0", "token", after=norm, grid=(2, 2), end=(1, 3)),
        Layer("block1/dense1", "dense", after=norm, relu=False),
        Layer("block1/attention2", "attention", grid=(1, 3), end=(1, 3)),
    )
    return [(first, Layer("block0/attention1", "attention", relu=False)), second]


CHAINS = {
    "mixed": (networks.CHAIN, _mixed, (4, 4)),
    "positionwise": (POSITIONWISE, _positionwise, (2, 2)),
    "full": (FULL, _full, (8, 8)),
    "heads": (HEADS, _heads, (2, 2)),
}
"""name -> spec with a normalization left out, norm -> the oracle's layers by block, grid."""


def chain(name, norm, eps):
    """The oracle's network of a chain."""
    layers = CHAINS[name][1](norm)
    return on_grid([Block(f"block{b}", tuple(own)) for b, own in enumerate(layers)], norm, eps)
