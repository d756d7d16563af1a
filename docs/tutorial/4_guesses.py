# %% [markdown]
# # 4. Guesses from local losses
#
# In lesson 3 a block followed its own local loss, because the final loss was too noisy to follow.
# This lesson keeps the final loss, and asks for a better direction than a random one. It follows
# Fournier, Rivaud, Belilovsky, Eickenberg and Oyallon, *Can Forward Gradient Match
# Backpropagation?* (2023).

# %%
import matplotlib.pyplot as plt
import numpy as np
from rich.console import Console

import fgspec

# %% [markdown]
# ## Target and guess
#
# The idea separates two gradients that were one until now:
#
# * The **target** `T` is the gradient that we want to follow. Here it is the gradient of the final
#   loss by the output of a block. It is not known. But its inner product with any vector is a
#   directional derivative, and a forward pass computes that.
# * The **guess** `G` is the direction along which we look. It can be anything that is cheap to
#   have.
#
# From both we make the **projection** of the target on the guess. It is the point of the line
# through `G` that is nearest to `T`:
#
# ```text
# estimate = <T, G> G / |G|²
# ```
#
# How near it is depends only on the angle between the two. If `c` is the cosine of that angle, the
# length of the estimate is `|c| |T|`, and the cosine of the estimate with the target is `|c|`. Even
# the sign of the guess does not matter.

# %% alt="A target, a guess, and the projection of the target on the line through the guess"
figure, axes = plt.subplots(figsize=(4.6, 2.8))
target, guess = np.array([3.0, 2.0]), np.array([2.4, 0.3])
projection = target @ guess / (guess @ guess) * guess
arrow = {"arrowstyle": "-|>", "linewidth": 2, "mutation_scale": 16, "shrinkA": 0, "shrinkB": 0}
for vector, color, name, place in (
    (target, "C0", "target T", (-12, 6)),
    (projection, "C2", "projection", (-20, -20)),
    (guess, "C1", "guess G", (-52, -20)),
):
    axes.annotate("", vector, (0, 0), arrowprops={**arrow, "color": color})
    axes.annotate(name, vector, place, textcoords="offset points", color=color)
axes.plot(*np.array([target, projection]).T, ":", color="C5")
axes.set(xlim=(-0.2, 4.2), ylim=(-0.7, 2.6), aspect="equal")
axes.axis("off")
plt.show()

# %% [markdown]
# What is a cosine worth? A random direction in `d` dimensions has a squared cosine of `1 / d` on
# average. So a guess with the cosine `c` is as good as a random direction in a space of `1 / c²`
# dimensions. A cosine of 0.5 stands for 4 dimensions, where the network has thousands.
#
# Fournier et al. take the guess from a **local loss**: each block has a head and a local loss as in
# lesson 1, and `G` is the gradient of that loss. It is computed within the block, without waiting
# for later blocks. If the local loss wants about the same as the final loss, the cosine is large.
# In contrast to lesson 1, a wrong local loss does little harm: the estimate gets short, and at the
# block's output it never points against the target.
#
# ## The spec
#
# No rule has a name for this, so the spec says what a rule would say: where the losses are, which
# gradient is the target, and how it is guessed. `space: block_output` says that target and guess
# are compared at the output of every block. From there the estimate is pulled back exactly through
# that one block to its weights.

# %%
SPEC = """
fgspec: 1
name: guesses
seed: 0
data:
  source: {type: digits}
  batch_size: 128
architecture:
  type: mlp
  hidden: [64, 64, 64]
losses:
  local: {every: 1}
gradient:
  target: global
  estimator: {type: forward}
  perturbation:
    space: block_output
    guess: {type: local}
optimizer:
  type: sgd
  learning_rate: 0.05
  momentum: 0.9
training:
  epochs: 30
  evaluate_every: {epochs: 1}
diagnostics:
  every: {epochs: 1}
"""

# %% [markdown]
# The last block is next to the final loss and takes its exact gradient, as in the paper. So only
# block 0 and block 1 depend on a guess.
#
# We compare the local guess with
#
# * `bp`: the target itself,
# * `ntk`: the gradient of a local loss whose head is drawn anew at every step and never trained. It
#   has the shape of a local gradient, but knows nothing,
# * `random`: a vector of random signs (lesson 2) at the output of each block.
#
# The target is projected on each of them in the same way (`squared_norm` is the division by
# `|G|²`). So the arms differ in nothing but the direction. Each block has a directional derivative
# of its own (`grouping: block`); that is the default for guesses made from the network.

# %%
GUESS = "gradient.perturbation.guess.type"
PROJECTION = "gradient.perturbation.projection"
ARMS = {
    "bp": ["losses.local=null", "gradient.estimator=exact", "gradient.perturbation=null"],
    "local": [],
    "ntk": [f"{GUESS}=ntk"],
    "random": [
        "losses.local=null",
        f"{GUESS}=rademacher",
        f"{PROJECTION}.type=squared_norm",
        f"{PROJECTION}.grouping=block",
        "gradient.perturbation.last_block=exact",
    ],
}
COLORS = {"bp": "C5", "local": "C0", "ntk": "C1", "random": "C2"}


def column(log, name):
    """Epochs and values of a metric, where the log has it."""
    pairs = zip(log["epoch"], log[name], strict=True)
    return np.array([(epoch, value) for epoch, value in pairs if value is not None]).T


logs = {}
for name, overrides in ARMS.items():
    run = fgspec.train(fgspec.load(SPEC, overrides), console=Console(quiet=True))["run"]
    logs[name] = fgspec.metrics(run)

# %% [markdown]
# ## Alignment
#
# `diagnostics` measures in every epoch the cosine of each block's estimate with the exact gradient
# of the final loss.

# %% alt="Cosine of the estimates with the exact gradient over training, for two blocks"
GUESSED = ("local", "ntk", "random")
figure, axes = plt.subplots(1, 2, figsize=(5.6, 3), sharey=True)
mean = {}
for block, axis in zip(("block0", "block1"), axes, strict=True):
    for name in GUESSED:
        epochs, cosines = column(logs[name], f"fg/cosine/{block}")
        axis.plot(epochs, cosines, color=COLORS[name], label=name)
        mean[name, block] = cosines[5:].mean()
    axis.set(title=block, xlabel="epoch", ylim=(-0.3, 1))
axes[0].set(ylabel="cosine with the exact gradient")
figure.legend(*axes[0].get_legend_handles_labels(), ncols=3, loc="outside upper center")
plt.show()

# %%
for block in ("block0", "block1"):
    cosines = ", ".join(f"{name} {mean[name, block]:.2f}" for name in GUESSED)
    print(f"{block}, mean after epoch 5: {cosines}")
    assert mean["local", block] > 2 * mean["random", block]

# %% [markdown]
# ## Error

# %% alt="Test error against epochs for backprop and three guesses"
figure, axes = plt.subplots()
final = {}
for name in ARMS:
    epochs, errors = column(logs[name], "test/error")
    final[name] = 100 * np.mean(errors[-5:])
    axes.plot(epochs, 100 * errors, color=COLORS[name], label=f"{name}: {final[name]:.1f} %")
axes.set(xlabel="epoch", ylabel="test error (%)", ylim=(0, 40))
axes.legend(title="mean of the last 5 epochs")
plt.show()

# %%
assert final["local"] < min(final["ntk"], final["random"])

# %% [markdown]
# The projection on the local guess points almost where backprop points, and learns as fast. The
# projection on noise is right in direction but short: on average it is `T / d`, with `d` = 64 units
# in a block. It learns slowly. The untrained head of `ntk` is no better than noise here. So what
# makes the guess good is the *trained* local loss, and not its form.
#
# Note what the projection needs. A forward pass gives `<T, G>`, so no error travels back through
# later blocks. But a block's guess must be pushed forward through all later blocks before the block
# can step. That is the price of following the final loss instead of a local one.
#
# ## Exercises
#
# 1. The guess is twice as long as before. How does the estimate change?
# 2. The guess points exactly against the target. What is the estimate?
# 3. Replace the derivative by its sign (`gradient.perturbation.projection.coefficient=sign`), or by
#    a coin flip (`coin`). Which one should still learn? Both are controls of the paper.
# 4. What happens if the guess is the target itself (`guess: {type: global}`)?
#
# ## Answers
#
# **1.** Not at all: `G` stands twice above and twice below in `<T, G> G / |G|²`.
#
# **2.** The target itself. `<T, G>` is negative and turns the guess around.
#
# **3.** With the sign, the estimate still points the right way, but its length is that of the
# guess. With a coin it points the right way in half of the steps, so on average it says nothing. We
# look at the cosines after ten epochs.

# %%
for coefficient in ("raw", "sign", "coin"):
    spec = fgspec.load(SPEC, [f"{PROJECTION}.coefficient={coefficient}", "training.epochs=10"])
    log = fgspec.metrics(fgspec.train(spec, console=Console(quiet=True))["run"])
    cosines = column(log, "fg/cosine/block0")[1]
    print(f"{coefficient:5} cosines of block 0: {', '.join(f'{c:+.2f}' for c in cosines)}")

# %% [markdown]
# **4.** The projection of `T` on itself is `T`: the estimate is the exact gradient.
#
# Next: [your own network, loss and data](5_plugin.md).
