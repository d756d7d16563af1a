# %% [markdown]
# # 1. Backprop and a first local loss
#
# A learning rule decides how the weights of a network change. Backprop is one learning rule. In
# these lessons you meet others, and you see what each of them pays and gains.
#
# fgspec describes an experiment in a short text, a **spec**. It compiles the spec into a JAX
# program and trains it. In this lesson you
#
# * write a spec, and check that its gradient is the one that JAX computes,
# * give every part of the network a loss of its own, a **local loss**,
# * see what changes in the gradient, and what that costs in accuracy.
#
# You need Python, JAX and backprop, and nothing else. All data comes with scikit-learn.

# %%
import jax
import jax.numpy as jnp
import matplotlib.pyplot as plt
from rich.console import Console
from sklearn.datasets import load_digits

import fgspec

# %% [markdown]
# ## A spec
#
# This spec trains a network with two hidden layers on images of digits, 8 by 8 pixels. `rule: bp`
# selects backprop. The first line is the version of the language.

# %%
SPEC = """
fgspec: 1
name: first
rule: bp
seed: 0
data:
  source: {type: digits}
  batch_size: 128
architecture:
  type: mlp
  hidden: [64, 64]
optimizer:
  type: sgd
  learning_rate: 0.1
  momentum: 0.9
training:
  epochs: 20
  evaluate_every: {epochs: 1}
"""

spec = fgspec.load(SPEC)
program = fgspec.compile(spec)
state = program.init(spec.experiment.seed)
jax.tree.map(jnp.shape, state.params)

# %% [markdown]
# `fgspec.compile` returns a program: a set of pure functions. `program.init` draws the initial
# parameters. The **state** holds them, together with everything else that changes during training.
#
# The network is a chain of two **blocks**. A block is the unit that a learning rule treats as a
# whole. In an `mlp`, every hidden layer is one block. The **classifier** is the last linear layer,
# which turns the features of the last block into one number for each class.
#
# ## The gradient, twice
#
# A batch is a dictionary of images and labels. Images are numbers from 0 to 1.

# %%
pixels, labels = load_digits(return_X_y=True)
batch = {
    "image": (pixels[:128] / 16).reshape(-1, 8, 8, 1).astype("float32"),
    "label": labels[:128].astype("int32"),
}

# %% [markdown]
# `program.update` takes one optimizer step. The classifier starts at zero, so no error reaches the
# blocks at the very first step. We take 20 steps before we look at gradients.

# %%
for _ in range(20):
    state, metrics = program.update(state, batch)

{name: round(float(value), 4) for name, value in metrics.items()}

# %% [markdown]
# `program.gradient` returns the gradient that the next update would use. Let us write the same
# network by hand, and ask JAX for the gradient of its loss.


# %%
def dense(x, layer):
    return x @ layer["w"].reshape(x.shape[1], -1) + layer["b"].ravel()


def loss(params):
    data = program.plan.data  # fgspec standardizes images by the mean and deviation of the data
    x = (batch["image"] - data.mean[0]) / data.std[0]
    x = x.reshape(len(x), -1)
    for block in params["blocks"].values():
        x = jax.nn.relu(dense(x, block["dense"]))
    scores = jax.nn.log_softmax(dense(x, params["classifier"]))
    return -scores[jnp.arange(len(x)), batch["label"]].mean()


by_hand = jax.grad(loss)(state.params)
gradient, _ = program.gradient(state, batch)

for name in ("block0", "block1"):
    ours, theirs = gradient["blocks"][name]["dense"]["w"], by_hand["blocks"][name]["dense"]["w"]
    difference = float(jnp.abs(ours - theirs).max())
    print(f"{name}: largest entry {jnp.abs(theirs).max():.1e}, largest difference {difference:.1e}")
    assert difference < 1e-5 * float(jnp.abs(theirs).max())

# %% [markdown]
# So `bp` is what you know: the exact gradient of one loss at the end of the network.
#
# Backprop needs three things that are hard to have in a brain, and expensive on many machines. All
# activations stay in memory until the backward pass. Block 0 waits until the pass has gone up to
# the loss and down again. And errors travel down through the transposed weights of the forward
# pass.
#
# ## A local loss
#
# A **local loss** sits in the middle of the network. A small linear layer reads the features of a
# block and predicts the class from them. This layer is called the block's **head**. The cross
# entropy of the head's prediction is the block's local loss.
#
# A **stop gradient** is a place where a value passes forward and its derivative is set to zero. In
# the pictures below, `//` is a stop gradient. Each block then learns from its own loss only:
#
# ```text
# backprop (bp)                            local losses (lg-bp)
#
# image - block0 - block1 - classifier     image - block0 -//- block1 -//- classifier
#                               |                    |           |             |
#                              loss                head0       head1          loss
#                                                    |           |
#                                                  loss0       loss1
# ```
#
# This rule is called local greedy backprop, `lg-bp`. It is *local* because each block has its own
# loss. It is *greedy* because no block cares about what later blocks need. Within a block, and in
# its head, gradients are still exact. The classifier reads the last features behind a stop gradient
# and learns from its own loss.
#
# One field of the spec changes. The second argument of `load` sets fields by their path.

# %%
local = fgspec.load(SPEC, ["rule=lg-bp", "name=local"])

for change in fgspec.diff(spec, local):
    field = change.json()
    print(f"{field['field']}: {field['a']['value']} -> {field['b']['value']}")

# %% [markdown]
# A rule is only a name for a few settings. `lg-bp` adds local losses, stops gradients between
# blocks (`isolate: block`), and says which loss a block learns from (`target: local`).
#
# ## What a block no longer sees
#
# Under backprop, the gradient of block 0 depends on the weights of block 1. Under `lg-bp` it must
# not. We double the weights of block 1 and compare.


# %%
def after(program, updates):
    """The state after some updates on our batch."""
    state = program.init(0)
    for _ in range(updates):
        state, _ = program.update(state, batch)
    return state


def change_of_block0(program):
    """How much the gradient of block 0 changes when the weights of block 1 double."""
    state = after(program, 20)
    blocks = state.params["blocks"]
    doubled = blocks | {"block1": jax.tree.map(lambda w: 2 * w, blocks["block1"])}
    other = state._replace(params=state.params | {"blocks": doubled})
    one, two = (program.gradient(s, batch)[0]["blocks"]["block0"] for s in (state, other))
    one, two = one["dense"]["w"], two["dense"]["w"]
    return float(jnp.linalg.norm(two - one) / jnp.linalg.norm(one))


programs = {"bp": program, "lg-bp": fgspec.compile(local)}
changes = {rule: change_of_block0(one) for rule, one in programs.items()}
print(changes)
assert changes["bp"] > 0.1
assert changes["lg-bp"] == 0

# %% [markdown]
# The change is exactly zero. Block 0 can therefore finish its update before block 1 has even
# started. Its activations are free again at once, and no error has to come down from above.
#
# ## What it costs
#
# `fgspec.train` trains a spec and writes a folder with everything that came of it. `fgspec.metrics`
# reads the log of that folder as columns. (In a notebook, `train` shows its progress. Here a quiet
# console keeps the page short.)


# %%
def train(spec):
    """Train a spec; return the epochs and the test errors (per cent) of its run."""
    run = fgspec.train(spec, console=Console(quiet=True))["run"]
    log = fgspec.metrics(run)
    pairs = zip(log["epoch"], log["test/error"], strict=True)
    return zip(*[(epoch, 100 * error) for epoch, error in pairs if error is not None], strict=True)


# %% alt="Test error against epochs: both rules fall below ten per cent within a few epochs"
figure, axes = plt.subplots()
final = {}
for one in (spec, local):
    epochs, errors = train(one)
    axes.plot(epochs, errors, label=f"{one.rule}: {errors[-1]:.1f} % at the end")
    final[one.rule] = errors[-1]
axes.set(xlabel="epoch", ylabel="test error (%)", ylim=(0, 20))
axes.legend()
plt.show()

# %%
assert max(final.values()) < 8

# %% [markdown]
# On this small problem local losses cost little. That is not so in general. A greedy block may
# throw away what later blocks would need. On ImageNet, Ren et al. 2022 (table 3) report an error of
# 36.8 % for backprop and 54.4 % for `lg-bp`.
#
# Note what local losses did **not** remove: inside of a block the gradient is still computed by
# backprop. The next lesson replaces that as well.
#
# ## Exercises
#
# 1. Under `bp`, the gradient of block 0 is zero at the very first step, because the classifier
#    starts at zero. Is it also zero under `lg-bp`?
# 2. The rule `l-bp` has the same local losses, but no stop gradients between blocks. Which losses
#    does block 0 learn from? Does its gradient depend on the weights of block 1?
# 3. How many parameters do the two heads add?
#
# ## Answers
#
# **1.** No. The weights of heads are drawn like those of blocks, so a local loss sends an error
# into its block from the first step on.

# %%
for rule, one in programs.items():
    gradient, _ = one.gradient(one.init(0), batch)
    largest = float(jnp.abs(gradient["blocks"]["block0"]["dense"]["w"]).max())
    print(f"{rule}: largest entry of the gradient of block 0 is {largest:.4f}")

# %% [markdown]
# **2.** Block 0 learns from both local losses. The second one reaches it through block 1, so its
# gradient depends on those weights.

# %%
change_of_block0(fgspec.compile(fgspec.load(SPEC, ["rule=l-bp"])))

# %% [markdown]
# **3.** Each head is a linear layer from 64 features to 10 classes: 64 x 10 weights and 10 biases.

# %%
heads = programs["lg-bp"].init(0).params["heads"]
sum(w.size for w in jax.tree.leaves(heads))

# %% [markdown]
# Next: [a forward gradient and its variance](2_forward_gradient.md).
