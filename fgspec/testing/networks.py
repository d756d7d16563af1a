"""Laws of activations, layers, normalizations, initializations and architectures.

Each function takes an instance, or a class whose `example` or defaults give one; it need not be
registered. All networks are tiny.
"""

from collections.abc import Iterable, Iterator, Mapping
from functools import lru_cache, partial
from math import prod
from typing import Any, cast

import jax
import jax.numpy as jnp
import numpy as np

from compiler.compile import compile_plan
from compiler.named_arrays.axes import ACTIVATION
from compiler.named_arrays.random_streams import key_data
from compiler.network.block import block_params
from compiler.network.initialize import initialize
from compiler.network.network import Network, forward, layers_in
from compiler.network.norms import Norm
from compiler.network.running import initial
from compiler.network.shapes import Layer as PlannedLayer
from compiler.plan.plan import make_plan
from compiler.plan.stacks import stacked
from fgspec.check.against_data import data_problems
from fgspec.loading.defaults import complete
from fgspec.loading.spec_file import loads
from fgspec.problems.problems import dotted
from fgspec.spec.activations import Activation, Tanh
from fgspec.spec.architectures import Architecture, Chain
from fgspec.spec.dataset_info import DatasetInfo
from fgspec.spec.experiment import Experiment
from fgspec.spec.initializations import Initialization
from fgspec.spec.layers import DenseLayer, FullLayer, Layer
from fgspec.spec.normalizations import Normalization
from fgspec.spec.shapes import Extent, Misfit, ParamSpec
from fgspec.testing.law import array, law, method_of

FORWARD = {"bp": ("fg-w", "fg-a"), "lg-bp": ("lg-fg-w", "lg-fg-a")}
"""Rules with exact gradients, each with the rules whose forward gradients estimate them."""

INFO = DatasetInfo("tiny", (4, 4, 1), 3, 64, 16, (0.5,), (0.25,))
"""The made-up data that networks are planned for."""

STARTS = (Extent(3, 4, 2, 3), Extent(4, 4, 1, 3), Extent(1, 1, 1, 6))
"""The shapes that layers are tried on; attention can divide the channels by three."""

_SPEC = """
fgspec: 1
name: law
rule: {rule}
data: {{source: {{type: digits}}, batch_size: 3}}
architecture: {{type: chain, blocks: [[{{type: full}}]]}}
training: {{steps: 2}}
"""


@law
def check_activation(activation: Activation | type[Activation]) -> None:
    """The derivative of an activation is that of its output, and `binary` is right.

    Raises:
        AssertionError: the law is broken.
    """
    made = method_of(activation)
    rng = np.random.default_rng(0)
    with jax.enable_x64(True):
        z = jnp.asarray(np.concatenate([rng.normal(0, 2, 500), [0.0]]))
        out, derivative = made.apply(z)
        assert out.shape == derivative.shape == z.shape, f"{made}: shapes differ from that of z"
        assert out.dtype == z.dtype, f"{made}: gives {out.dtype} from {z.dtype}"
        binary = derivative.dtype == bool
        assert binary == made.binary, (
            f"{made}: binary is {made.binary}, but its derivative has the dtype {derivative.dtype}"
        )
        given = np.asarray(derivative, np.float64)
        _, along = jax.jvp(lambda z: made.apply(z)[0], (z,), (jnp.ones_like(z),))
        gap = _gap(along, given)
        assert gap < 1e-9, (
            f"{made}: the derivative that apply() gives differs from that of its output by "
            f"{gap:.1e}"
        )
        step = 1e-6
        ends = [made.apply(z[:-1] + sign * step)[0] for sign in (1, -1)]
        slope = (ends[0] - ends[1]) / (2 * step)
        gap = _gap(slope, given[:-1])
        assert gap < 1e-5, (
            f"{made}: the derivative differs from finite differences of the output by {gap:.1e}"
        )
    short = jnp.asarray([0.5], jnp.bfloat16)
    assert made.apply(short)[0].dtype == short.dtype, f"{made}: changes the precision of bfloat16"


@law
def check_layer(layer: Layer | type[Layer]) -> None:
    """A layer's shapes, mixed axes, linearity and pull-back are as declared.

    Forward gradients through it, over a full basis of perturbations, equal the exact gradient.

    Raises:
        AssertionError: the law is broken.
    """
    made = method_of(layer)
    starts = [start for start in STARTS if isinstance(made.end(start), Extent)]
    assert starts, f"{made}: accepts none of the shapes {', '.join(map(str, STARTS))}"
    for start in starts:
        with jax.enable_x64(True):
            _check_map(made, start)
    # The layers around it have tanh, so that no unit is silent for all three examples.
    last = FullLayer(channels=2, activation=Tanh())
    fits = [c for c in (2, 3) if isinstance(made.end(Extent(2, 2, 2, c)), Extent)]
    network = Chain(blocks=((made,),))
    if fits:
        first = DenseLayer(channels=2 * fits[0], groups=2, activation=Tanh())
        network = Chain(blocks=((first, made), (last,)), patches=2)
    # Only losses with copies depend on the mixed axes, and a single final loss has no copies.
    check_forward_rules(network, ("lg-bp",))


@law
def check_normalization(normalization: Normalization | type[Normalization]) -> None:
    """A normalization mixes the axes that it declares, in all places, and its derivatives agree.

    Raises:
        AssertionError: the law is broken.
    """
    made = method_of(normalization)
    if not made.normalizes:
        return
    assert made.over, f"{made}: `over` is empty; name the axes of its moments"
    assert made.couples_examples == ("batch" in made.over), (
        f"{made}: couples_examples is {made.couples_examples}, but `over` is {made.over}"
    )
    for over in {made.over, made.over_in_group or made.over, made.over_whole or made.over}:
        _check_norm(Norm(over, 1e-5, how=made))
    if made.reads_parts:
        _check_norm(Norm(made.over, 1e-5, split=2, how=made), groups=1)


@law
def check_initialization(initialization: Initialization | type[Initialization]) -> None:
    """Weights have mean 0 and the declared deviation; biases and scales begin as they should.

    Raises:
        AssertionError: the law is broken.
    """
    made = method_of(initialization)
    count = 40_000
    for fan_in in (4, 900):
        drawn = made.weight(jax.random.key(0), (count // 10, 10), fan_in)
        declared = made.deviation(fan_in)
        shape = (count // 10, 10)
        assert drawn.shape == shape, f"{made}: draws the shape {drawn.shape}, asked for {shape}"
        assert drawn.dtype == jnp.float32, f"{made}: draws {drawn.dtype}, expected float32"
        numbers = np.asarray(drawn, np.float64)
        mean = abs(numbers.mean()) * count**0.5
        assert mean <= 5 * declared, (
            f"{made}: weights of fan-in {fan_in} have the mean {numbers.mean():.2g}, expected 0"
        )
        spread = numbers.std() / declared if declared else 1 + numbers.std()
        assert abs(spread - 1) < 0.03, (
            f"{made}: weights of fan-in {fan_in} have the deviation {numbers.std():.3g}, "
            f"deviation() says {declared:.3g}"
        )
        again = made.weight(jax.random.key(0), (count // 10, 10), fan_in)
        assert (again == drawn).all(), f"{made}: two draws with the same key differ"
    specs = {
        "classifier": {
            "w": ParamSpec((6, 2), (None, None), 6),
            "b": ParamSpec((2,), (None,), 6, "bias"),
        },
        "blocks": {
            "b": ParamSpec((2,), (None,), 6, "bias"),
            "s": ParamSpec((2,), (None,), 1, "scale"),
        },
    }
    params = initialize(specs, key_data(0), made)
    zero = not np.asarray(params["classifier"]["w"]).any()
    assert zero != made.draws_classifier, (
        f"{made}: draws_classifier is {made.draws_classifier}, but the classifier "
        f"{'begins at zero' if zero else 'is drawn'}"
    )
    for what, initial_values, expected in (
        ("biases", params["blocks"]["b"], made.bias),
        ("scales", params["blocks"]["s"], 1.0),
    ):
        assert (np.asarray(initial_values) == np.float32(expected)).all(), (
            f"{made}: {what} begin at {np.unique(initial_values)}, expected {expected:g}"
        )


@law
def check_architecture(architecture: Architecture | type[Architecture]) -> None:
    """An architecture's shapes are as planned, and its loss axes exist.

    Forward gradients of every rule, over a full basis of perturbations, equal the exact gradient.

    Equal blocks, if `deepened` gives any, learn the same whether scanned or unrolled.

    Raises:
        AssertionError: the law is broken.
    """
    made = method_of(architecture)
    assert not data_problems(_experiment(made, "bp"), INFO), f"{made}: does not fit {INFO}"
    network = cast(Network, made.network(INFO.image_shape, INFO.classes))
    count = made.block_count()
    assert count is None or count[0] == len(network.blocks), (
        f"{made}: block_count() says {count[0]}, but the network has {len(network.blocks)} blocks"
    )
    names = [block.name for block in network.blocks]
    assert len(set(names)) == len(names), f"{made}: two blocks have the same name"
    rng = np.random.default_rng(0)
    params = {
        block.name: jax.tree.map(
            array, {n: _numbers(rng, s) for n, s in block_params(block).items()}
        )
        for block in network.blocks
    }
    x = _random(rng, (3, *network.blocks[0].start.features))
    trace = jax.jit(partial(forward, network.blocks))(params, x)
    for block in network.blocks:
        shape = trace.features[block.name].shape[1:]
        assert shape == block.end.features, (
            f"{made}: {block.name} returns the shape {shape}, planned is {block.end.features}"
        )
    _check_axes(made, network)
    trains = any(True for _ in layers_in(network.blocks))
    assert trains == made.trains_blocks, (
        f"{made}: trains_blocks is {made.trains_blocks}, but its blocks have "
        f"{'' if trains else 'no '}layers with parameters"
    )
    _check_maps(made, network)
    coupled = any(
        norm is not None and norm.running
        for block in network.blocks
        for layer in block.layers
        for norm in (layer.before, layer.after)
    )
    assert coupled == (made.coupling() is not None), (
        f"{made}: coupling() is {made.coupling()}, but its normalizations "
        f"{'' if coupled else 'do not '}couple examples"
    )
    if trains:
        check_forward_rules(made)
    deep = made.deepened(3)
    if deep is not None:
        _check_scanned(deep)


def _check_scanned(made: Architecture) -> None:
    """Equal blocks learn the same whether they are scanned or unrolled.

    This is checked under backprop, which passes through all blocks. The law of estimators checks
    it for other estimators.
    """
    experiment, batch = _experiment(made, "bp"), _batch()
    unrolled, scanned = (
        compile_plan(make_plan(experiment.model_copy(update={"compile": how}), INFO))
        for how in (
            experiment.compile.model_copy(update={"blocks": blocks})
            for blocks in ("unrolled", "scanned")
        )
    )
    stacks, state = scanned.plan.stacks, _state(unrolled)
    assert stacks, f"{made}: deepened() has no consecutive equal blocks that can be scanned"
    params = jax.jit(partial(stacked, stacks))(state.params)
    gradient = scanned.gradient(_state(scanned)._replace(params=params), batch)[0]
    gap = _distance(gradient, unrolled.gradient(state, batch)[0])
    assert gap < 1e-4, (
        f"{made}: gradients of scanned blocks differ from those of unrolled ones by {gap:.1e}"
    )


def _check_axes(made: Architecture, network: Network) -> None:
    """The axes that losses can be replicated over exist, and declared sizes are right."""
    for place, axis in enumerate(ACTIVATION[1:]):
        largest = max(block.end.features[place] for block in network.blocks)
        assert axis not in made.loss_axes or largest > 1, (
            f"{made}: loss_axes names {axis}, but features have one {axis} after every block; "
            "remove it from loss_axes, or give the law a network that has more"
        )
        for path, size in made.axis_sizes(axis):
            sizes = {block.start.features[place] for block in network.blocks}
            sizes |= {layer.end.features[place] for b in network.blocks for layer in b.layers}
            assert size in sizes, (
                f"{made}: axis_sizes() says that {dotted(path)} makes {axis} {size} long; it is "
                f"{', '.join(map(str, sorted(sizes)))} in the network"
            )


def _check_maps(made: Architecture, network: Network) -> None:
    """The layers are as they declare, and `nonlinear()` reports layers that are not linear."""
    layers = [layer for block in network.blocks for layer in block.layers]
    with jax.enable_x64(True):
        for kind, start in dict.fromkeys((layer.kind, layer.start) for layer in layers):
            _check_map(kind, start, exactly=False)
    bent = [layer.name for layer in layers if layer.kind.trained and not layer.kind.linear_last]
    refused = made.nonlinear() is not None or bool(data_problems(_experiment(made, "fa"), INFO))
    assert not bent or refused, (
        f"{made}: {bent[0]} is trained and not linear; say so in nonlinear()"
    )


@law
def check_forward_rules(
    architecture: Architecture, targets: Iterable[str] = tuple(FORWARD)
) -> None:
    """Forward gradients, summed over a full basis of perturbations, equal the exact gradient.

    So the law finds losses that are credited to an element wrongly, or that are missing.

    Args:
        architecture: the architecture of the network.
        targets: the rules whose exact gradients are estimated.

    Raises:
        AssertionError: the law is broken.
    """
    for exact in targets:
        program = compile_plan(make_plan(_experiment(architecture, exact), INFO))
        # All rules with these losses have the same parameters.
        state, batch = _state(program), _batch()
        target = program.gradient(state, batch)[0]["blocks"]
        silent = not any(np.asarray(leaf).any() for leaf in jax.tree.leaves(target))
        assert not silent, f"{architecture} under {exact}: every gradient is zero"
        for rule in FORWARD[exact]:
            gap = _distance(_over_basis(architecture, rule, state, batch), target)
            assert gap < 1e-4, f"{architecture} under {rule}: differs from {exact} by {gap:.1e}"


def _random(rng: np.random.Generator, shape: tuple[int, ...], deviation: float = 1) -> Any:
    return array(deviation * rng.standard_normal(shape))


def _numbers(rng: np.random.Generator, specs: Mapping[str, ParamSpec]) -> dict[str, Any]:
    return {name: 0.5 * rng.standard_normal(spec.shape) for name, spec in specs.items()}


MAP_ROLES = ("weight", "bias", "scale", "shift", "embedding")
"""The roles that a parameter of a map can have. An average would begin at zero, and stay there."""


def _gap(a: Any, b: Any) -> float:
    """The largest difference, which is relative for numbers above 1."""
    b = np.asarray(b)
    return float((np.abs(np.asarray(a) - b) / np.maximum(1, np.abs(b))).max())


def _check_map(made: Layer, start: Extent, exactly: bool = True) -> None:
    """Check a map by itself, in float64.

    Args:
        made: the map.
        start: the shape of its input.
        exactly: whether axes that are declared as mixed must really be mixed. Gradients are right
            even if they are not, and an architecture may not know better about a general map.
    """
    rng, end = np.random.default_rng(0), made.end(start)
    assert not isinstance(end, Misfit)
    layer = PlannedLayer("layer", made, start)
    weights = made.weights(start)
    assert bool(weights) == made.trained, f"{made}: trained is {made.trained}"
    wrong = [name for name, spec in weights.items() if spec.role not in MAP_ROLES]
    assert not wrong, (
        f"{made}: the roles of {', '.join(wrong)} must be among {', '.join(MAP_ROLES)}"
    )
    assert not made.trained or made.flops(start) > 0, f"{made}: flops() is not positive"
    params = jax.device_put(_numbers(rng, layer.map_params()))
    x = jax.device_put(rng.standard_normal((2, *start.features)))
    # Compiled as a whole, because JAX would compile every single operation for every shape.
    run = jax.jit(layer.map)
    y = run(params, x)
    assert y.shape == (2, *end.features), (
        f"{made}: returns the shape {y.shape[1:]}, but end() says {end.features}"
    )
    assert y.dtype == x.dtype, f"{made}: returns {y.dtype} for an input of {x.dtype}"
    alone = np.concatenate([run(params, row[None]) for row in np.asarray(x)])
    assert _gap(y, alone) < 1e-9, f"{made}: the output for an example depends on other examples"
    jacobian = jax.jit(jax.jacrev(lambda x: layer.map(params, x[None])[0]))(x[0])
    _check_mixes(made, start, np.asarray(jacobian), exactly)
    map_params = {name: params[name] for name in weights}
    if made.linear:
        first, other = np.asarray(x), rng.standard_normal(x.shape)
        map_of = jax.jit(lambda x: made.apply(map_params, x, start))
        parts = 2 * np.asarray(map_of(first)) - np.asarray(map_of(other))
        whole, zero = map_of(2 * first - other), map_of(np.zeros_like(first))
        assert max(_gap(whole, parts), _gap(zero, 0)) < 1e-8, (
            f"{made}: is not linear in its input; say linear: ClassVar[bool] = False"
        )
    if made.trained and made.linear_last:
        _check_linear_last(made, start, map_params, x, rng)
    # Pooling has no parameters, and JAX cannot differentiate with respect to none.
    by_weights = jax.jit(jax.jacrev(lambda params: layer.map(params, x[:1])[0]))
    jacobians = by_weights(params) if params else {}
    for name, spec in layer.map_params().items():
        assert params[name].ndim == len(spec.axes), (
            f"{made}: {name} has {params[name].ndim} axes, but its spec names {len(spec.axes)}"
        )
        _check_weight(f"{made}.{name}", spec, np.asarray(jacobians[name]))
    _check_pull(layer, params, x, rng)
    seen = made.windows(x, start)
    if seen is not None:
        seen = np.asarray(seen)
        product = seen @ np.asarray(params["w"]).reshape(seen.shape[-1], -1)
        gap = _gap(product.reshape(y.shape), made.apply(map_params, x, start))
        assert gap < 1e-9, f"{made}: windows() times w differs from apply() by {gap:.1e}"


def _check_linear_last(
    made: Layer, start: Extent, params: dict[str, Any], x: Any, rng: np.random.Generator
) -> None:
    """The map is linear in its weights, so that backward weights can replace them."""
    specs = made.weights(start)
    weights = {name: params[name] for name, spec in specs.items() if spec.role == "weight"}
    others = {name: rng.standard_normal(w.shape) for name, w in weights.items()}
    map_of = jax.jit(lambda weights: made.apply({**params, **weights}, x, start))
    parts = 2 * np.asarray(map_of(weights)) - np.asarray(map_of(others))
    gap = _gap(map_of({name: 2 * w - others[name] for name, w in weights.items()}), parts)
    assert gap < 1e-8, (
        f"{made}: is not linear in its weights, so backward weights cannot replace them; say "
        "linear: ClassVar[bool] = False, or let linear_last be False"
    )


def _crosses(jacobian: np.ndarray, out: int, into: int) -> bool:
    """Whether an output depends on inputs with another index along an axis.

    Args:
        jacobian: the derivative of outputs with respect to inputs.
        out: the axis of the outputs.
        into: the axis of the inputs.
    """
    before, after = jacobian.shape[into], jacobian.shape[out]
    pairs = np.moveaxis(jacobian, (out, into), (0, 1)).reshape(after, before, -1)
    moves = np.any(np.abs(pairs) > 1e-12, axis=-1)
    off = ~np.eye(before, dtype=bool) if before == after else np.ones_like(moves)
    return bool(moves[off].any())


def _check_mixes(made: Layer, start: Extent, jacobian: np.ndarray, exactly: bool) -> None:
    """Outputs depend on inputs at other indices of the declared axes, and of no other axes.

    Args:
        made: the map.
        start: the shape of its input.
        jacobian: the derivative of one example's outputs by its inputs, [q, h, d, p, g, c].
        exactly: whether an axis that is declared, but not mixed, is an error.
    """
    declared = made.mixes(start)
    assert "batch" not in declared, f"{made}: a layer may not mix examples"
    for place, axis in enumerate(ACTIVATION[1:]):
        if jacobian.shape[place] == jacobian.shape[3 + place] == 1:
            continue
        mixed = _crosses(jacobian, place, 3 + place)
        assert not mixed or axis in declared, f"{made}: mixes {axis}, but mixes() does not name it"
        right = mixed or axis not in declared or not exactly
        assert right, f"{made}: mixes() names {axis}, but the layer does not mix it"


def _check_weight(name: str, spec: ParamSpec, jacobian: np.ndarray) -> None:
    """A weight with index i along a named axis affects only outputs with index i."""
    for place, axis in enumerate(spec.axes):
        if axis is None:
            continue
        out = ACTIVATION[1:].index(axis)
        assert jacobian.shape[out] == spec.shape[place], (
            f"{name}: its axis {axis} has the length {spec.shape[place]}, that of outputs "
            f"{jacobian.shape[out]}"
        )
        crosses = _crosses(jacobian, out, 3 + place)
        assert not crosses, f"{name}: affects outputs with another index along its axis {axis}"


def _check_pull(
    layer: PlannedLayer, params: dict[str, Any], x: Any, rng: np.random.Generator
) -> None:
    """The pull-back of an error agrees with finite differences along random directions."""
    error, here = rng.standard_normal((len(x), *layer.outputs)), (params, x)

    @jax.jit
    def value(params: dict[str, Any], x: Any) -> Any:
        return (layer.map(params, x) * error).sum()

    step = 1e-6
    pulled = jax.jit(jax.grad(value, (0, 1)))(*here)
    for _ in range(3):
        along = jax.tree.map(lambda a: rng.standard_normal(a.shape), here)
        ends = [
            value(*jax.tree.map(lambda a, u, s=s: np.asarray(a) + s * step * u, here, along))
            for s in (1.0, -1.0)
        ]
        parts = jax.tree.leaves(jax.tree.map(lambda g, u: (np.asarray(g) * u).sum(), pulled, along))
        found, slope = float(sum(parts)), float(ends[0] - ends[1]) / (2 * step)
        gap = abs(found - slope)
        assert gap < 1e-4 * max(1.0, abs(slope)), (
            f"{layer.kind}: the pull-back differs from finite differences by {gap:.1e}"
        )


def _check_norm(norm: Norm, groups: int = 2) -> None:
    """Check a normalization in one place."""
    rng, made = np.random.default_rng(0), norm.how
    shape = (3, 4, groups, 8 // groups)
    x, u, error = (np.asarray(_random(rng, shape)) for _ in range(3))
    run = jax.jit(norm)
    out, along = jax.jit(lambda x, u: jax.jvp(norm, (x,), (u,)))(x, u)
    assert out.shape == shape, f"{made}: returns the shape {out.shape}, expected {shape}"
    short = jax.eval_shape(norm, jax.ShapeDtypeStruct(shape, jnp.bfloat16)).dtype
    assert short == jnp.bfloat16, f"{made}: returns {short} for bfloat16, expected bfloat16"
    jacobian = np.asarray(jax.jit(jax.jacrev(norm))(x))
    pulled = np.tensordot(error, jacobian, 4)
    gap = abs((error * np.asarray(along)).sum() - (pulled * u).sum())
    assert gap < 1e-3, (
        f"{made}: forward and reverse derivatives differ by {gap:.1e}, expected below 1e-3"
    )
    step = 1e-2
    there, back = (np.asarray(run(array(x + sign * step * u))) for sign in (1, -1))
    slope = (there - back) / (2 * step)
    gap = _gap(slope, along)
    assert gap < 1e-2, (
        f"{made}: its derivative differs from finite differences of its output by {gap:.1e}, "
        "expected below 1e-2"
    )
    for place, axis in enumerate(ACTIVATION):
        if shape[place] > 1:
            crosses = (np.abs(jacobian) > 1e-6) & _apart(jacobian.shape, place)
            mixed = bool(crosses.any())
            assert mixed == (axis in norm.mixes), (
                f"{made}: {'mixes' if mixed else 'does not mix'} {axis}, but its `over` says "
                f"{', '.join(norm.over)}"
            )
    if made.couples_examples:
        moments = jax.jit(norm.moments)(x)
        wanted = norm.shape(shape[1:])
        for name, moment in (("means", moments.mean), ("variances", moments.variance)):
            assert moment.shape == wanted, (
                f"{made}: moments() returns {name} of shape {moment.shape}, expected {wanted}"
            )
        gap = _gap(jax.jit(norm)(x, moments), out)
        assert gap < 1e-5, (
            f"{made}: its output with the moments() of the batch differs from its output without "
            f"them by {gap:.1e}, expected below 1e-5"
        )


def _apart(shape: tuple[int, ...], place: int) -> np.ndarray:
    """Where outputs and inputs have different indices of one axis."""
    index = np.indices(shape, sparse=True)
    return index[place] != index[place + len(shape) // 2]


@lru_cache
def _spec(rule: str) -> Experiment:
    return loads(_SPEC.format(rule=rule)).experiment


def _experiment(architecture: Architecture, rule: str, samples: int | None = None) -> Experiment:
    """A resolved spec with this network."""
    spec = _spec(rule)
    local, gradient = spec.losses.local, spec.gradient
    losses = spec.losses
    if local is not None:
        losses = losses.model_copy(update={"local": local.model_copy(update={"replicate": None})})
    if gradient.perturbation is not None and samples is not None:
        how = gradient.perturbation.model_copy(update={"samples": samples})
        gradient = gradient.model_copy(update={"perturbation": how})
    changed = {"architecture": architecture, "losses": losses, "gradient": gradient}
    return complete(spec.model_copy(update=changed))


def _batch() -> dict[str, Any]:
    rng = np.random.default_rng(0)
    image = rng.random((3, *INFO.image_shape), np.float32)
    return {"image": array(image), "label": array([0, 1, 2], np.int32)}


def _state(program: Any) -> Any:
    """A state in which all parameters are random, so that no gradient vanishes."""
    shapes, rng = jax.eval_shape(lambda: program.init(0)), np.random.default_rng(1)
    still = jax.tree.map(lambda leaf: np.zeros(leaf.shape, leaf.dtype), shapes)
    params = jax.tree.map(lambda leaf: _random(rng, leaf.shape, 0.4), shapes.params)
    running = initial(program.plan.network)
    return still._replace(params=params, statistics=running, key=key_data(0))


def _over_basis(architecture: Architecture, rule: str, state: Any, batch: dict[str, Any]) -> Any:
    """The sum of the estimates over a full orthonormal basis of every segment's perturbations.

    If each example has its own perturbation and affects no other's loss, the basis is that of one
    example, and is used for all.
    """
    plan = make_plan(_experiment(architecture, rule), INFO)
    each = rule.endswith("-a") and architecture.coupling() is None
    given: dict[str, np.ndarray] = {}
    for elements in (plan.perturbed(segment) for segment in plan.segments):
        shapes = {name: e.shape[1:] if each else e.shape for name, e in elements.items()}
        for name, rows in _basis(shapes):
            shape = (len(rows), elements[name].shape[0], *rows.shape[1:])
            given[name] = np.broadcast_to(rows[:, None], shape) if each else rows
    total = max(len(rows) for rows in given.values())
    padded = {
        name: array(np.pad(rows, [(0, total - len(rows))] + [(0, 0)] * (rows.ndim - 1)))
        for name, rows in given.items()
    }
    program = compile_plan(make_plan(_experiment(architecture, rule, total), INFO))
    grads, _ = program.gradient(state, batch, padded)
    return jax.tree.map(lambda g: np.asarray(g) * total, grads["blocks"])


def _basis(shapes: Mapping[str, tuple[int, ...]]) -> Iterator[tuple[str, np.ndarray]]:
    """A random orthonormal basis of the joint space of arrays, by name; each row is a vector."""
    sizes = [prod(shape) for shape in shapes.values()]
    rows, _ = np.linalg.qr(np.random.default_rng(0).standard_normal((sum(sizes), sum(sizes))))
    parts = np.split(rows, np.cumsum(sizes)[:-1], axis=1)
    for (name, shape), part in zip(shapes.items(), parts, strict=True):
        yield name, part.reshape(len(rows), *shape).astype(np.float32)


def _distance(a: Any, b: Any) -> float:
    """The largest difference of two trees, relative to the largest magnitude of the second."""
    # NumPy is used, because JAX would compile even a maximum for every shape.
    pairs = list(zip(*([np.asarray(x) for x in jax.tree.leaves(t)] for t in (a, b)), strict=True))
    # Unlike max(), np.max is NaN if any number is, and NaN fails every comparison.
    return np.max([np.abs(x - y).max() for x, y in pairs]) / max(np.abs(y).max() for _, y in pairs)
