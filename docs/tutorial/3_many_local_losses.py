# %% [markdown]
# # 3. From weights to activations to many local losses
#
# In lesson 2 the variance of a forward gradient grew with the number of perturbed entries. This
# lesson follows Ren, Kornblith, Liao and Hinton, *Scaling Forward Gradient With Local Losses*
# (2022). They make that number small in three steps, without touching the size of the network:
#
# 1. perturb activations instead of weights,
# 2. give every block a loss of its own,
# 3. give every block many losses, each of which sees only a small part of the block.
#
# You will measure each step on a small network.

# %%
from pathlib import Path

import matplotlib.pyplot as plt
import numpy as np
from rich.console import Console

import fgspec

# %% [markdown]
# ## The network
#
# The paper's network is called LocalMixer. It cuts the image into **patches**, here 2 x 2. Each
# patch has a vector of **channels**, here 64, and the channels fall into **groups**, here 8 groups
# of 8. A block has up to three linear layers:
#
# * `token` mixes the patches (not in the first block),
# * `channel` mixes all channels of a patch,
# * `group` mixes the channels of one group of one patch.

# %%
SPEC = """
fgspec: 1
name: mixer
rule: lg-fg-a
seed: 0
data:
  source: {type: digits}
  batch_size: 128
architecture:
  type: local_mixer
  blocks: 2
  patches: 2
  channels: 64
  groups: 8
  normalization: {epsilon: 0.01}
optimizer:
  type: sgd
  learning_rate: 0.05
  momentum: 0.9
  schedule: {type: linear}
training:
  epochs: 30
  evaluate_every: {epochs: 3}
diagnostics:
  every: {epochs: 2}
  samples: 8
"""

# %% [markdown]
# `diagnostics` tells the run to measure its own estimates. Every second epoch it draws 8 of them
# and compares them with the exact gradient. It changes nothing in the training.
#
# ## Step 1: activations instead of weights
#
# Take one linear layer with inputs `x` and outputs `z = W x`. Its **pre-activations** `z` are what
# the nonlinearity reads. If `a` is the gradient of the loss by `z`, then the gradient by `W` is the
# outer product of `x` and `a`. Both vectors are at hand when `a` is known. So only `a` has to be
# estimated. A layer with `p` inputs and `q` outputs has `p q` weights, but only `q`
# pre-activations.
#
# There is a second gain. Each example has its own loss and its own pre-activations, so it can draw
# its own perturbation. The batch then averages over many independent draws. With weights that would
# be expensive, as every example would need a weight matrix of its own.
#
# The rule is called `fg-a` (`a` is for activations). We count the entries that share one
# directional derivative: all weights of the blocks, or the pre-activations of one example.


# %%
def perturbed(rule):
    """How many entries share one directional derivative, if there is one final loss."""
    program = fgspec.compile(fgspec.load(SPEC, [f"rule={rule}"]))
    shapes = program.perturbations().values()
    total = sum(int(np.prod(shape.shape)) for shape in shapes)
    return total if rule == "fg-w" else total // program.plan.experiment.data.batch_size


{rule: perturbed(rule) for rule in ("fg-w", "fg-a")}

# %% [markdown]
# ## Step 2: a loss for every block
#
# With local losses (lesson 1), the perturbations of block 0 are multiplied by the derivative of the
# loss of block 0 alone. The perturbations of block 1 no longer disturb it. In a network with many
# blocks this divides the number of entries by the number of blocks.
#
# ## Step 3: many losses for every block
#
# The head of a block averages the features over the patches, and then predicts the class. So every
# patch and every group of channels contributes to the prediction. Now make a copy of the loss for
# each patch and group. All copies have the *same value*. But copy `(p, g)` passes a derivative only
# to the features of patch `p` and group `g`; to it, all other features are behind a stop gradient.
# This is a **replicated loss**.
#
# ```text
#                       patch 0                      patch 1            ...
#               group 0        group 1        group 0        group 1
#                  |              |              |              |
# derivative:   copy (0,0)     copy (0,1)     copy (1,0)     copy (1,1)   ...
# value:        the same number, the cross entropy of the block's head
# ```
#
# Nothing is lost: summed over its copies, the derivative is that of the one loss. But each copy now
# has a directional derivative of its own, to which only few perturbed entries contribute. Each of
# these entries is multiplied by the derivative of *its* copy, instead of that of the whole loss.
#
# Which copies does a perturbed entry influence? This depends on what the layers behind it mix.
# fgspec derives it from the network. `fgspec plan` prints it for every layer.

# %%
_ = Path("mixer.yaml").write_text(SPEC)

# %% language="bash"
# fgspec plan mixer.yaml | head -6

# %% [markdown]
# Read the table like this. A pre-activation of `block0/channel` belongs to one example of the
# batch, one patch and one group. The layer behind it, `group`, mixes only within a group. So it
# influences the loss copy of its own example, patch and group, and no other. An output of
# `block1/token` is followed by `channel`, which mixes all channels of a patch. So it influences the
# copies of all groups at its patch. It takes the sum of their derivatives.
#
# For a copy of block 0 this leaves 8 + 8 perturbed entries: those of its group in two layers. With
# one loss for the whole block it would be 2 x 4 x 64 = 512.
#
# ## Measured
#
# We train six arms, which differ only in the rule. `lg-bp` computes the exact gradient of the local
# losses. It shows what local losses alone cost. Both `lg-fg-a` arms estimate that same gradient.

# %%
ARMS = {
    "bp": ["rule=bp"],
    "fg-w": ["rule=fg-w"],
    "fg-a": ["rule=fg-a"],
    "lg-bp": ["rule=lg-bp"],
    "lg-fg-a, one loss a block": ["rule=lg-fg-a", "losses.local.replicate=[]"],
    "lg-fg-a, replicated": ["rule=lg-fg-a"],
}


def column(log, name):
    """Epochs and values of a metric, where the log has it."""
    pairs = zip(log["epoch"], log[name], strict=True)
    return np.array([(epoch, value) for epoch, value in pairs if value is not None]).T


logs = {}
for name, overrides in ARMS.items():
    run = fgspec.train(fgspec.load(SPEC, overrides), console=Console(quiet=True))["run"]
    logs[name] = fgspec.metrics(run)

# %% [markdown]
# First the quality of the estimates in block 0. The cosine is that of a single estimate with the
# exact gradient, averaged over the measurements of the run. `fg/snr` is the signal-to-noise ratio:
# `|g|²` divided by the variance. We print its inverse, the variance in units of `|g|²`, as in
# lesson 2.

# %%
FORWARD = [name for name in ARMS if "fg" in name]
variance, cosine = {}, {}
for name in FORWARD:
    _, snr = column(logs[name], "fg/snr/block0")
    epochs, cosines = column(logs[name], "fg/cosine/block0")
    variance[name], cosine[name] = np.median(1 / snr), np.mean(cosines)
    print(f"{name:27} variance {variance[name]:8.1f} |g|²   cosine {cosine[name]:.3f}")

# %%
assert variance["fg-w"] > 5 * variance["fg-a"]
assert variance["lg-fg-a, one loss a block"] > 5 * variance["lg-fg-a, replicated"]
assert cosine["lg-fg-a, replicated"] == max(cosine.values())

# %% alt="Variance of the estimate of four rules on a logarithmic axis; each step makes it smaller"
figure, axes = plt.subplots(figsize=(5.2, 2.6))
axes.barh(FORWARD[::-1], [variance[name] for name in FORWARD[::-1]], color="C0", height=0.6)
axes.set(xscale="log", xlabel="variance of the estimate / |g|²")
axes.grid(axis="y", visible=False)
plt.show()

# %% [markdown]
# Now the error on test images.

# %% alt="Test error against epochs of six rules"
figure, axes = plt.subplots(figsize=(5.2, 4))
final = {}
for name in ARMS:
    epochs, errors = column(logs[name], "test/error")
    final[name] = 100 * errors[-1]
    line = "--" if "bp" in name else "-"
    axes.plot(epochs, 100 * errors, line, label=f"{name}: {final[name]:.1f} %")
axes.set(xlabel="epoch", ylabel="test error (%)", ylim=(0, 40))
axes.legend(fontsize=10)
plt.show()

# %%
assert final["lg-fg-a, replicated"] < final["fg-w"]

# %% [markdown]
# ## What this does and does not show
#
# * The step from weights to activations is large, and costs nothing in the quality of the target:
#   the estimate is still that of the final loss.
# * Local losses change the *target*. `lg-fg-a` estimates the gradient of `lg-bp`, and can at best
#   be as good as that on average.
# * Replication does not change the target. It only takes noise away. The last two arms have the
#   same expected gradient and very different variances.
# * One seed on a small data set says little about small differences in error. The README has three
#   seeds, and MNIST.
#
# ## Exercises
#
# 1. A dense layer has 784 inputs and 1024 outputs. How many entries does `fg-w` perturb in it, and
#    how many does `fg-a` for one example?
# 2. Replicate over patches only (`losses.local.replicate=[patch]`). How many copies does each loss
#    have for one example, and where should the variance lie?
# 3. Why not use groups of a single channel, and have even more copies?
#
# ## Answers
#
# **1.** 784 x 1024 = 802,816 weights (and 1024 biases), and 1024 pre-activations.
#
# **2.** Four copies, one for each patch, instead of 4 x 8. The variance lies between those of the
# two arms above.
#
# **3.** More groups would mean less noise. But the `group` layer mixes only within a group, so
# smaller groups compute less. With a single channel in each group, this layer could only scale it.
#
# Next: [guesses from local losses](4_guesses.md).
