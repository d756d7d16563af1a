"""Local losses with an objective of their own, and answers that are sums over readouts."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from compiler.compile import compile_plan
from compiler.network.network import forward
from compiler.plan.plan import make_plan
from compiler.update.forward_passes import stem
from fgspec import api
from fgspec.data.digits import Digits
from fgspec.errors import UserError
from fgspec.loading.spec_file import loads
from fgspec.testing.learning import INFO, batch_of, state_of

MIXER = "{type: local_mixer, blocks: 2, patches: 2, channels: 4, groups: 2}"


def made(rule, losses, more="", architecture=MIXER):
    text = f"""
fgspec: 1
name: small
rule: {rule}
data: {{source: {{type: synthetic}}, batch_size: 4, augment: {{type: crop_flip, padding: 1}}}}
architecture: {architecture}
losses: {losses}
training: {{steps: 2}}
{more}"""
    return compile_plan(make_plan(loads(text).experiment, INFO))


def cross_entropy(outputs, labels):
    return -jnp.take_along_axis(jax.nn.log_softmax(outputs), labels[:, None], -1).mean()


@pytest.mark.parametrize("last", ["local", "final"])
def test_contrastive_blocks_under_a_classifier_of_labels(last):
    """Heads are projections of two views; the classifier's loss is that of classes."""
    losses = f"{{local: {{last: {last}, objective: {{type: info_nce, projection: 5}}}}}}"
    program = made("lg-bp", losses)
    plan, state, batch = program.plan, state_of(program), batch_of(program)
    image = np.asarray(batch["image"])
    batch["views"] = jnp.asarray(np.concatenate([image, image[:, ::-1]]))
    assert plan.rows == 8
    heads = {"block0"} | ({"block1"} if last == "local" else set())
    assert {
        name: own["w"].shape[1] for name, own in state.params["heads"].items()
    } == dict.fromkeys(heads, 5)
    found, metrics = program.gradient(state, batch)
    assert {
        "train/loss",
        "train/error",
        *(f"local_loss/{name}" for name in heads),
    } <= metrics.keys()
    # Beside local losses the classifier has a pass of its own, over clean images; as the last
    # block's own loss it reads both views.
    seen, labels = (batch["image"], batch["label"])
    if last == "final":
        seen, labels = batch["views"], jnp.tile(labels, 2)

    @jax.jit
    def by_hand(classifier, block1):
        blocks = state.params["blocks"] | {"block1": block1}
        x = forward(plan.network.blocks, blocks, stem(plan, seen)).output
        return cross_entropy(plan.network.classifier.outputs(classifier, x)[0], labels)

    own, of_block = jax.grad(by_hand, (0, 1))(
        state.params["classifier"], state.params["blocks"]["block1"]
    )
    np.testing.assert_allclose(found["classifier"]["w"], own["w"], rtol=2e-5, atol=1e-6)
    if last == "final":
        for layer, wanted in of_block.items():
            for name, leaf in wanted.items():
                np.testing.assert_allclose(
                    found["blocks"]["block1"][layer][name], leaf, rtol=2e-4, atol=1e-6
                )


def test_a_local_objective_that_is_the_final_one_changes_nothing():
    plain, given = (
        made("lg-fg-a", losses)
        for losses in ("{local: {every: 1}}", "{local: {objective: cross_entropy}}")
    )
    grads = [p.gradient(state_of(p), batch_of(p))[0] for p in (plain, given)]
    jax.tree.map(np.testing.assert_array_equal, *grads)


def test_decoders_in_the_network_of_a_classifier():
    """Local losses are compared with images, the final loss with labels."""
    program = made("lg-bp", "{local: {objective: reconstruction, last: final}}")
    state, batch = state_of(program), batch_of(program)
    image = np.float64(batch["image"])
    batch["views"] = batch["image"]  # as they are, without the crops
    found, metrics = program.gradient(state, batch)
    seen = ((image - 0.5) / 0.25).reshape(4, -1)
    blocks, plan = program.plan.network.blocks, program.plan
    features = forward(blocks, state.params["blocks"], stem(plan, batch["image"])).features
    site = plan.units[0][1]
    entering = np.float64(plan.readout(site).entering(features["block0"])).mean(1).reshape(4, -1)
    head = state.params["heads"]["block0"]
    gap = entering @ np.float64(head["w"]) + np.float64(head["b"]) - seen
    assert metrics["local_loss/block0"] == pytest.approx((gap**2).mean(), rel=1e-5)
    wanted = entering.T @ (2 * gap / gap.size)
    np.testing.assert_allclose(found["heads"]["block0"]["w"], wanted, rtol=1e-4, atol=1e-6)
    assert metrics["train/loss"] < 10
    assert found["classifier"]["w"].shape[1] == 3


def test_equal_blocks_under_predsim_are_scanned():
    """Of several axes, and in a loop: the same gradients as unrolled."""
    deep = MIXER.replace("blocks: 2", "blocks: 4")
    losses = "{local: {objective: predsim, last: local}}"
    scanned, unrolled = (
        made("lg-bp", losses, f"compile: {{blocks: {how}}}", deep)
        for how in ("scanned", "unrolled")
    )
    (stack,) = scanned.plan.stacks
    assert len(stack.units) == 3
    state, batch = unrolled.init(0), batch_of(unrolled)
    wanted, _ = unrolled.gradient(state, batch)
    found, _ = scanned.gradient(scanned.init(0), batch)
    jax.tree.map(lambda a, b: np.testing.assert_allclose(a, b, rtol=1e-4, atol=1e-6), found, wanted)


PLUS = "{local: {objective: {type: clapp_plus_plus, grid: GRID}, aggregation: pooled}}"


@pytest.mark.parametrize(
    ("losses", "message"),
    [
        ("{local: {objective: {type: clapp, steps: 2}, aggregation: pooled}}", "2 rows of patches"),
        (PLUS.replace("GRID", "[3]"), "at most the 2x2 positions after block0 .got 3"),
        (PLUS.replace("GRID", "[2, 1, 1]"), "1 number or 2, one for each block .got 3"),
    ],
)
def test_what_only_a_plan_can_refuse(losses, message):
    with pytest.raises(UserError, match=message):
        made("lg-bp", losses)


MONO = """
fgspec: 1
name: mono
rule: lg-bp
data: {source: {type: digits}, batch_size: 128}
architecture: {type: mlp, hidden: [12, 10]}
losses: {local: {last: LAST}, prediction: sum}
training: {steps: 4}
"""


@pytest.mark.parametrize("last", ["final", "local"])
def test_the_answer_is_the_sum_of_readouts(last, tmp_path):
    run = api.train(api.load(MONO.replace("LAST", last)), run_dir=tmp_path)["run"]
    model, data = api.restore(run), Digits().read()
    images, labels = data.test_images, data.test_labels
    params = jax.tree.map(np.float64, model.parameters)
    x = (np.float64(images) / 255 - model.data.mean[0]) / model.data.std[0]
    x, total = x.reshape(len(x), -1), 0.0
    for name in ("block0", "block1"):
        (layer,) = params["blocks"][name].values()
        x = np.maximum(x @ layer["w"].reshape(x.shape[1], -1) + layer["b"].reshape(-1), 0)
        head = params["heads"].get(name, params["classifier"])
        total = total + x @ head["w"] + head["b"]
    np.testing.assert_allclose(model.outputs(images), total, rtol=1e-3, atol=1e-4)
    assert (model.predict(images) == total.argmax(1)).all()
    error = (total.argmax(1) != labels).mean()
    assert model.evaluate().metrics["test/error"] == pytest.approx(error, abs=1e-6)


def test_a_sum_of_linear_heads_reads_no_other_image_under_batch_norm(tmp_path):
    """Linear heads normalize nothing themselves, and blocks have running statistics."""
    network = "{type: conv_net, channels: [3, 4]}"
    text = MONO.replace("LAST", "final").replace("{type: mlp, hidden: [12, 10]}", network)
    model = api.restore(api.train(api.load(text), run_dir=tmp_path)["run"])
    images = Digits().read().test_images[:6]
    alone = np.concatenate([model.outputs(image[None]) for image in images])
    np.testing.assert_allclose(model.outputs(images), alone, rtol=1e-4, atol=1e-5)
