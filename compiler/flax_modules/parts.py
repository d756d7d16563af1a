"""Reads a Flax NNX module as a chain of blocks, and each block as the layers that fgspec trains.

A block is a submodule. An `nnx.Sequential` is divided into layers: each has a linear map, the
normalizations around it, the functions before it and the activation after it. So the input of every
activation is a pre-activation, as in the built-in networks. Any other module is one layer.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from enum import Enum, auto
from functools import partial
from math import prod
from typing import Any, ClassVar, NamedTuple, TypeGuard

import jax
import jax.numpy as jnp
from flax import nnx
from jaxtyping import Array, Bool, Float
from pydantic import Field

from compiler.network.activations import NoActivation
from compiler.network.block import Block
from compiler.network.shapes import Layer
from fgspec.spec import layers
from fgspec.spec.activations import Activation
from fgspec.spec.shapes import Axis, Extent, ParamSpec, Role

LINEAR = (nnx.Linear, nnx.LinearGeneral, nnx.Einsum, nnx.Conv, nnx.ConvTranspose)
"""Modules that are linear in their input, except for a bias."""

NORMS = (nnx.LayerNorm, nnx.RMSNorm, nnx.GroupNorm, nnx.InstanceNorm)
"""Modules that normalize and keep no running statistics."""

ELEMENTWISE = {
    jax.nn.relu: "relu",
    jnp.tanh: "tanh",
    jax.lax.tanh: "tanh",
    jax.nn.gelu: "gelu",
    jax.nn.silu: "silu",
    jax.nn.sigmoid: "sigmoid",
    jax.nn.elu: "elu",
    jax.nn.selu: "selu",
    jax.nn.celu: "celu",
    jax.nn.leaky_relu: "leaky_relu",
    jax.nn.softplus: "softplus",
    jax.nn.soft_sign: "soft_sign",
    jax.nn.log_sigmoid: "log_sigmoid",
    jax.nn.hard_tanh: "hard_tanh",
    jax.nn.hard_sigmoid: "hard_sigmoid",
    jax.nn.hard_silu: "hard_silu",
    jax.nn.relu6: "relu6",
    jax.nn.squareplus: "squareplus",
    jax.nn.mish: "mish",
}
"""Functions that are known to act on every element by itself: activations."""

Shape = tuple[int, ...]


class Misread(Exception):
    """Why a module cannot be trained, in one line."""


@contextmanager
def as_users_write() -> Iterator[None]:
    """JAX's default promotion of dtypes and ranks, for code of users' modules."""
    with jax.numpy_dtype_promotion("standard"), jax.numpy_rank_promotion("allow"):
        yield


class What(Enum):
    """What an element is; a `MODULE` is one that fgspec does not look into."""

    LINEAR = auto()
    NORM = auto()
    ACTIVATION = auto()
    FUNCTION = auto()
    MODULE = auto()


@dataclass(frozen=True)
class Element:
    """One callable of a chain as data; equal for equal modules.

    Attributes:
        name: the name of its class or function, for plans and messages.
        what: which kind of element it is.
        params: paths inside the module, such as `query.kernel`, and specs of its parameters, in
            the order of the tree.
        graph: NNX's description of the module without its parameters; None for a function.
        tree: the tree structure of the parameters.
        function: the function, if it is not a module.
    """

    name: str
    what: What
    params: tuple[tuple[str, ParamSpec], ...] = ()
    graph: Any = None
    tree: Any = None
    function: Callable[[Any], Any] | None = None

    @property
    def core(self) -> bool:
        """Whether a layer can have only one such element."""
        return self.what is What.LINEAR or (self.what is What.MODULE and bool(self.params))

    def __call__(self, params: Mapping[str, Any], x: Any) -> Any:
        """The output for an input `x`, with parameters by path."""
        if self.function is not None:
            return self.function(x)
        leaves = [params[name] for name, _ in self.params]
        return nnx.merge(self.graph, jax.tree.unflatten(self.tree, leaves))(x)


class Piece(NamedTuple):
    """An element, and the values of its parameters by path."""

    element: Element
    values: dict[str, Any]


class ElementWise(Activation):
    """An activation function of JAX; JAX computes its derivative."""

    type: str
    function: Any = Field(exclude=True, repr=False)

    def apply(self, z: Float[Array, "..."]) -> tuple[Any, Bool[Array, "..."] | Float[Array, "..."]]:
        """The output and the derivative, element by element."""
        if self.function is jax.nn.relu:
            out = self.function(z)
            return out, out > 0
        with as_users_write():
            return jax.jvp(self.function, (z,), (jnp.ones_like(z),))


class Map(layers.Layer):
    """The map of a layer: elements one after the other, on features in the module's own shapes.

    Attributes:
        type: the names of the elements.
        elements: the elements; at most one is a linear map or an undivided module with parameters.
        entering: the shape of one example's features before the elements.
        leaving: the shape after them.
        apart: whether every position is mapped by itself.
    """

    linear: ClassVar[bool] = False
    type: str
    elements: tuple[Any, ...] = Field(exclude=True, repr=False)
    entering: Shape = Field(exclude=True, repr=False)
    leaving: Shape = Field(exclude=True, repr=False)
    apart: bool = Field(default=False, exclude=True, repr=False)

    @property
    def trained(self) -> bool:  # pyright: ignore[reportIncompatibleVariableOverride]
        """Whether any of its elements has parameters."""
        return any(element.params for element in self.elements)

    @property
    def whole(self) -> Element | None:
        """The module with parameters that fgspec does not look into, or None."""
        modules = (
            element for element in self.elements if element.what is What.MODULE and element.params
        )
        return next(modules, None)

    @property
    def linear_last(self) -> bool:
        """Whether its last element is a linear map, as backward weights need."""
        return self.elements[-1].what is What.LINEAR

    def end(self, start: Extent) -> Extent:
        """The shape of the output."""
        return extent(self.leaving)

    def by_name(self) -> dict[str, tuple[int, str, ParamSpec]]:
        """Parameters by name: the index of the element, the path inside it, and the spec."""
        owners = [index for index, element in enumerate(self.elements) if element.params]
        kinds = [self.elements[index].name.lower() for index in owners]
        params = {}
        for owner, index in enumerate(owners):
            prefix = kinds[owner] + (str(owner) if kinds.count(kinds[owner]) > 1 else "")
            for path, spec in self.elements[index].params:
                params[path if len(owners) == 1 else f"{prefix}.{path}"] = (index, path, spec)
        return params

    def weights(self, start: Extent) -> dict[str, ParamSpec]:
        """The parameters of its elements."""
        return {name: spec for name, (_, _, spec) in self.by_name().items()}

    def mixes(self, start: Extent) -> frozenset[Axis]:
        """Channels and groups, and positions unless each is mapped by itself."""
        return frozenset(("group", "channel") if self.apart else ("patch", "group", "channel"))

    def apply(
        self, params: Mapping[str, Any], x: Float[Array, "n p g c"], start: Extent
    ) -> Float[Array, "n q h d"]:
        """The output of all elements, one after the other."""
        by_element: list[dict[str, Any]] = [{} for _ in self.elements]
        for name, (index, path, _) in self.by_name().items():
            by_element[index][path] = params[name]
        features = x.reshape(x.shape[0], *self.entering)
        with as_users_write():
            for element, element_params in zip(self.elements, by_element, strict=True):
                features = element(element_params, features)
        return features.reshape(x.shape[0], *self.end(start).features).astype(x.dtype)


def extent(shape: Shape) -> Extent:
    """The grid of positions for the shape of one example's features, channels last."""
    *grid, channels = shape
    if len(grid) == 2:
        return Extent(grid[0], grid[1], 1, channels)
    return Extent(prod(grid), 1, 1, channels)


def pieces(root: Any) -> list[list[Piece]]:
    """The elements of every block of a module, with their parameters.

    Elements without parameters belong to the block before them, or to the first block.

    Raises:
        Misread: the module is not a chain, or has state that fgspec does not support.
    """
    if not isinstance(root, nnx.Module):
        raise Misread(f"is a {type(root).__name__}; must be a flax.nnx.Module")
    items = list(_items(root))
    blocks: list[list[Piece]] = []
    first: list[Piece] = []
    for index, item in enumerate(items):
        block_pieces = [
            _piece(element, f"block{len(blocks)}, item {index}") for element in _flat(item)
        ]
        if any(piece.element.params for piece in block_pieces):
            blocks.append([*first, *block_pieces])
            first = []
        else:
            (blocks[-1] if blocks else first).extend(block_pieces)
    if not blocks:
        raise Misread("no block has parameters; there is nothing to train")
    _refuse_shared_or_left_out(root, items)
    return blocks


def _items(root: Any) -> Sequence[Any]:
    """The items of a chain, in order."""
    chain = root if _is_sequence(root) else getattr(root, "blocks", None)
    if _is_sequence(chain):
        return chain.layers
    if isinstance(chain, nnx.List | list | tuple):
        return chain
    raise Misread(
        f"{type(root).__name__} is no chain; give it blocks = nnx.List([...]), or make it an "
        "nnx.Sequential"
    )


def _is_sequence(module: Any) -> TypeGuard[nnx.Sequential]:
    return isinstance(module, nnx.Sequential) and type(module).__call__ is nnx.Sequential.__call__


def _flat(item: Any) -> Iterator[Any]:
    """The callables in an item of a chain, in order, without dropout that is switched off."""
    if _is_sequence(item):
        for inner in item.layers:
            yield from _flat(inner)
    elif not (type(item) is nnx.Dropout and (item.rate == 0 or item.deterministic)):
        yield item


def _piece(item: Any, where: str) -> Piece:
    name = _name(item)
    if not callable(item):
        raise Misread(
            f"{where} is a {name}, which cannot be called; make it a module or a function"
        )
    if not isinstance(item, nnx.Module):
        return Piece(Element(name, _kind(item), function=item), {})
    if isinstance(item, nnx.Dropout):
        message = f"{where} draws dropout, which estimates do not know of; remove it, or rate 0"
        raise Misread(message)
    graph, params, rest = nnx.split(item, nnx.Param, ...)
    _refuse_state(rest, f"{where} ({name})")
    leaves, tree = jax.tree_util.tree_flatten_with_path(params)
    values = {_path(path): leaf for path, leaf in leaves}
    for path, leaf in values.items():
        if leaf.dtype != jnp.float32:
            raise Misread(
                f"{where} ({name}): {path} is {leaf.dtype}; keep parameters in float32, and say "
                "compile.precision for what blocks compute in"
            )
    specs = tuple((path, _spec(item, path, leaf.shape)) for path, leaf in values.items())
    return Piece(Element(name, _kind(item), specs, graph, tree), values)


def _name(item: Any) -> str:
    if isinstance(item, nnx.Module):
        return type(item).__name__
    inner = item.func if isinstance(item, partial) else item
    try:
        return ELEMENTWISE[inner]
    except (KeyError, TypeError):
        return getattr(inner, "__name__", type(inner).__name__)


def _kind(item: Any) -> What:
    if isinstance(item, nnx.Module):
        kinds = ((What.LINEAR, LINEAR), (What.NORM, NORMS))
        return next((kind for kind, types in kinds if type(item) in types), What.MODULE)
    inner = item.func if isinstance(item, partial) and not item.args else item
    try:
        return What.ACTIVATION if inner in ELEMENTWISE else What.FUNCTION
    except TypeError:
        return What.FUNCTION


def _path(path: Sequence[Any]) -> str:
    """JAX's path of a parameter as text, such as `query.kernel`."""
    steps = [jax.tree_util.keystr((step,), simple=True) for step in path]
    return ".".join(steps[:-1] if steps[-1] == "value" else steps)


def _refuse_state(rest: Any, where: str) -> None:
    """Refuse modules with state besides parameters, such as running statistics."""
    variable = (nnx.BatchStat, nnx.RngState)
    variables = jax.tree.leaves(rest, is_leaf=lambda leaf: isinstance(leaf, nnx.Variable))
    if not variables:
        return
    if any(isinstance(leaf, nnx.BatchStat) for leaf in variables):
        raise Misread(
            f"{where} keeps running statistics; use nnx.LayerNorm or nnx.GroupNorm, or "
            "architecture.type: chain with batch_norm"
        )
    if any(isinstance(leaf, nnx.RngState) for leaf in variables):
        message = f"{where} draws random numbers, which estimates do not know of"
        raise Misread(f"{message}; remove what draws them, such as dropout")
    kinds = ", ".join(
        sorted({type(leaf).__name__ for leaf in variables if not isinstance(leaf, variable)})
    )
    raise Misread(f"{where} holds {kinds} besides its parameters; make all of it nnx.Param")


def _spec(item: nnx.Module, path: str, shape: Shape) -> ParamSpec:
    """The spec of a parameter; its role follows from its name and its rank."""
    last, norm = path.rpartition(".")[2], type(item) in NORMS
    role: Role = "weight" if len(shape) > 1 else "bias"
    if last == "scale":
        role = "scale"
    elif norm:
        role = "shift"
    elif last == "bias":
        role = "bias"
    return ParamSpec(tuple(shape), (None,) * len(shape), max(1, prod(shape[:-1])), role)


def _variables(module: Any) -> dict[int, str]:
    """The paths of the parameters in a module, by the identity of the variable."""
    if not isinstance(module, nnx.Module):
        return {}
    nodes = nnx.iter_graph(module)
    return {
        id(variable): ".".join(map(str, path))
        for path, variable in nodes
        if isinstance(variable, nnx.Param)
    }


def _refuse_shared_or_left_out(root: nnx.Module, items: Sequence[Any]) -> None:
    seen = set[int]()
    for item in (element for chain_item in items for element in _flat(chain_item)):
        for variable, path in _variables(item).items():
            if variable in seen:
                raise Misread(
                    f"the parameter {path} stands in two places of the chain, but every block "
                    "learns by itself; give each its own"
                )
            seen.add(variable)
    left = [path for variable, path in _variables(root).items() if variable not in seen]
    if left:
        raise Misread(
            f"{left[0]} is in none of its blocks; put it into one (the readout is fgspec's own)"
        )


class Grouped(NamedTuple):
    """The elements of one layer, and the activation after them, or None."""

    pieces: list[Piece]
    activation: Element | None


def grouped(block: Sequence[Piece]) -> list[Grouped]:
    """The layers of a block: each has at most one linear map or undivided module."""
    groups: list[Grouped] = []
    layer_pieces: list[Piece] = []

    def close(activation: Element | None = None) -> None:
        if layer_pieces:
            groups.append(Grouped(list(layer_pieces), activation))
            layer_pieces.clear()

    for piece in block:
        what, core = piece.element.what, any(member.element.core for member in layer_pieces)
        trained = any(member.element.params for member in layer_pieces)
        if what is What.ACTIVATION and trained:
            close(piece.element)
            continue
        # A normalization after a linear map belongs to its pre-activation; anything else starts a
        # new layer.
        if core and what is not What.NORM:
            close()
        layer_pieces.append(piece)
    close()
    return groups


def plan_block(name: str, block: Sequence[Piece], entering: Shape) -> tuple[Block, Shape]:
    """A block with its shapes, and the shape of its output.

    Raises:
        Misread: an element cannot be applied to its input.
    """
    planned: list[Layer] = []
    for index, (layer_pieces, activation) in enumerate(grouped(block)):
        elements = tuple(piece.element for piece in layer_pieces)
        kind = "+".join(element.name for element in elements)
        leaving = _leaving(name, kind, layer_pieces, entering)
        activation_function = NoActivation() if activation is None else _activation(activation)
        layer = Map(type=kind, elements=elements, entering=entering, leaving=leaving)
        planned.append(
            Layer(
                f"layer{index}", layer, extent(entering), activation=activation_function, bias=False
            )
        )
        entering = leaving
    return Block(name, tuple(planned)), entering


def _activation(element: Element) -> Activation:
    return ElementWise(type=element.name, function=element.function)


def _leaving(block: str, kind: str, layer_pieces: Sequence[Piece], entering: Shape) -> Shape:
    def run(values: list[dict[str, Any]], x: Any) -> Any:
        for piece, piece_params in zip(layer_pieces, values, strict=True):
            x = piece.element(piece_params, x)
        return x

    values = [
        {path: jax.ShapeDtypeStruct(leaf.shape, leaf.dtype) for path, leaf in piece.values.items()}
        for piece in layer_pieces
    ]
    try:
        with as_users_write():
            out = jax.eval_shape(run, values, jax.ShapeDtypeStruct((2, *entering), jnp.float32))
    except Exception as error:  # whatever a module of others raises
        raise Misread(
            f"{block} ({kind}) cannot be applied to [n, {', '.join(map(str, entering))}]: "
            f"{first_line(error)}"
        ) from error
    if not hasattr(out, "shape") or len(out.shape) < 2 or out.shape[0] != 2:
        shape = getattr(out, "shape", type(out).__name__)
        raise Misread(
            f"{block} ({kind}) gives {shape} from two examples; must be [n, ..., channels]"
        )
    return tuple(out.shape[1:])


def first_line(error: Exception) -> str:
    """The first line of an error's message."""
    text = str(error).strip()
    return text.splitlines()[0] if text else type(error).__name__
