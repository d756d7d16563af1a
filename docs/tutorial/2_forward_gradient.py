# %% [markdown]
# # 2. A forward gradient and its variance
#
# Lesson 1 removed backprop between blocks. This lesson removes it altogether. It computes an
# estimate of the gradient by a forward pass alone, a **forward gradient**. The estimate is right on
# average. The trouble is its variance, and you will see where that comes from.

# %%
import jax
import jax.numpy as jnp
import matplotlib.pyplot as plt
import numpy as np
from jax.flatten_util import ravel_pytree
from rich.console import Console
from sklearn.datasets import load_digits

import fgspec

# %% [markdown]
# ## One number from a forward pass
#
# Take a loss `L` of some weights `w`. Choose a direction `v`, a vector as long as `w`. Move `w` a
# little along `v`. The rate at which the loss changes is the **directional derivative** along `v`.
# It is the inner product of the gradient with the direction: `<g, v>`.
#
# It can be had without a backward pass. Beside every value of the forward pass, carry the rate at
# which this value changes. That rate is the value's **tangent**. You start with `v` as the tangent
# of the weights. The chain rule gives the tangent of each further value, layer by layer. The
# tangent of the loss is `<g, v>`. This is called forward-mode differentiation. In JAX it is
# `jax.jvp`.


# %%
def loss(w):
    return 2 * w[0] + w[1] + 0.5 * w @ w


w = jnp.zeros(2)
v = jnp.array([1.0, -1.0])
value, tangent = jax.jvp(loss, (w,), (v,))
gradient = jax.grad(loss)(w)
print("tangent of the loss:", tangent, " inner product:", gradient @ v)
assert tangent == gradient @ v

# %% [markdown]
# One directional derivative is one number. The gradient has as many numbers as there are weights.
# So we have to be content with an estimate.
#
# ## The estimate
#
# Draw the direction at random, with mean zero, variance one and independent entries. Such a random
# direction is called a **perturbation**. Then multiply it by its directional derivative:
#
# ```text
# estimate = <g, v> v
# ```
#
# If the loss rises along `v`, the estimate points along `v`, and a step against it lowers the loss.
# If the loss falls along `v`, the estimate points the other way. On average the estimate is the
# gradient, because entry `i` is the sum over `j` of `g[j] v[j] v[i]`, and `v[j] v[i]` is one on
# average for `i = j` and zero otherwise. An estimate that is right on average is called
# **unbiased**.

# %%
directions = jax.random.normal(jax.random.key(0), (2000, 2))
tangents = jax.vmap(lambda v: jax.jvp(loss, (w,), (v,))[1])(directions)
estimates = tangents[:, None] * directions
print("gradient:", gradient, " mean of 2000 estimates:", estimates.mean(0))
assert np.allclose(estimates.mean(0), gradient, atol=0.25)

# %% alt="A cloud of estimates in two dimensions, spread wide around the true gradient"
figure, axes = plt.subplots(figsize=(5.2, 4))
axes.plot(*estimates[:400].T, ".", markersize=4, alpha=0.6, label="estimates")
for point, color, label in ((gradient, "C1", "gradient"), (estimates.mean(0), "C2", "mean")):
    axes.plot(*point, "o" if label == "gradient" else "x", color=color, markersize=10, label=label)
axes.plot([0], [0], "+", color="C5")
axes.set(xlim=(-7, 12), ylim=(-6, 8), aspect="equal")
axes.set(xlabel="first entry", ylabel="second entry")
axes.legend()
plt.show()

# %% [markdown]
# The mean sits on the gradient. But single estimates are scattered far around it. No estimate
# points against the gradient: its inner product with `g` is `<g, v>²`, which is never negative. So
# each of them is a direction of descent, only mostly a poor one.
#
# ## The variance grows with the dimension
#
# Let `d` be the number of perturbed entries. The variance of all entries together can be computed:
#
# * `normal`, where every entry is a standard normal number: the variance is `(d + 1) |g|²`,
# * `rademacher`, where every entry is +1 or -1: the variance is `(d - 1) |g|²`.
#
# For signs this takes one line. The length of `v` is always `√d`. So the mean of `|estimate|² = <g,
# v>² |v|²` is `d |g|²`, and the variance is this minus `|g|²`.
#
# We check it on networks. The rule `fg-w` is backprop with the gradient of the blocks replaced by a
# forward gradient. It perturbs all weights and biases of the blocks at once (`w` is for weights).
# The classifier is a single layer next to the loss and keeps its exact gradient.

# %%
SPEC = """
fgspec: 1
name: weights
rule: fg-w
seed: 0
data:
  source: {type: digits}
  batch_size: 128
architecture:
  type: mlp
  hidden: [16]
optimizer:
  type: sgd
  learning_rate: 0.02
  momentum: 0.9
training:
  epochs: 60
  evaluate_every: {epochs: 3}
"""

pixels, labels = load_digits(return_X_y=True)
batch = {
    "image": (pixels[:128] / 16).reshape(-1, 8, 8, 1).astype("float32"),
    "label": labels[:128].astype("int32"),
}

program = fgspec.compile(fgspec.load(SPEC))
program.perturbations()

# %% [markdown]
# `program.perturbations()` lists what one update draws: an array for each weight, with a leading
# axis of samples. `program.gradient` accepts perturbations of yours in place of drawn ones. So we
# can draw many, and look at the estimates they give.


# %%
def flat(gradient):
    """The gradient of all blocks as one vector."""
    return ravel_pytree(gradient["blocks"])[0]


def quality(hidden=16, samples=1, draws=256):
    """Measure the estimate of `fg-w` at one state, on one batch.

    Returns the number of perturbed entries, the variance of the estimate divided by |g|², and
    the mean cosine of the estimate with the exact gradient g.
    """
    network = f"architecture.hidden=[{hidden}]"
    exact = fgspec.compile(fgspec.load(SPEC, [network, "rule=bp"]))
    averaged = f"gradient.perturbation.samples={samples}"
    program = fgspec.compile(fgspec.load(SPEC, [network, averaged]))
    state = exact.init(0)
    for _ in range(20):
        state, _ = exact.update(state, batch)
    g = flat(exact.gradient(state, batch)[0])
    shapes = program.perturbations()

    def estimate(key):
        keys = jax.random.split(key, len(shapes))
        noise = {
            name: jax.random.rademacher(k, shape.shape, "float32")
            for k, (name, shape) in zip(keys, shapes.items(), strict=True)
        }
        return flat(program.gradient(state, batch, noise)[0])

    many = jax.lax.map(estimate, jax.random.split(jax.random.key(1), draws), batch_size=16)
    variance = ((many - many.mean(0)) ** 2).sum() / (draws - 1) / (g @ g)
    cosine = many @ g / jnp.linalg.norm(many, axis=1) / jnp.linalg.norm(g)
    return len(g), float(variance), float(cosine.mean())


# %%
widths = (4, 16, 64, 256)
measured = np.array([quality(hidden=width) for width in widths])
dimensions, variances, cosines = measured.T
for d, variance, cosine in measured:
    print(f"{d:6.0f} entries: variance {variance:8.0f} |g|², mean cosine {cosine:.3f}")

# %% [markdown]
# The variance follows the law. The cosine of an estimate with the gradient falls like `1 / √d`.

# %% alt="Variance and cosine against the number of perturbed entries, on logarithmic axes"
figure, (left, right) = plt.subplots(1, 2, figsize=(5.6, 3))
left.loglog(dimensions, dimensions - 1, color="C5", label="d - 1")
left.loglog(dimensions, variances, "o", label="measured")
left.set(xlabel="perturbed entries d", ylabel="variance / |g|²")
left.legend()
right.loglog(dimensions, np.sqrt(2 / np.pi / dimensions), color="C5", label="√(2 / πd)")
right.loglog(dimensions, cosines, "o", label="measured")
right.set(xlabel="perturbed entries d", ylabel="mean cosine")
right.legend()
plt.show()

# %%
assert np.all(np.diff(variances) > 0)
assert np.allclose(variances, dimensions - 1, rtol=0.35)

# %% [markdown]
# A network of a million weights has a variance of a million times `|g|²`. To take useful steps with
# such an estimate, the learning rate must be very small.
#
# ## More samples
#
# Draw `K` perturbations and average their estimates. The variance falls to one `K`-th. The field is
# `gradient.perturbation.samples`.

# %%
samples = np.array([1, 4, 16, 64])
measured = np.array([quality(samples=k, draws=64) for k in samples])
_, variances, cosines = measured.T

# %% alt="Variance falls as one over the number of samples; the cosine rises slowly"
figure, (left, right) = plt.subplots(1, 2, figsize=(5.6, 3))
d = measured[0, 0]
left.loglog(samples, (d - 1) / samples, color="C5", label="(d - 1) / K")
left.loglog(samples, variances, "o", label="measured")
left.set(xlabel="samples K", ylabel="variance / |g|²")
left.legend()
right.semilogx(samples, cosines, "o-")
right.set(xlabel="samples K", ylabel="mean cosine", ylim=(0, 1))
plt.show()

# %%
assert np.all(np.diff(variances) < 0)
assert np.allclose(variances, (d - 1) / samples, rtol=0.35)

# %% [markdown]
# Each sample costs about as much as a forward pass. For an estimate whose variance is `|g|²`, this
# small network would need about `d` = 1040 samples. Averaging alone is no way to train a large
# network.
#
# ## What it means for training


# %%
def train(overrides):
    """Train; return the epochs and the test errors (per cent)."""
    run = fgspec.train(fgspec.load(SPEC, overrides), console=Console(quiet=True))["run"]
    log = fgspec.metrics(run)
    pairs = zip(log["epoch"], log["test/error"], strict=True)
    return zip(*[(epoch, 100 * error) for epoch, error in pairs if error is not None], strict=True)


# %% alt="Test error against epochs: backprop, then sixteen samples, and one sample far behind"
arms = {
    "bp": ["rule=bp"],
    "16 samples": ["gradient.perturbation.samples=16"],
    "1 sample": [],
    "1 sample, smaller rate": ["optimizer.learning_rate=0.005"],
}
figure, axes = plt.subplots()
errors = {}
for name, overrides in arms.items():
    epochs, errors[name] = train(overrides)
    axes.plot(epochs, errors[name], label=f"{name}: {errors[name][-1]:.1f} %")
axes.set(xlabel="epoch", ylabel="test error (%)", ylim=(0, 50))
axes.legend()
plt.show()

# %%
last = {name: np.mean(curve[-5:]) for name, curve in errors.items()}
print(", ".join(f"{name}: {error:.1f} %" for name, error in last.items()))
assert max(last["bp"], last["16 samples"]) < last["1 sample, smaller rate"] < last["1 sample"]

# %% [markdown]
# These are the means of the last five evaluations. At the same learning rate as backprop, one
# sample does not get beyond its own noise. With a quarter of the rate it begins more slowly and
# ends lower, but still behind. And this network has only 1040 entries to perturb.
#
# There are three ways out, and the next two lessons take them:
#
# * perturb fewer things (activations instead of weights),
# * let every loss answer for few of them (many local losses),
# * do not draw the direction blindly (guess it from a local loss).
#
# ## Exercises
#
# 1. Show that `<g, v> v` never points against `g`. When is it orthogonal to `g`?
# 2. In one dimension, `d = 1`, the variance with signs is zero. Why?
# 3. What is the variance with `normal` perturbations at 16 hidden units?
#
# ## Answers
#
# **1.** The inner product of the estimate with `g` is `<g, v>²`. It is zero only if `v` is
# orthogonal to `g`. Then the whole estimate is zero.
#
# **2.** Then `v` is +1 or -1, and `<g, v> v = g v² = g`. The estimate is exact.
#
# **3.** `(d + 1) |g|²` with `d` = 64 x 16 weights + 16 biases = 1040, so 1041 `|g|²`. Normal
# numbers are slightly worse than signs, because their length varies from draw to draw.
#
# Next: [from weights to activations to many local losses](3_many_local_losses.md).
