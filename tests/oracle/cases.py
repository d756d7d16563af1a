"""One random case: the compiler's gradient beside the oracle's.

A new architecture is one more entry of ARCHITECTURES, a new guess one more of GUESSES.
"""

from dataclasses import dataclass

import jax
import jax.numpy as jnp
import networks
import numpy as np

from compiler.gradient.segment import Segment
from compiler.gradient.spaces import SPACES
from compiler.plan import make_plan
from compiler.support import data_problems, refusals
from compiler.update import compile_plan
from fgspec.diagnostics import Problem, SpecError
from fgspec.source import loads
from oracle import guided, network, ren

LOSSES = {"l": "local", "lg": "greedy", "": "final"}


@dataclass(frozen=True)
class Norm:
    """The words of `architecture.normalization`."""

    type: str = "none"
    placement: tuple = ("before_linear", "after_linear")
    readout: bool = True
    gradient: str = "exact"
    epsilon: float = 1e-2

    def text(self):
        if self.type == "none":
            return "{type: none}"
        words = f"placement: [{', '.join(self.placement)}], readout: {str(self.readout).lower()}"
        return f"{{type: {self.type}, {words}, gradient: {self.gradient}, epsilon: {self.epsilon}}}"

    def oracle(self):
        if self.type == "none":
            return {}
        words = {"places": self.placement, "readout": self.readout, "eps": self.epsilon}
        return {"norm": self.type, **words}


@dataclass(frozen=True)
class Case:
    """One program: a rule, an architecture with its sizes, and what its perturbation says.

    Without a rule (Fournier et al. 2023) `target` says what is estimated, and heads are on every
    block.
    """

    rule: str = ""
    architecture: str = "local_mixer"
    sizes: tuple = (2, 2, 2, 3)
    norm: Norm = Norm()
    estimator: str | None = None
    space: str | None = None
    guess: str = "rademacher"
    sharing: str | None = None
    credit: str = "influenced"
    replicate: tuple | None = None
    every: int = 1
    samples: int = 1
    weights: str = "random"
    target: str | None = None
    projection: str | None = None
    batch: int = 3
    seed: int = 0

    @property
    def perturbs(self):
        return "fg" in self.rule or self.target is not None

    @property
    def local(self):
        return self.rule.startswith("l") or (not self.rule and self.target != "global")

    @property
    def apart(self):
        """Whether noise perturbs every tensor by itself, as the oracle of Fournier et al. does."""
        several = self.target in ("above", "sum") or self.space == "block_output"
        return several and not self.guided and self.estimator != "finite_difference"

    @property
    def guided(self):
        """Whether the guess is a gradient."""
        return self.guess not in GUESSES


def _mixer_text(sizes, norm):
    blocks, patches, groups, channels = sizes
    words = f"blocks: {blocks}, patches: {patches}, channels: {groups * channels}"
    return f"{{type: local_mixer, {words}, groups: {groups}, normalization: {norm.text()}}}"


def _mlp_text(sizes, norm):
    return f"{{type: mlp, hidden: [{', '.join(map(str, sizes))}], normalization: {norm.text()}}}"


ARCHITECTURES = {
    "local_mixer": (
        _mixer_text,
        lambda sizes, norm: network.local_mixer(sizes[0], **norm.oracle()),
        lambda sizes: sizes[1],
        (2, 2, 2, 3),
    ),
    "mlp": (
        _mlp_text,
        lambda sizes, norm: network.mlp(len(sizes), **norm.oracle()),
        lambda sizes: 1,
        (5, 6, 4),
    ),
}
"""type -> (sizes, norm) to its spec; to the oracle's network; sizes to patches a side; sizes."""


def _sphere(rng, shape, per_row):
    v = rng.standard_normal(shape)
    axes = tuple(range(2 if per_row else 1, len(shape)))
    count = np.prod([shape[axis] for axis in axes])
    return v * np.sqrt(count / (v**2).sum(axes, keepdims=True))


GUESSES = {
    "normal": lambda rng, shape, per_row: rng.standard_normal(shape),
    "rademacher": lambda rng, shape, per_row: rng.choice([-1.0, 1.0], shape),
    "sphere": _sphere,
}
"""Random guesses the case draws itself and hands to both; by (generator, shape, per example)."""


def text(case):
    """The spec of a case."""
    made = ARCHITECTURES[case.architecture][0](case.sizes, case.norm)
    lines = ["fgspec: 1", "name: oracle", f"architecture: {made}"]
    lines += [f"rule: {case.rule}"] if case.rule else []
    lines += [f"data: {{source: {{type: cifar10}}, batch_size: {case.batch}}}"]
    lines += ["training: {epochs: 2}"]
    if case.local:
        keep = "" if case.replicate is None else f", replicate: [{', '.join(case.replicate)}]"
        isolate = ", isolate: block" if case.target == "local" else ""
        lines += [f"losses: {{local: {{every: {case.every}{keep}}}{isolate}}}"]
    elif case.perturbs and case.guided:
        lines += ["losses: {local: {every: 1}}"]
    estimator = case.estimator or ("forward" if case.target else None)
    gradient = [f"estimator: {{type: {estimator}}}"] if estimator else []
    gradient += [f"target: {case.target}"] if case.target else []
    if case.weights != "random":
        gradient = [f"estimator: {{type: feedback, weights: {case.weights}}}"]
    if case.perturbs:
        words = [f"guess: {{type: {case.guess}}}", f"samples: {case.samples}"]
        words += [f"credit: {case.credit}"]
        words += [f"space: {case.space}"] if case.space else []
        words += [f"sharing: {case.sharing}"] if case.sharing else []
        how = [f"type: {case.projection}"] if case.projection else []
        how += ["grouping: tensor"] if case.apart else []
        words += [f"projection: {{{', '.join(how)}}}"] if how else []
        words += ["last_block: exact"] if case.apart else []
        gradient += [f"perturbation: {{{', '.join(words)}}}"]
    return "\n".join([*lines, f"gradient: {{{', '.join(gradient)}}}"] if gradient else lines)


def refused(case):
    """The first line of fgspec's own reason not to compile a case, or None."""
    try:
        experiment = loads(text(case)).experiment
    except SpecError as error:
        return str(error).splitlines()[0]
    problems: list[Problem] = [
        *refusals(experiment),
        *data_problems(experiment, networks.INFO),
    ]
    return f"{'.'.join(map(str, problems[0].path))}: {problems[0].message}" if problems else None


def _flat(tree, prefix=""):
    """{path: float64 array}; the paths of blocks without their first word."""
    found = {}
    for key, value in tree.items():
        path = f"{prefix}{key}"
        found |= _flat(value, f"{path}/") if isinstance(value, dict) else {path: value}
    if prefix:
        return found
    return {path.removeprefix("blocks/"): np.asarray(v, float) for path, v in found.items()}


def _noise(case, made):
    rng = np.random.default_rng(case.seed + 2)
    draw = GUESSES["normal" if case.guided else case.guess]
    shapes = {n: e.shape for part in networks.elements(made) for n, e in part.items()}
    if case.apart:
        shapes = SPACES[case.space].shapes(Segment(made.plan.network.blocks, ()), case.batch)
    return {
        name: np.float32(draw(rng, (case.samples, *shape), not name.endswith(("/w", "/b"))))
        for name, shape in shapes.items()
    }


def compiled(case):
    """The compiler's gradient, and what the oracle needs to know: state and noise."""
    made = compile_plan(make_plan(loads(text(case)).experiment, networks.INFO))
    state, batch = networks.state_of(made, case.seed), networks.batch_of(case.batch, case.seed)
    noise = _noise(case, made) if case.perturbs else None
    given = None if noise is None else {name: jnp.asarray(v) for name, v in noise.items()}
    grads, _ = made.gradient(state, batch, given)
    if case.guess in ("ntk", "fixed_ntk"):
        noise = {"guess_heads": guided.untrained(case.guess, made, state)}
    return _flat(jax.device_get(grads)), jax.device_get(state), jax.device_get(batch), noise


def expected(case, state, batch, noise):
    """The oracle's gradient."""
    _, build, side, _ = ARCHITECTURES[case.architecture]
    net = build(case.sizes, case.norm)
    params, feedback = _flat(state.params), _flat(state.feedback)
    x = patches(np.asarray(batch["image"], float), side(case.sizes))
    onehot = np.eye(10)[batch["label"]]
    prefix, _, kind = case.rule.rpartition("-") if "fg" not in case.rule else ("", "", "")
    if kind == "dfa":
        return ren.direct_feedback(net, params, x, onehot, feedback)
    if kind:
        back = feedback if kind == "fa" else None
        if case.weights == "signs":
            back = {path: np.sign(params[path]) for path in feedback}
        if case.weights == "sign_symmetric":
            back = {path: np.sign(params[path]) * np.abs(v) for path, v in feedback.items()}
        return ren.reverse(net, params, x, onehot, LOSSES[prefix], case.every, back)
    space = case.space or ("weight" if case.rule.endswith("w") else "activation")
    if case.guided or space == "block_output" or case.target in ("above", "sum"):
        return guided.guided(case, params, x, batch["label"], space, noise)
    how = {"losses": "greedy" if case.local else "final", "every": case.every}
    how |= {"credit": case.credit, "ignore_norm": case.norm.gradient == "ignored"}
    how |= {} if case.replicate is None else {"replicate": case.replicate}
    how |= {"epsilon": 1e-3} if case.estimator == "finite_difference" else {}
    noise = {name: v.astype(float) for name, v in noise.items()}
    return ren.perturbed(net, params, x, onehot, noise, space, **how)


def overlapping(case):
    """Each local loss also trains the block before it: the compiler's and the oracle's gradient."""
    spec, build, side, _ = ARCHITECTURES[case.architecture]
    more = "losses: {local: {every: 1}}\ngradient: {target: above}"
    made = networks.program("", architecture=spec(case.sizes, case.norm), more=more)
    state, batch = networks.state_of(made, case.seed), networks.batch_of(4, case.seed)
    params, onehot = _flat(jax.device_get(state.params)), np.eye(10)[batch["label"]]
    x = patches(np.asarray(batch["image"], float), side(case.sizes))
    net = build(case.sizes, case.norm)
    found = _flat(jax.device_get(made.gradient(state, batch)[0]))
    return found, ren.reverse(net, params, x, onehot, "overlapping")


def patches(image, side):
    """Standardised [n, h, w, 3] -> [n, p, 1, features], flattened in the order h, w, colour."""
    image = (image - np.array(networks.INFO.mean)) / np.array(networks.INFO.std)
    n, h, w, k = image.shape
    cut = image.reshape(n, side, h // side, side, w // side, k).transpose(0, 1, 3, 2, 4, 5)
    return cut.reshape(n, side * side, 1, -1)


def gap(found, wanted):
    """The largest difference of an array, of the largest magnitude in it or 1 % of all; worst."""
    assert found.keys() == wanted.keys(), sorted(found.keys() ^ wanted.keys())
    floor = 1e-2 * max(np.abs(v).max() for v in wanted.values())
    gaps = {
        path: np.abs(found[path] - wanted[path]).max() / max(np.abs(wanted[path]).max(), floor)
        for path in wanted
    }
    worst = max(gaps, key=gaps.__getitem__)
    return float(gaps[worst]), worst


def conditioning(case, state, batch, noise, wanted):
    """How far float32 rounding of the parameters alone moves the oracle's gradient."""
    rng = np.random.default_rng(case.seed + 3)

    def rounded(leaf):
        return np.asarray(leaf, float) * (1 + 6e-8 * rng.uniform(-1, 1, np.shape(leaf)))

    near = state._replace(params=jax.tree.map(rounded, state.params))
    return gap(expected(case, near, batch, noise), wanted)[0]


def compare(case):
    """(largest relative difference, in which array, what rounding explains) of a case."""
    found, state, batch, noise = compiled(case)
    wanted = expected(case, state, batch, noise)
    return *gap(found, wanted), conditioning(case, state, batch, noise, wanted)
