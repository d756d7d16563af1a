"""The auxiliary networks of AugLocal (Ma et al., ICLR 2024)."""

from collections.abc import Iterator
from dataclasses import replace

from compiler.network.activations import NoActivation
from compiler.network.block import Block, is_trained
from compiler.network.extend import averaging, conv, full, normalized
from compiler.network.heads import Layers, Place
from compiler.network.norms import Norm
from compiler.network.shapes import Layer
from fgspec.errors import UserError
from fgspec.spec import auglocal
from fgspec.spec.shapes import INPUT, Extent


class AugLocalHead(auglocal.AugLocalHead):
    """Copies of later units, pooling and a linear layer."""

    def pooled(self, place: Place) -> Layers:
        """The adapted copies, then average pooling and a linear layer.

        Raises:
            UserError: a copy does not fit the features that enter it.
        """
        blocks = place.network.blocks
        index = [block.name for block in blocks].index(place.block)
        depth, norm = self.depth_at(index, len(blocks)), place.network.auxiliary_norm
        by_block = [list(units(block)) for block in blocks]
        chain = [unit for found in by_block for unit in found]
        layers, start, entering = list[Layer](), place.features, INPUT
        for taken in spread(sum(map(len, by_block[: index + 1])) - 1, len(chain), depth):
            layers += _copy(chain[taken], start, entering, norm)
            start, entering = layers[-1].end, layers[-1].name
        pool = averaging("pool", start)
        # The authors' code has this normalization in heads of depth 1 and in no others.
        alone = depth == 1 and norm is not None
        before = (pool, normalized("norm", pool.end, norm)) if alone else (pool,)
        return (*layers, *before, full("linear", pool.end, place.outputs))


def spread(last: int, count: int, depth: int) -> list[int]:
    """Which units are copied: `depth` of those after a block at equal distances, the last always.

    With d the depth, l the block's last unit and L the network's, counted from 0, these are
    l + (L - l) i / d for i = 1 ... d, each rounded as in the authors' code.

    Args:
        last: the index of the block's last unit.
        count: units of the network.
        depth: how many are copied; all of them if no more follow.
    """
    after = count - 1 - last
    if depth >= after:
        return list(range(last + 1, count))
    return [round(last + after / depth * step) for step in range(1, depth + 1)]


def units(block: Block) -> Iterator[Block]:
    """The shortest runs of layers of a block that nothing bypasses, each with parameters.

    A later layer reads and adds nothing from before a run but what enters it. Layers without
    parameters, such as pooling, belong to the run after them, or to the last one. The name of each
    is the block's.
    """
    sources, runs, held = block.sources(), list[Layers](), list[Layer]()
    for index, layer in enumerate(block.layers):
        held.append(layer)
        earlier = {INPUT, *(other.name for other in block.layers[:index])}
        later = block.layers[index + 1 :]
        read = {name for other in later for name in (sources[other.name], *other.adds)}
        if not read & earlier and any(map(is_trained, held)):
            runs.append(tuple(held))
            held = []
    if held:
        runs[-1:] = [(*(runs[-1] if runs else ()), *held)]
    entering = INPUT
    for run in runs:
        names = {entering: INPUT} | {layer.name: layer.name for layer in run}
        yield Block(
            block.name,
            tuple(
                replace(
                    layer,
                    source=names[sources[layer.name]],
                    adds=tuple(names[name] for name in layer.adds),
                )
                for layer in run
            ),
        )
        entering = run[-1].name


def _copy(unit: Block, start: Extent, entering: str, norm: Norm | None) -> Iterator[Layer]:
    """A unit's layers for another input: other widths, and a stride of 2 if its grid is larger.

    As in the authors' code, a copy halves the grid at most once, and not beside a stride of its
    own; what is owed is left to the copies after it. An input that is added and has another shape
    than the output goes through a normalized 1x1 convolution.

    Args:
        unit: reads `INPUT`.
        start: what enters it.
        entering: the layer before.
        norm: follows such a convolution.

    Raises:
        UserError: a layer does not fit.
    """
    named = {layer.name: f"{unit.name}_{layer.name}" for layer in unit.layers} | {INPUT: entering}
    owes = start.rows >= 2 * unit.start.rows and start.columns >= 2 * unit.start.columns
    keeps = unit.end[:2] == unit.start[:2]
    strided = {layer.name: layer.kind.farther(2) for layer in unit.layers if layer.source == INPUT}
    maps = [layer.kind.farther(2) for layer in unit.layers if is_trained(layer)]
    halves = owes and keeps and None not in (*strided.values(), *maps)
    if owes and None in (*strided.values(), *maps):
        # A map of all positions has no stride, and the number of its weights depends on theirs.
        pool = averaging(f"{unit.name}_{unit.layers[0].name}_pool", start, unit.start[:2])
        yield replace(pool, source=entering)
        start, named[INPUT] = pool.end, pool.name
    ends = {INPUT: start}
    for layer in unit.layers:
        kind = (strided.get(layer.name) if halves else None) or layer.kind
        source = layer.source or INPUT
        try:
            copied = replace(layer, kind=kind, start=ends[source])
            end = copied.end
        except ValueError as error:
            raise _misfit(unit, str(error)) from error
        adds = []
        for name in layer.adds:
            if ends[name] != end and name == INPUT:
                stride = 2 if end.rows < start.rows or end.columns < start.columns else 1
                path = f"{named[layer.name]}_shortcut"
                beside = {"source": named[INPUT], "activation": NoActivation()}
                shortcut = conv(path, start, end.width, norm, size=1, stride=stride, **beside)
                yield shortcut
                found, adds = shortcut.end, [*adds, path]
            else:
                found, adds = ends[name], [*adds, named[name]]
            if found != end:
                raise _misfit(unit, f"{layer.name} gives {end} and adds {found}")
        ends[layer.name] = end
        name = named[layer.name]
        yield replace(copied, name=name, source=named[source], adds=tuple(adds))


def _misfit(unit: Block, why: str) -> UserError:
    return UserError(
        f"losses.local.head: auglocal cannot copy a unit of {unit.name} for features of another "
        f"shape ({why}); use head: {{type: cnn}}"
    )
