"""The architecture `flax`: a network from a Flax NNX module, named in a spec or given in Python."""

import itertools
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, replace
from functools import lru_cache
from typing import Any, ClassVar, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from flax import nnx
from jaxtyping import Array, Float
from pydantic import Field

from compiler.equivalence.digest import digests
from compiler.equivalence.value_digest import hashed
from compiler.flax_modules.parts import (
    Map,
    Misread,
    Piece,
    What,
    as_users_write,
    first_line,
    grouped,
    pieces,
    plan_block,
)
from compiler.named_arrays.random_streams import KeyData, address, key_data
from compiler.network.activations import NoActivation
from compiler.network.block import Block
from compiler.network.extend import full
from compiler.network.network import Network, every_layer, forward
from compiler.network.readout import Readout
from compiler.network.shapes import Layer
from fgspec.errors import UserError
from fgspec.spec import flax_module, plugins
from fgspec.spec.kinds import working
from fgspec.spec.shapes import flat

Image = tuple[int, int, int]

STREAM = "initial/flax"
"""The random stream that a module draws its parameters from."""

POSITIONS = 32
"""How many positions are perturbed to find whether an output depends on other positions."""


@dataclass(frozen=True)
class Maker:
    """Makes a module from an entry point.

    Attributes:
        make: (image, rngs=..., **arguments) -> module.
        arguments: its keyword arguments.
    """

    make: Callable[..., Any]
    arguments: flax_module.Arguments

    def __call__(self, image: Image, key: KeyData) -> Any:
        """The module, with parameters drawn from a run's raw key."""
        with as_users_write():
            rngs = nnx.Rngs(address(key, STREAM))
            return self.make(image, rngs=rngs, **self.arguments)

    def abstract(self, image: Image) -> Any:
        """The module with shapes instead of parameters."""
        try:
            return nnx.eval_shape(lambda: self(image, key_data(0)))
        except Exception as error:  # whatever a module of others raises
            raise Misread(f"cannot be made: {type(error).__name__}: {first_line(error)}") from error


@dataclass(frozen=True, eq=False)
class InHand:
    """A module that was given in Python, with its parameters."""

    module: Any

    def __call__(self, image: Image, key: KeyData) -> Any:
        """The module itself."""
        return self.module

    def abstract(self, image: Image) -> Any:
        """The module itself."""
        return self.module


@dataclass(frozen=True)
class Initial:
    """The initial parameters of blocks: those that the module draws."""

    made: Maker | InHand
    image: Image

    def __call__(self, key: KeyData) -> dict[str, Float[Array, "..."]]:
        """The parameters for a run's raw key, by `blocks/block/layer/name`."""
        params = {}
        for block_index, block in enumerate(pieces(self.made(self.image, key))):
            for index, (layer_pieces, _) in enumerate(grouped(block)):
                kind = _map_of(layer_pieces)
                for name, (element_index, path, _) in kind.by_name().items():
                    value = layer_pieces[element_index].values[path]
                    params[f"blocks/block{block_index}/layer{index}/{name}"] = jnp.asarray(value)
        return params


def _map_of(layer_pieces: list[Piece]) -> Map:
    elements = tuple(piece.element for piece in layer_pieces)
    return Map(type="", elements=elements, entering=(), leaving=())


class Skeleton(NamedTuple):
    """A module read as a chain of blocks, or the reason why this is not possible.

    Attributes:
        blocks: the blocks with their shapes.
        problem: the reason in one line; empty if the module can be trained.
    """

    blocks: tuple[Block, ...]
    problem: str


@lru_cache(maxsize=64)
def skeleton(made: Maker | InHand, image: Image, axes: tuple[str, ...]) -> Skeleton:
    """Read a module as a chain, and check by trying that it does not mix examples."""
    try:
        root = made.abstract(image)
        blocks, entering = [], tuple(image)
        for index, block in enumerate(pieces(root)):
            planned, entering = plan_block(f"block{index}", block, entering)
            blocks.append(planned)
        _refuse_other_call(root, image)
        _refuse_single_values(made(image, key_data(0)), image)
        checked_blocks = tuple(blocks)
        _refuse_coupled(checked_blocks, Initial(made, image))
        if "patch" in axes:
            checked_blocks = tuple(_apart(block) for block in checked_blocks)
    except Misread as misread:
        return Skeleton((), str(misread))
    return Skeleton(checked_blocks, "")


def _refuse_single_values(root: Any, image: Image) -> None:
    """Refuse normalizations of a single value, whose output is the same for all examples."""
    rng, entering = np.random.default_rng(0), tuple(image)
    for number, block in enumerate(pieces(root)):
        for element, values in block:
            x = jnp.asarray(rng.standard_normal((2, *entering)), jnp.float32)
            with as_users_write():
                entering = jax.eval_shape(element, values, x).shape[1:]
                if element.what is not What.NORM:
                    continue
                first_out, second_out = np.asarray(element(values, x))
            if np.array_equal(first_out, second_out):
                raise Misread(
                    f"block{number}: {element.name} takes mean and deviation of a single value of "
                    f"[n, {', '.join(map(str, x.shape[1:]))}], so that all become 0 and nothing is "
                    "learnt; give it more features, or leave it out"
                )


def _refuse_other_call(root: Any, image: Image) -> None:
    """Refuse a module whose `__call__` is not the same as its blocks one after the other."""
    if isinstance(root, nnx.Sequential) or not callable(root):
        return
    graph, params = nnx.split(root)
    leaves, tree = jax.tree.flatten(params)

    def whole_module(leaves: Any, x: Any) -> Any:
        return nnx.merge(graph, jax.tree.unflatten(tree, leaves))(x)

    def chain(leaves: Any, x: Any) -> Any:
        merged = nnx.merge(graph, jax.tree.unflatten(tree, leaves))
        for piece in (piece for block in pieces(merged) for piece in block):
            x = piece.element(piece.values, x)
        return x

    shapes = [jax.ShapeDtypeStruct(leaf.shape, leaf.dtype) for leaf in leaves]
    arguments = (shapes, jax.ShapeDtypeStruct((2, *image), jnp.float32))
    remedy = "move that into a block, or leave __call__ out"
    try:
        with as_users_write():
            same = digests(whole_module, arguments, ("params", "x")) == digests(
                chain, arguments, ("params", "x")
            )
    except Exception as error:  # whatever a module of others raises
        raise Misread(
            f"its __call__ fails on images alone: {first_line(error)}; {remedy}"
        ) from error
    if not same:
        raise Misread(f"its __call__ does more than its blocks one after the other; {remedy}")


def _params(initial: Initial) -> dict[str, Any]:
    tree: dict[str, Any] = {}
    for path, value in initial(key_data(0)).items():
        _, block, layer, name = path.split("/")
        tree.setdefault(block, {}).setdefault(layer, {})[name] = value
    return tree


def _refuse_coupled(blocks: tuple[Block, ...], initial: Initial) -> None:
    """Refuse blocks in which an example depends on others of its batch."""
    rng = np.random.default_rng(0)
    x = rng.standard_normal((2, *blocks[0].start.features)).astype(np.float32)
    x_changed = np.stack([x[0] + 1, x[1]])

    @jax.jit
    def features(x: Array) -> dict[str, Array]:
        return forward(blocks, _params(initial), x).features

    features_before, features_after = features(jnp.asarray(x)), features(jnp.asarray(x_changed))
    for block in blocks:
        before, after = (
            np.asarray(features_by_block[block.name][1])
            for features_by_block in (features_before, features_after)
        )
        if not np.array_equal(before, after, equal_nan=True):
            raise Misread(f"{block.name} mixes the examples of a batch; a loss is of one example")


def _apart(block: Block) -> Block:
    """The block, with a mark on layers that map every position by itself."""

    def marked(layer: Layer) -> Layer:
        assert isinstance(layer.kind, Map)
        kind = layer.kind.model_copy(update={"apart": _maps_positions_apart(layer)})
        return replace(layer, kind=kind)

    return replace(block, layers=tuple(marked(layer) for layer in block.layers))


def _maps_positions_apart(layer: Layer) -> bool:
    """Whether perturbing one position of the input changes only this position of the output."""
    positions, *rest = layer.inputs
    if positions != layer.outputs[0]:
        return False
    if positions == 1:
        return True
    rng = np.random.default_rng(0)
    nudged = np.unique(np.linspace(0, positions - 1, POSITIONS).astype(int))
    x = rng.standard_normal((1, positions, *rest)).astype(np.float32)
    tangents = np.zeros((len(nudged), *x.shape), np.float32)
    for row, position in enumerate(nudged):
        tangents[row, 0, position] = rng.standard_normal(tuple(rest))
    params = {
        name: jnp.asarray(rng.standard_normal(spec.shape), jnp.float32)
        for name, spec in layer.params().items()
    }

    @jax.jit
    def moved(x: Array, tangents: Array) -> Array:
        def along_one(tangent: Array) -> Array:
            return jax.jvp(lambda x: layer.map(params, x), (x,), (tangent,))[1]

        return jax.vmap(along_one)(tangents)

    moves = np.abs(np.asarray(moved(jnp.asarray(x), jnp.asarray(tangents)))[:, 0]).sum((2, 3)) > 0
    moves[np.arange(len(nudged)), nudged] = False
    return not moves.any()


class Flax(flax_module.Flax):
    """A network from a Flax NNX module."""

    def made(self) -> Maker | InHand | None:
        """What makes the module; None if the spec names none."""
        if self.module is None:
            return None
        make = plugins.load(flax_module.MODULES, self.module, "flax module")
        return Maker(make, flax_module.Arguments(self.arguments))

    def holding(self, module: Any) -> "Flax":
        """The section with a module that was given in Python.

        Raises:
            UserError: the spec names a module, too.
        """
        if self.module is not None:
            raise UserError(
                f"network=: architecture.module names {self.module} already; remove it, or leave "
                "network= out"
            )
        fields = {name: getattr(self, name) for name in flax_module.Flax.model_fields}
        return Held.model_construct(**fields, hand=InHand(module))

    def _skeleton(self, image: Image) -> Skeleton:
        made = self.made()
        if made is None:
            remedy = f"name one of the entry points {flax_module.MODULES} in module, or use "
            return Skeleton((), f"no module; {remedy}fgspec.compile(spec, network=module)")
        return skeleton(made, tuple(image), self.axes)

    def misread(self, image: Image) -> str | None:
        """Why the module cannot be trained, or None."""
        return self._skeleton(image).problem or None

    def blocks_in(self, image: Image) -> int:
        """The number of blocks."""
        return len(self._skeleton(image).blocks)

    def unreached(self, image: Image) -> str | None:
        """Why pre-activations cannot be perturbed, or None."""
        for block, _, kind in self._maps(image):
            if kind.whole is not None:
                return (
                    f"needs linear maps one by one, but {block} is a module {kind.whole.name}; "
                    "write it as an nnx.Sequential of them and their activations, or use weight or "
                    "block_output"
                )
        return None

    def unknown_activation(self, image: Image) -> str | None:
        """Why the derivative of an activation is not known, or None."""
        layers = list(self._maps(image))
        for block, _, kind in layers:
            if kind.whole is not None:
                return (
                    f"sends errors to linear maps one by one, but {block} is a module "
                    f"{kind.whole.name}; write it as an nnx.Sequential of them and their "
                    "activations, or use exact"
                )
        for (block, before, _), (next_block, _, kind) in itertools.pairwise(layers):
            function, bare = kind.elements[0], before.activation == NoActivation()
            follows = block == next_block and function.what is What.FUNCTION
            if before.params() and bare and follows:
                return (
                    f"needs the activation behind {block}/{before.name}, and {function.name} is "
                    "none that is known; use one of jax.nn, or move a function that is no "
                    "activation behind one"
                )
        return None

    def not_linear(self, image: Image) -> str | None:
        """Why errors cannot go through backward weights, or None."""
        for block, layer, kind in self._maps(image):
            if layer.params() and not kind.linear_last:
                return (
                    f"sends errors through other weights, but {block}/{layer.name} ({kind.type}) "
                    "does not end in a linear map that they could stand for; normalize in front of "
                    "the linear map, or use exact"
                )
        return None

    def _maps(self, image: Image) -> Iterator[tuple[str, Layer, Map]]:
        """Every layer with its block's name and its map."""
        for path, layer in every_layer(self._skeleton(image).blocks):
            assert isinstance(layer.kind, Map)
            yield path.split("/")[0], layer, layer.kind

    def code(self, image: Image) -> str | None:
        """A digest of what draws the parameters and of every layer; None without a module."""
        made = self.made()
        if made is None:
            return None
        blocks = self._read(image)
        return _digest(made, tuple(image), blocks)

    def _read(self, image: Image) -> tuple[Block, ...]:
        blocks, problem = self._skeleton(image)
        if problem:
            raise UserError(f"architecture.module: {problem} (got {self.module})")
        return blocks

    def network(self, image: Image, outputs: int) -> Network:
        """The network for images (height, width, colours) and so many outputs.

        Raises:
            UserError: the module cannot be trained.
        """
        blocks, made = self._read(image), self.made()
        assert made is not None
        features = flat(blocks[-1].end.width)
        return Network(
            blocks=blocks,
            head_norm=None,
            auxiliary_norm=None,
            classifier=Readout((full("linear", features, outputs),)),
            initialization=working(self.initialization),
            activation=working(self.activation),
            drawn=Initial(made, image),
        )


class Held(Flax):
    """A network from a module that was given in Python and has no name in a spec."""

    behaviour: ClassVar[str | None] = None
    hand: Any = Field(exclude=True, repr=False)

    def made(self) -> Maker | InHand | None:
        """The module that was given."""
        return self.hand


@lru_cache(maxsize=64)
def _digest(made: Maker | InHand, image: Image, blocks: tuple[Block, ...]) -> str:
    """A digest of what a module draws and computes; its name and place do not count."""
    key = jax.ShapeDtypeStruct((2,), jnp.uint32)
    params_drawn = digests(Initial(made, image), (key,), ("key",))
    entries: list[Any] = sorted((path, value.digest) for path, value in params_drawn.items())
    for path, layer in every_layer(blocks):
        params = {
            name: jax.ShapeDtypeStruct(spec.shape, jnp.float32)
            for name, spec in layer.params().items()
        }
        x = jax.ShapeDtypeStruct((2, *layer.inputs), jnp.float32)

        def run(params_given: Mapping[str, Any], x: Any, layer: Layer = layer) -> Any:
            return layer.activation.apply(layer.map(params_given, x))[0]

        entries.append((path, digests(run, (params, x), ("params", "x"))[""].digest))
    return hashed(entries)
