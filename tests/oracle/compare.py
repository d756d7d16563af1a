"""The compiler's gradient of a case beside the oracle's."""

import contextlib
from dataclasses import replace

import jax
import jax.numpy as jnp
import networks
import numpy as np

from compiler.augment.recipes import augmented
from compiler.compile import compile_plan
from compiler.named_arrays.random_streams import address
from compiler.network.initialize import initialize
from compiler.plan.plan import make_plan
from compiler.plan.segment import Segment
from compiler.plan.stacks import unstacked
from fgspec.loading.spec_file import loads
from oracle import projected, ren
from oracle.build import norm_axes, unparted
from oracle.cases import ARCHITECTURES, STEP, text
from oracle.heads import with_heads
from oracle.layers import InfoNce, Resting
from oracle.network import forward

TEMPERATURE = 0.4


def _sphere(rng, shape, per_row):
    v = rng.standard_normal(shape)
    axes = tuple(range(2 if per_row else 1, len(shape)))
    count = np.prod([shape[axis] for axis in axes])
    return v * np.sqrt(count / (v**2).sum(axes, keepdims=True))


DRAWN = {
    "normal": lambda rng, shape, per_row: rng.standard_normal(shape),
    "rademacher": lambda rng, shape, per_row: rng.choice([-1.0, 1.0], shape),
    "sphere": _sphere,
}
"""Random guesses the case draws itself and hands to both; by (generator, shape, per example)."""


def _flat(tree, prefix=""):
    """{path: float64 array}; the paths of blocks without their first word."""
    found = {}
    for key, value in tree.items():
        path = f"{prefix}{key}"
        found |= _flat(value, f"{path}/") if isinstance(value, dict) else {path: value}
    if prefix:
        return found
    return {path.removeprefix("blocks/"): np.asarray(v, float) for path, v in found.items()}


def _shapes(case, made):
    """What noise is drawn for, by name."""
    plan = made.plan
    if case.guess == "jacobian":
        ends = [(block.name, block.end.features) for block in plan.network.blocks[1:]]
        return {f"jacobian/{name}": (plan.rows, *features) for name, features in ends}
    if case.guided:
        return {}
    if case.projects:
        found = plan.space.shapes(Segment(plan.network.blocks, ()), plan.rows)
        if case.sharing == "batch" and case.where != "weight":
            return {name: (1, *shape[1:]) for name, shape in found.items()}
        return found
    return {n: e.shape for part in networks.elements(made) for n, e in part.items()}


def _noise(case, made):
    """float32 arrays with a leading axis of samples; the two views of an example share theirs."""
    rng, found = np.random.default_rng(case.seed + 2), {}
    draw = DRAWN["normal" if case.guided else case.guess]
    paired = case.objective == "info_nce" and case.norm.type != "batch_norm"
    views = 2 if paired and case.sharing is None else 1
    for name, shape in _shapes(case, made).items():
        rows = case.where != "weight" or case.guided
        once = (shape[0] // views, *shape[1:]) if rows else shape
        drawn = draw(rng, (case.samples, *once), rows)
        found[name] = np.float32(np.concatenate([drawn] * views, 1) if rows else drawn)
    return found


def _state(made, seed):
    """A state of random parameters, scales about one."""
    state = networks.state_of(made, seed)

    def around_one(path, leaf):
        return leaf + 1 if path[-1].key == "scale" else leaf

    return state._replace(params=jax.tree_util.tree_map_with_path(around_one, state.params))


def _untrained(case, made, state):
    """The heads that an NTK guess is made under: drawn at this step, or as at the start."""
    key = state.key
    if "ntk" in case.guides:
        key = jax.random.key_data(address(state.key, "ntk", state.step))
    how = made.plan.network.initialization
    return _flat(jax.device_get(initialize({"heads": made.plan.heads()}, key, how)))


def compiled(case, float64=False):
    """The compiler's gradient, and what the oracle is given: state, data and noise."""
    made = compile_plan(make_plan(loads(text(case)).experiment, networks.INFO))
    state, batch = _state(made, case.seed), networks.batch_of(case.batch, case.seed)
    noise = _noise(case, made) if case.perturbs else {}
    given = {name: jnp.asarray(v) for name, v in noise.items()} if noise else None
    grads, _ = made.gradient(state, batch, given, float64=float64)
    data = {"label": np.asarray(batch["label"]), "image": np.asarray(batch["image"], float)}
    if case.objective == "info_nce":
        how = made.plan.experiment.data.augment
        views = augmented(how, 2, batch["image"], state.key, state.step)
        data["views"] = np.asarray(views, float)
    if {"ntk", "fixed_ntk"} & case.guides:
        data["untrained"] = _untrained(case, made, state)
    params, feedback = (_unstacked(made, tree) for tree in (state.params, state.feedback))
    state = state._replace(params=params, feedback=feedback)
    return _flat(jax.device_get(grads)), jax.device_get(state), data, noise


def _unstacked(made, tree):
    """Parameters block by block, as the oracle knows them."""
    return unstacked(made.plan.stacks, tree) if "stacks" in tree else tree


class Given:
    """A case as the oracle sees it: network, parameters, input, losses."""

    def __init__(self, case, state, data, noise):
        _, build, grid, _ = ARCHITECTURES[case.architecture]
        self.case, self.data = case, data
        self.net = build(case.sizes, case.norm)
        if case.head:
            self.net = with_heads(self.net, case.head, _of_heads(case))
        self.params, self.feedback = _flat(state.params), _flat(state.feedback)
        self.noise = {name: v.astype(float) for name, v in noise.items()}
        contrastive = case.objective == "info_nce"
        self.onehot = np.eye(10)[data["label"]]
        self.clean = patches(data["image"], grid(case.sizes))
        self.x = patches(data["views"], grid(case.sizes)) if contrastive else self.clean
        self.goal = InfoNce(TEMPERATURE) if contrastive else self.onehot
        self.final = "heads/final" if contrastive else "classifier"
        self.parts = ren.units(self.net, case.every if case.local else 1, case.last, self.final)

    @property
    def first(self):
        """The arguments that the oracle's rules begin with."""
        return self.net, self.params, self.x, self.goal

    def readouts(self):
        """The gradients of all readouts that are trained."""
        case, net = self.case, self.net
        trained = case.goal != "global" or {"local", "above"} & case.guides
        local = ren.units(net, case.every, case.last, self.final)
        paths = ren.ends(local) if trained else {self.final: net.blocks[-1].name}
        paths.pop("classifier", None)
        grads = ren.readouts(*self.first, paths)
        still = replace(net, norm=Resting) if case.objective == "info_nce" else net
        features = forward(still, self.params, self.clean).outputs[net.blocks[-1].name]
        last = replace(net, blocks=())
        return grads | ren.of_readout(last, "classifier", self.params, features, self.onehot)


def _of_heads(case):
    """The normalization of auxiliary networks, which has a scale and a shift."""
    if case.architecture in ("mlp", "local_mixer", "vit", "mlp_mixer"):
        own = norm_axes(case.norm.type)
        return own and replace(own, affine=True)
    return unparted(case.norm.spatial()[0])


def _backward_weights(given):
    """The weights that errors travel through under feedback alignment."""
    feedback, params = given.feedback, given.params
    return {
        "random": feedback,
        "signs": {path: np.sign(params[path]) for path in feedback},
        "sign_symmetric": {p: np.sign(params[p]) * np.abs(v) for p, v in feedback.items()},
    }[given.case.weights]


def expected(case, state, data, noise, rounding=None):
    """The oracle's gradient; `rounding`: of errors in Gram matrices and in losses, a generator."""
    given = Given(case, state, data, noise)
    grads = given.readouts()
    if case.kind == "direct_feedback":
        return grads | ren.direct_feedback(*given.first, given.feedback, given.final)
    if case.kind == "drtp":
        sent = {"sent": given.onehot}
        return grads | ren.direct_feedback(*given.first, given.feedback, given.final, **sent)
    if case.kind in ("exact", "feedback"):
        back = _backward_weights(given) if case.kind == "feedback" else None
        return grads | ren.reverse(*given.first, given.parts, case.goal, back)
    if case.projects:
        return grads | _projected(given, rounding)
    how = {"credit": case.credit, "ignore_norm": case.norm.gradient == "ignored"}
    how |= {} if case.replicate is None else {"replicate": case.replicate}
    how |= {"epsilon": STEP, "rounding": rounding} if case.kind == "finite_difference" else {}
    where = (given.noise, case.where, given.parts, case.goal)
    return grads | ren.perturbed(*given.first, *where, **how)


def _guess(given, name):
    """The gradients that a guess is, by array."""
    case, net = given.case, given.net
    if name == "jacobian":
        directions = {path: v[0] for path, v in given.noise.items()}
        return projected.jacobian(net, given.params, given.x, directions, case.where)
    params = given.params | given.data.get("untrained", {})
    target = name if name in ("global", "above") else "local"
    found = ren.derivatives(net, params, given.x, given.goal, given.parts, target)
    return projected.total(found, case.where, net, params)


def _projected(given, rounding=None):
    """The mean of the target's projections on the guess, or on every sample of noise."""
    case, net = given.case, given.net
    found = ren.derivatives(*given.first, given.parts, case.goal)
    target = projected.total(found, case.where, net, given.params)
    weights = case.where == "weight"
    how = {
        "normalisation": case.projection or ("squared_norm" if case.guided else "none"),
        "granularity": case.granularity or ("batch" if weights and not case.guided else "example"),
        "grouping": case.grouping or _grouping(case),
        "chains": _isolated(given),
        "coefficient": case.coefficient or "raw",
        "epsilon": 0.0,
        "coins": None,
        "kurtosis": 3.0 if case.guess == "normal" else 1.0,
        "masked": not case.guided,
    }
    if case.coefficient and not case.projection:
        how["normalisation"] = "none"
    if rounding is not None:
        how["gram"] = rounding
    prior = _guess(given, case.control) if case.control else {}
    final = given.parts[-1][0] if case.guides or case.last_block == "exact" else ()
    exact = {block.name for block in final}
    prior = {name: v for name, v in prior.items() if name.split("/")[0] not in exact}
    guesses = [_guess(given, case.guess)] if case.guided else []
    for k in range(0 if case.guided else case.samples):
        one = {name: v[k][None] if weights else v[k] for name, v in given.noise.items()}
        guesses.append(one)
    where = (net, given.params, given.x, target)
    each = [
        projected.project(*where, guess, case.where, {**how, "prior": prior}, exact)
        for guess in guesses
    ]
    return {path: grad / len(each) for path, grad in ren.added(each).items()}


def _isolated(given):
    """Block -> first block of its chain, where no gradient passes from one chain to another."""
    local = given.case.goal == "local"
    chains = [blocks for blocks, _ in given.parts] if local else []
    return {block.name: blocks[0].name for blocks in chains for block in blocks}


def _grouping(case):
    if not case.guided:
        return "net"
    return "block" if case.where == "block_output" else "tensor"


def patches(image, grid):
    """Standardised [n, h, w, 3] -> [n, p, 1, features], flattened in the order h, w, colour."""
    image = (image - np.array(networks.INFO.mean)) / np.array(networks.INFO.std)
    n, h, w, k = image.shape
    cut = image.reshape(n, grid[0], h // grid[0], grid[1], w // grid[1], k)
    return cut.transpose(0, 1, 3, 2, 4, 5).reshape(n, grid[0] * grid[1], 1, -1)


def gap(found, wanted):
    """The largest difference of an array, of its largest magnitude or 1 % of its block's; worst."""
    assert found.keys() == wanted.keys(), sorted(found.keys() ^ wanted.keys())
    assert all(np.isfinite(v).all() for v in (*found.values(), *wanted.values()))
    largest = {path: np.abs(v).max() for path, v in wanted.items()}
    tiny = 1e-6 * max(largest.values())
    gaps = {}
    for path, value in wanted.items():
        block = [m for other, m in largest.items() if _place(other) == _place(path)]
        floor = max(1e-2 * max(block), tiny)
        gaps[path] = np.abs(found[path] - value).max() / max(largest[path], floor)
    worst = max(gaps, key=gaps.__getitem__)
    return float(gaps[worst]), worst


def _place(path):
    """The block, head or classifier of a parameter."""
    return path.split("/")[: 2 if path.startswith("heads/") else 1]


def conditioning(case, state, data, noise, wanted):
    """How far rounding of parameters, Gram matrices and losses moves the oracle's gradient."""
    rng = np.random.default_rng(case.seed + 3)

    def rounded(leaf):
        return np.asarray(leaf, float) * (1 + 6e-8 * rng.uniform(-1, 1, np.shape(leaf)))

    near = state._replace(params=jax.tree.map(rounded, state.params))
    return gap(expected(case, near, data, noise, rng), wanted)[0]


def compare(case, compiling=True):
    """(largest relative difference, in which array, what rounding explains) of a case.

    Without `compiling` the program runs operation by operation, which for one run is quicker.
    """
    with contextlib.nullcontext() if compiling else jax.disable_jit():
        found, state, data, noise = compiled(case)
    wanted = expected(case, state, data, noise)
    return *gap(found, wanted), conditioning(case, state, data, noise, wanted)
