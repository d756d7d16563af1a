"""Flax NNX modules as networks: gradients, laws, refusals, identity and resuming."""

import os
import subprocess
import sys
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest
import runs
from flax import nnx

import fgspec
from compiler.flax_modules.parts import as_users_write
from compiler.network.network import standardized
from fgspec.errors import ResumeError, UserError
from fgspec.loading.resolved import spec_hash
from fgspec.loading.spec_file import loads
from fgspec.problems.problems import SpecError
from fgspec.spec import plugins
from fgspec.spec.flax_module import Arguments, Flax
from fgspec.spec.kinds import working
from fgspec.testing import networks
from fgspec.training.loop import Preempted

NETS = '''
"""Networks of somebody's own."""

from functools import partial

import jax
import jax.numpy as jnp
from flax import nnx


def flat(x):
    return x.reshape(x.shape[0], -1)


class Dense(nnx.Module):
    def __init__(self, image, *, rngs, width=7, depth=2):
        sizes = [image[0] * image[1] * image[2], *[width] * depth]
        make = lambda i, o: nnx.Sequential(nnx.Linear(i, o, rngs=rngs), nnx.tanh)
        self.blocks = nnx.List([flat, *map(make, sizes[:-1], sizes[1:])])

    def __call__(self, x):
        for block in self.blocks:
            x = block(x)
        return x


def conv(image, *, rngs):
    first = nnx.Sequential(
        nnx.Conv(image[-1], 3, (3, 3), rngs=rngs), nnx.LayerNorm(3, rngs=rngs), nnx.gelu,
        partial(nnx.avg_pool, window_shape=(2, 2), strides=(2, 2)),
    )
    one = nnx.Conv(3, 2, (1, 1), rngs=rngs)
    return nnx.Sequential(first, nnx.Sequential(nnx.LayerNorm(3, rngs=rngs), one, nnx.silu))


class Residual(nnx.Module):
    def __init__(self, width, rngs):
        self.inner = nnx.Linear(width, width, rngs=rngs)

    def __call__(self, x):
        return x + nnx.tanh(self.inner(x))


def pixels(image, *, rngs):
    """Every pixel by itself: losses can be replicated over them."""
    first = nnx.Sequential(nnx.Linear(image[-1], 4, rngs=rngs), nnx.tanh)
    return nnx.Sequential(first, nnx.Sequential(nnx.Linear(4, 3, rngs=rngs), nnx.tanh))


def residual(image, *, rngs, width=5):
    stem = nnx.Sequential(flat, nnx.Linear(image[0] * image[1] * image[2], width, rngs=rngs))
    return nnx.Sequential(stem, Residual(width, rngs))


def batch_norm(image, *, rngs):
    return nnx.Sequential(flat, nnx.Linear(64, 4, rngs=rngs), nnx.BatchNorm(4, rngs=rngs))


def dropout(image, *, rngs):
    block = nnx.Sequential(flat, nnx.Linear(64, 4, rngs=rngs), nnx.Dropout(0.5, rngs=rngs))
    return nnx.Sequential(block)


def dropout_off(image, *, rngs):
    return nnx.Sequential(flat, nnx.Linear(64, 4, rngs=rngs), nnx.Dropout(0.0, rngs=rngs))


def tied(image, *, rngs):
    layer = nnx.Linear(4, 4, rngs=rngs)
    return nnx.Sequential(flat, nnx.Linear(64, 4, rngs=rngs), layer, layer)


def coupled(image, *, rngs):
    return nnx.Sequential(flat, lambda x: x - x.mean(0), nnx.Linear(64, 4, rngs=rngs))


def lone(image, *, rngs):
    one = nnx.Sequential(flat, nnx.Linear(64, 1, rngs=rngs), nnx.LayerNorm(1, rngs=rngs), nnx.relu)
    return nnx.Sequential(one, nnx.Linear(1, 4, rngs=rngs))


def misfit(image, *, rngs):
    return nnx.Sequential(flat, nnx.Linear(5, 4, rngs=rngs))


def half(image, *, rngs):
    return nnx.Sequential(flat, nnx.Linear(64, 4, rngs=rngs, param_dtype=jnp.bfloat16))


def unknown_activation(image, *, rngs):
    block = nnx.Sequential(flat, nnx.Linear(64, 4, rngs=rngs), lambda x: jnp.sin(x))
    return nnx.Sequential(block)


class Headed(Dense):
    def __init__(self, image, *, rngs):
        super().__init__(image, rngs=rngs)
        self.head = nnx.Linear(7, 10, rngs=rngs)


class Twice(Dense):
    def __call__(self, x):
        return 2 * super().__call__(x)


class NoChain(nnx.Module):
    def __init__(self, image, *, rngs):
        self.first = nnx.Linear(64, 4, rngs=rngs)


def broken(image, *, rngs):
    raise RuntimeError("no such thing")
'''

NAMES = [
    "Dense",
    "conv",
    "pixels",
    "residual",
    "batch_norm",
    "dropout",
    "dropout_off",
    "tied",
    "coupled",
    "lone",
    "misfit",
    "half",
    "unknown_activation",
    "Headed",
    "Twice",
    "NoChain",
    "broken",
]

SPEC = """
fgspec: 1
name: net
rule: {rule}
seed: 3
data: {{source: {{type: digits}}, batch_size: 16}}
architecture: {{type: flax{more}}}
optimizer: {{type: sgd, learning_rate: 0.1}}
training: {{steps: 6, log_every: {{steps: 2}}, evaluate_every: {{steps: 3}}}}
checkpoint: {{every: {{steps: 2}}}}
"""


def install(folder, module, text, names):
    """What installing a package of modules leaves in a folder of packages."""
    (folder / f"{module}.py").write_text(text)
    info = folder / f"{module}-1.0.dist-info"
    info.mkdir(exist_ok=True)
    (info / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {module}\nVersion: 1.0\n")
    entries = "\n".join(f"{name} = {module}:{name}" for name in names)
    (info / "entry_points.txt").write_text(f"[fgspec.flax_modules]\n{entries}\n")


@pytest.fixture(scope="module", autouse=True)
def nets(tmp_path_factory):
    folder = tmp_path_factory.mktemp("packages")
    install(folder, "flax_nets_of_tests", NETS, NAMES)
    sys.path.insert(0, str(folder))
    plugins.forget()
    yield
    sys.path.remove(str(folder))
    plugins.forget()


def spec(name, rule="bp", more="", overrides=""):
    module = f", module: {name}{more}" if name else ""
    text = SPEC.format(rule=rule, more=module) + overrides
    return loads(text if rule else text.replace("rule: \n", ""))


def batch():
    rng = np.random.default_rng(0)
    image = jnp.asarray(rng.random((16, 8, 8, 1)), jnp.float32)
    return {"image": image, "label": jnp.asarray(rng.integers(0, 10, 16), jnp.int32)}


def random(params):
    rng = np.random.default_rng(1)
    return jax.tree.map(lambda a: jnp.asarray(0.3 * rng.standard_normal(a.shape), a.dtype), params)


def made(program):
    """The module that a plan was made from."""
    draw = program.plan.network.drawn
    return draw.made(draw.image, jax.random.key_data(jax.random.key(0)))


def by_hand(program, params, local):
    """jax.grad of the module's own loss, through nnx.split and nnx.merge, in fgspec's structure."""
    data = program.plan.data
    x = standardized(batch()["image"], data.mean, data.std)
    blocks = made(program)
    items = blocks.layers if isinstance(blocks, nnx.Sequential) else blocks.blocks

    def read(own, x):
        features = x.reshape(len(x), -1, x.shape[-1]).mean(1)
        logits = features @ own["w"] + own["b"]
        return optax.softmax_cross_entropy_with_integer_labels(logits, batch()["label"]).mean()

    def loss(params):
        total, h, number = 0.0, x, 0
        for item in items:
            if not isinstance(item, nnx.Module):
                h = item(h)
                continue
            own = params["blocks"][f"block{number}"]
            graph, state = nnx.split(item)
            h = nnx.merge(graph, filled(state, own))(h)
            if local:
                total += read(jax.lax.stop_gradient(params["heads"][f"block{number}"]), h)
                h = jax.lax.stop_gradient(h)
            number += 1
        return total if local else read(params["classifier"], h)

    with as_users_write(), jax.default_matmul_precision("highest"):
        return jax.grad(loss)(params)


def filled(state, own):
    """An NNX state whose parameters are fgspec's, matched in the order of layers by last name."""
    left = [(n.rpartition(".")[2], v) for layer in own.values() for n, v in layer.items()]
    flat_state = nnx.to_flat_state(state)
    new = []
    for path, variable in flat_state:
        place = next(
            i
            for i, (name, v) in enumerate(left)
            if name == path[-1] and v.shape == variable[...].shape
        )
        new.append((path, variable.replace(left.pop(place)[1])))
    assert not left
    return nnx.from_flat_state(new)


@pytest.mark.parametrize("name", ["Dense", "conv", "residual"])
@pytest.mark.parametrize("rule", ["bp", "lg-bp"])
def test_gradients_are_those_of_the_modules_own_loss(name, rule):
    program = fgspec.compile(spec(name, rule))
    state = program.init(3)
    state = state._replace(params=random(state.params))
    grads, _ = program.gradient(state, batch())
    wanted = by_hand(program, state.params, rule == "lg-bp")
    for own, other in zip(
        jax.tree.leaves(grads["blocks"]), jax.tree.leaves(wanted["blocks"]), strict=True
    ):
        assert np.abs(np.asarray(other)).max() > 1e-6
        np.testing.assert_allclose(own, other, rtol=2e-4, atol=2e-6)


@pytest.mark.parametrize(("name", "axes"), [("Dense", ()), ("conv", ()), ("pixels", ("patch",))])
def test_every_forward_rule_is_exact_over_a_full_basis(name, axes):
    arguments = Arguments(width=3) if name == "Dense" else Arguments()
    networks.check_architecture(Flax(module=name, arguments=arguments, axes=axes))


@pytest.mark.parametrize("name", ["Dense", "conv", "residual"])
def test_block_outputs_are_exact_over_a_full_basis(name):
    lines = (
        "losses: {local: {every: 1}, isolate: block}\n"
        "gradient: {estimator: {type: forward}, target: local,"
        " perturbation: {space: block_output, samples: %d}}\n"
    )
    exact = fgspec.compile(spec(name, "lg-bp"))
    state = exact.init(3)
    state = state._replace(params=random(state.params))
    wanted, _ = exact.gradient(state, batch())
    shapes = fgspec.compile(spec(name, "", overrides=lines % 1)).perturbations()
    assert all(of.startswith("block") and "/" not in of for of in shapes)
    size = max(int(np.prod(of.shape[2:])) for of in shapes.values())
    program = fgspec.compile(spec(name, "", overrides=lines % size))
    given = {}
    for of, like in program.perturbations().items():
        basis = np.zeros(like.shape, np.float32)
        for row in range(int(np.prod(like.shape[2:]))):
            basis[row].reshape(like.shape[1], -1)[:, row] = 1
        given[of] = jnp.asarray(basis)
    grads, _ = program.gradient(state, batch(), given)
    for own, other in zip(
        jax.tree.leaves(grads["blocks"]), jax.tree.leaves(wanted["blocks"]), strict=True
    ):
        np.testing.assert_allclose(own * size, other, rtol=1e-3, atol=1e-5)


def test_positions_that_are_declared_apart_are_tried():
    network = working(Flax(module="pixels", axes=("patch",))).network((8, 8, 1), 10)
    assert all("patch" not in block.layers[0].mixes() for block in network.blocks)
    network = working(Flax(module="conv", axes=("patch",))).network((8, 8, 1), 10)
    assert "patch" in network.blocks[0].layers[0].mixes()


def test_initial_parameters_are_drawn_by_the_module_for_the_seed():
    program = fgspec.compile(spec("Dense"))
    one, other = (program.init(seed).params["blocks"]["block0"]["layer0"] for seed in (0, 1))
    assert np.asarray(one["kernel"]).any()
    assert not np.asarray(one["bias"]).any()
    assert (np.asarray(one["kernel"]) != np.asarray(other["kernel"])).any()


def test_equal_blocks_are_scanned_and_give_the_same_gradient():
    more = ", arguments: {width: 6, depth: 5}"
    scan, not_ = (f"compile: {{blocks: {how}}}\n" for how in ("scanned", "unrolled"))
    programs = [fgspec.compile(spec("Dense", "lg-fg-a", more, lines)) for lines in (scan, not_)]
    assert len(programs[0].plan.stacks[0].units) == 4
    found = [program.gradient(program.init(0), batch())[0] for program in programs]
    jax.tree.map(lambda a, b: np.testing.assert_allclose(a, b, rtol=1e-5, atol=1e-7), *found)


REFUSED = {
    "batch_norm": "keeps running statistics; use nnx.LayerNorm or nnx.GroupNorm",
    "dropout": "draws dropout, which estimates do not know of; remove it, or rate 0",
    "tied": "stands in two places of the chain, but every block learns by itself",
    "coupled": "block0 mixes the examples of a batch",
    "lone": "LayerNorm takes mean and deviation of a single value of [n, 1]",
    "misfit": "block0 (flat+Linear) cannot be applied to [n, 8, 8, 1]",
    "half": "is bfloat16; keep parameters in float32",
    "Headed": "head.bias is in none of its blocks; put it into one",
    "Twice": "its __call__ does more than its blocks one after the other",
    "NoChain": "NoChain is no chain; give it blocks = nnx.List([...])",
    "broken": "cannot be made: RuntimeError: no such thing",
}


@pytest.mark.parametrize("name", REFUSED)
def test_what_cannot_be_trained_is_refused_in_a_line(name):
    with pytest.raises(SpecError) as error:
        fgspec.plan(spec(name))
    (line,) = error.value.lines
    assert "architecture.module: " in line
    assert REFUSED[name] in line


def test_dropout_that_is_off_is_nothing():
    assert fgspec.plan(spec("dropout_off")).network.blocks[0].layers[0].kind.type == "flat+Linear"


@pytest.mark.parametrize(
    ("name", "rule", "said"),
    [
        ("residual", "lg-fg-a", "needs linear maps one by one, but block1 is a module Residual"),
        ("residual", "dfa", "sends errors to linear maps one by one, but block1 is a module"),
        ("residual", "fa", "block1/layer0 (Residual) does not end in a linear map"),
        ("conv", "fa", "block0/layer0 (Conv+LayerNorm) does not end in a linear map"),
        ("unknown_activation", "dfa", "needs the activation behind block0/layer0"),
    ],
)
def test_what_a_rule_cannot_reach_is_refused_in_a_line(name, rule, said):
    with pytest.raises(SpecError) as error:
        fgspec.plan(spec(name, rule))
    (line,) = error.value.lines
    assert said in line


def test_feedback_rules_work_where_linear_maps_are_reached():
    for rule in ("fa", "dfa"):
        program = fgspec.compile(spec("Dense", rule))
        state = program.init(0)
        state = state._replace(params=random(state.params))
        grads, _ = program.gradient(state, batch())
        assert all(np.asarray(leaf).any() for leaf in jax.tree.leaves(grads["blocks"]))


def test_losses_that_do_not_fit_the_number_of_blocks_are_refused_at_plan():
    lines = "losses: {local: {every: 2}}\n"
    loaded = spec("Dense", "lg-bp", ", arguments: {depth: 3}", lines)
    with pytest.raises(SpecError, match=r"losses.local.every: must divide the 3 blocks of the mod"):
        fgspec.plan(loaded)
    lines = "expect: {metric: local_loss/block7, value: 1.0, tolerance: 0.1, source: me}\n"
    with pytest.raises(SpecError, match=r"expect.metric: no such metric"):
        fgspec.plan(spec("Dense", "lg-bp", overrides=lines))


def test_a_module_that_is_not_installed_is_refused_at_check():
    with pytest.raises(SpecError, match=r"no such flax module is installed; did you mean Dense"):
        spec("Dens")


def in_hand():
    from flax_nets_of_tests import Dense

    return Dense((8, 8, 1), rngs=nnx.Rngs(5))


def test_a_module_in_hand_compiles_and_begins_as_it_is():
    module = in_hand()
    program = fgspec.compile(spec(""), network=module)
    state = program.init(0)
    own = state.params["blocks"]["block1"]["layer0"]["kernel"]
    kernel = np.asarray(module.blocks[2].layers[0].kernel[...])
    np.testing.assert_array_equal(own, kernel)
    _, metrics = program.update(state, batch())
    assert np.isfinite(metrics["train/loss"])
    np.testing.assert_array_equal(module.blocks[2].layers[0].kernel[...], kernel)


def test_a_module_in_hand_is_for_compile_alone():
    with pytest.raises(UserError, match=r"network: is only for fgspec.compile"):
        fgspec.train(spec(""), network=in_hand())
    with pytest.raises(SpecError, match=r"architecture.module: no module; name one of"):
        fgspec.train(spec(""))
    with pytest.raises(UserError, match=r"architecture.module names Dense already"):
        fgspec.compile(spec("Dense"), network=in_hand())
    mlp = loads(SPEC.format(rule="bp", more="").replace("type: flax", "type: mlp"))
    with pytest.raises(UserError, match=r"architecture.type: mlp has a network of its own"):
        fgspec.compile(mlp, network=in_hand())


ONE = """
from flax import nnx

def net(image, *, rngs):
    flat = lambda x: x.reshape(x.shape[0], -1)
    block = nnx.Sequential(flat, nnx.Linear(64, 4, rngs=rngs), nnx.relu)
    return nnx.Sequential(block, nnx.Linear(4, 4, rngs=rngs))
"""


@pytest.fixture
def installed(tmp_path, monkeypatch):
    """Install a package of one module, again and again with other bodies."""
    monkeypatch.syspath_prepend(str(tmp_path))

    def write(text):
        sys.modules.pop("flax_net_that_changes", None)
        install(tmp_path, "flax_net_that_changes", text, ["net"])
        for cached in tmp_path.rglob("*.pyc"):
            cached.unlink()
        plugins.forget()

    yield write
    sys.modules.pop("flax_net_that_changes", None)
    plugins.forget()


def test_a_changed_body_is_another_identity(installed):
    hashes = []
    for text in (ONE, ONE, ONE.replace("relu", "gelu"), ONE.replace("(4, 4", "(4, 5")):
        installed(text)
        hashes.append(spec_hash(spec("net")))
    assert hashes[0] == hashes[1]
    assert len(set(hashes)) == 3


def test_resumed_equals_uninterrupted_and_a_changed_module_is_not_resumed(
    installed, tmp_path, monkeypatch
):
    installed(ONE)
    path = tmp_path / "net.yaml"
    path.write_text(SPEC.format(rule="lg-fg-a", more=", module: net"))
    whole = fgspec.train(path, run_dir=tmp_path / "whole")["run"]
    with monkeypatch.context() as patch:
        runs.stop_after(patch, 2)
        with pytest.raises(Preempted):
            fgspec.train(path, run=tmp_path / "part")
    fgspec.train(resume=tmp_path / "part")
    runs.assert_same(Path(whole), tmp_path / "part")
    found = fgspec.evaluate(tmp_path / "part")
    assert found["step"] == 6
    installed(ONE.replace("relu", "gelu"))
    with pytest.raises(ResumeError, match=r"architecture.module: its code has changed"):
        fgspec.train(resume=tmp_path / "part")
    with pytest.raises(ResumeError, match=r"architecture.module: its code has changed"):
        fgspec.evaluate(tmp_path / "part")


def test_check_of_other_architectures_waits_for_no_flax(tmp_path):
    (tmp_path / "a.yaml").write_text("fgspec: 1\nname: a\nrule: bp\ntraining: {steps: 1}\n")
    code = (
        "import sys\nfrom fgspec.cli.main import main\n"
        "sys.argv = ['fgspec', 'check', 'a.yaml']\n"
        "try:\n    main()\nexcept SystemExit:\n    pass\n"
        "print([m for m in ('jax', 'flax') if m in sys.modules])"
    )
    command = [sys.executable, "-c", code]
    found = subprocess.run(command, cwd=tmp_path, env=os.environ, capture_output=True, text=True)
    assert found.stdout.strip().endswith("[]"), found.stderr
