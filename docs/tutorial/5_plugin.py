# %% [markdown]
# # 5. Your own network, loss and data
#
# Until now every spec named things that fgspec brings with it. Each of them is one class. Yours can
# live in a package of your own: one class for each thing, and one line that registers it. fgspec's
# own classes are registered in the same way, so yours can do all that they can.
#
# In this lesson you write a package with a data source, a network and a loss. You test it with the
# laws that fgspec's own methods are tested with, and train it with a rule from lesson 3.

# %%
import os
import sys
from pathlib import Path

package = Path("fgspec-bars")
package.mkdir(exist_ok=True)

# %% [markdown]
# ## The data
#
# A **source** is a class with two methods. `describe` says what the data are: the shape of an
# image, the number of classes and examples, and the mean and the deviation of the pixels. `read`
# returns the images and labels. Images are `[count, height, width, colours]`, either bytes or
# float32 from 0 to 1.
#
# The fields of the class are what a spec can set. `type` is the name by which a spec selects it.

# %%
DATA = '''
class Bars(fgspec.Source):
    """Which way a bright bar lies: in one of four directions."""

    type: Literal["bars"] = "bars"
    examples: int = fgspec.Field(default=1000, ge=10, description="For training; test has a fifth.")
    noise: float = fgspec.Field(default=0.3, ge=0, description="Deviation of the noise on pixels.")

    def _drawn(self, count, seed):
        rng = np.random.default_rng(seed)
        labels = rng.integers(0, 4, count).astype(np.int32)
        rows, columns = np.mgrid[-3.5:4, -3.5:4]  # the centres of 8 by 8 pixels
        angle = labels[:, None, None] * np.pi / 4
        offset = rng.uniform(-2, 2, (count, 1, 1))
        distance = np.cos(angle) * rows + np.sin(angle) * columns + offset
        images = np.exp(-(distance**2)) + rng.normal(0, self.noise, distance.shape)
        return images.clip(0, 1)[..., None].astype(np.float32), labels

    def describe(self, search=None):
        images, _ = self._drawn(self.examples, seed=0)
        return fgspec.DatasetInfo(
            name="bars",
            image_shape=(8, 8, 1),
            classes=4,
            train_examples=self.examples,
            test_examples=self.examples // 5,
            mean=(float(images.mean()),),
            std=(float(images.std()),),
            pixels="float32",
        )

    def read(self, search=None):
        test = self._drawn(self.examples // 5, seed=1)
        return fgspec.Dataset(*self._drawn(self.examples, seed=0), *test)
'''

# %% [markdown]
# ## The network
#
# An **architecture** returns a network: a list of blocks, each a list of layers. A layer has a map
# (here `dense`), the shape of its input, and what is added to its output. Ours begins with an
# embedding of the pixels. Each further block has two layers, and its input is added to its output
# (a residual connection).

# %%
NETWORK = '''
class Residual(fgspec.Architecture):
    """An embedding, then blocks of two dense layers, each with a residual connection."""

    type: Literal["residual"] = "residual"
    blocks: int = fgspec.Field(default=2, ge=1, description="After the embedding.")
    width: int = fgspec.Field(default=32, ge=1, description="Units of every layer.")
    initialization: fgspec.AnyInitialization = fgspec.Field(
        default=fgspec.Initialization.of("kaiming"), description="Of the weights."
    )

    def block_count(self):
        return self.blocks + 1, ("architecture", "blocks")

    def network(self, image, outputs):
        dense = fgspec.Layer.of("dense", channels=self.width)
        pixels, features = fgspec.flat(image[0] * image[1] * image[2]), fgspec.flat(self.width)
        embedding = (fgspec.PlannedLayer("embed", dense, pixels),)
        residual = (
            fgspec.PlannedLayer("hidden", dense, features),
            fgspec.PlannedLayer("out", dense, features, adds=("input",)),
        )
        later = (fgspec.Block(f"block{i + 1}", residual) for i in range(self.blocks))
        return fgspec.Network(
            blocks=(fgspec.Block("embed", embedding), *later),
            head_norm=None,
            auxiliary_norm=None,
            classifier=fgspec.Readout((fgspec.full("linear", features, outputs),)),
            initialization=self.initialization,
        )
'''

# %% [markdown]
# ## The loss
#
# An **objective** is the loss of every site: of the classifier, and of all local heads. `value`
# returns one number for each row. `predict` turns outputs into the answer. `metrics` says how good
# the answer is. `scale` is the loss of a model that knows nothing; training stops with an error
# when the loss is far beyond it.
#
# Ours is the squared hinge loss. It is zero once the right class leads each other class by a
# margin.

# %%
LOSS = '''
class SquaredHinge(fgspec.Objective):
    """The squared amount by which the right class does not lead the others by a margin."""

    type: Literal["squared_hinge"] = "squared_hinge"
    margin: float = fgspec.Field(default=1.0, gt=0, description="By which the right class leads.")

    def value(self, outputs, targets, others=None):
        right = jnp.take_along_axis(outputs, targets[:, None], axis=1)
        missing = jnp.maximum(0.0, self.margin + outputs - right)
        return jnp.square(missing).sum(-1) - self.margin**2  # without the right class itself

    def predict(self, outputs):
        return outputs.argmax(-1)

    def metrics(self, outputs, targets):
        right = self.predict(outputs) == targets
        return {"error": ~right, "accuracy": right}

    def scale(self, data):
        return self.margin**2 * (data.classes - 1)
'''

# %% [markdown]
# ## The package
#
# The three classes go into one file. `pyproject.toml` registers them. The group is the table that a
# class belongs to, and the name is its `type`.

# %%
IMPORTS = '''"""Pictures of bars, a residual network and a squared hinge loss, for fgspec."""

from typing import Literal

import jax.numpy as jnp
import numpy as np

import fgspec

'''

PROJECT = """
[build-system]
requires = ["hatchling"]
build-backend = "hatchling.build"

[project]
name = "fgspec-bars"
version = "0.1"
dependencies = ["fgspec"]

[project.entry-points."fgspec.sources"]
bars = "bars:Bars"

[project.entry-points."fgspec.architectures"]
residual = "bars:Residual"

[project.entry-points."fgspec.objectives"]
squared_hinge = "bars:SquaredHinge"

[tool.hatch.build.targets.wheel]
include = ["bars.py"]
"""

(package / "bars.py").write_text("\n".join([IMPORTS, DATA, NETWORK, LOSS]))
_ = (package / "pyproject.toml").write_text(PROJECT)

# %% [markdown]
# In your own environment you would now type `pip install -e fgspec-bars`. This page installs it
# into a folder, so that nothing of it stays behind.

# %% language="bash"
# python -m pip install -q --no-deps --no-build-isolation --target installed ./fgspec-bars

# %%
sys.path.insert(0, "installed")
os.environ["PYTHONPATH"] = "installed"

# %% [markdown]
# From here on the three names belong to the language. `fgspec check` knows them and their fields.

# %%
SPEC = """
fgspec: 1
name: bars
rule: lg-fg-a
seed: 0
data:
  source: {type: bars, noise: 0.4}
  batch_size: 100
architecture: {type: residual, widht: 48}
losses:
  objective: squared_hinge
optimizer: {type: sgd, learning_rate: 0.001, momentum: 0.9}
training:
  epochs: 20
  evaluate_every: {epochs: 5}
"""
_ = Path("bars.yaml").write_text(SPEC)

# %% language="bash"
# fgspec check bars.yaml 2>&1 || echo "exit code $?"

# %% [markdown]
# It found a typo. We mend it.

# %%
SPEC = SPEC.replace("widht", "width")
_ = Path("bars.yaml").write_text(SPEC)

# %% language="bash"
# fgspec check bars.yaml

# %% [markdown]
# ## Test it by the laws
#
# `fgspec.testing` has a check for every kind of class. A check fails with a sentence that says what
# is wrong. These three pass silently.

# %%
from bars import Bars, Residual, SquaredHinge

from fgspec.testing import check_architecture, check_objective, check_source

check_source(Bars, Path("checked"))
check_architecture(Residual)
check_objective(SquaredHinge)

# %% [markdown]
# What do they find? Suppose that we had divided the loss by the size of the batch, as one does when
# a loss returns a single number.


# %%
class Divided(SquaredHinge):
    """The squared hinge loss, divided by the number of rows: a mistake."""

    def value(self, outputs, targets, others=None):
        return super().value(outputs, targets, others) / len(outputs)


try:
    check_objective(Divided)
except AssertionError as mistake:
    print(mistake)
else:
    raise AssertionError("the law did not find the mistake")

# %% [markdown]
# ## Train it
#
# Rules work on your classes as on fgspec's own. The two rules below train the same network with
# your loss. The classifier and all local heads use it.

# %%
import matplotlib.pyplot as plt
import numpy as np
from rich.console import Console

import fgspec

runs = {}
for rule in ("bp", "lg-fg-a"):
    spec = fgspec.load(SPEC, [f"rule={rule}"])
    summary = fgspec.train(spec, console=Console(quiet=True))
    runs[rule] = summary["run"]
    print(f"{rule:8} test error {100 * summary['metrics']['test/error']:.1f} %")

# %% [markdown]
# `fgspec.restore` returns the trained model of a run. It takes images without labels.

# %% alt="Eight noisy images of bars, each with the direction that the model predicts"
NAMES = ("flat", "rising", "upright", "falling")
images, labels = Bars(noise=0.4)._drawn(8, seed=2)
model = fgspec.restore(runs["lg-fg-a"])
predicted = model.predict(images)

figure, axes = plt.subplots(2, 4, figsize=(5.2, 3))
for axis, image, label in zip(axes.flat, images, predicted, strict=True):
    axis.imshow(image[..., 0], cmap="gray", vmin=0, vmax=1)
    axis.set_title(NAMES[label])
    axis.axis("off")
plt.show()

# %%
images, labels = Bars(noise=0.4)._drawn(1000, seed=3)
error = float(np.mean(model.predict(images) != labels))
print(f"error on 1000 new images: {100 * error:.1f} %")
assert error < 0.2

# %% [markdown]
# A run remembers which packages and versions its spec needs. They are part of the spec's hash. If a
# package is gone when the run is resumed, the message says which one to install.
#
# ## Exercises
#
# 1. Give `Bars` a field `directions`, for more than four directions. What else has to change?
# 2. `_drawn` uses a fixed seed. What would be wrong with `np.random.default_rng()`?
#
# ## Answers
#
# **1.** `directions: int = fgspec.Field(default=4, ge=2, description="...")`. Then draw labels from
# 0 to `self.directions - 1`, take `labels * np.pi / self.directions` as the angle, and describe
# `classes=self.directions`. The network and the loss take the number of classes from the data.
#
# **2.** Every call of `read` would give other data. A resumed run would go on with images that it
# has never seen, and `describe` would state the mean of yet another set. `check_source` reads twice
# and finds this.
#
# ## Where to go next
#
# * [Adding a method](../extending.md) lists every kind of class with the methods it needs: layers,
#   guesses, estimators, optimizers and more. It also adds a whole learning rule.
# * [A Flax network of your own](../flax.md) trains a network that you have in Flax NNX.
# * [Data](../data.md) says how to use image files, or arrays in an `npz` file, without a class.
