"""A planted mistake for each class of the packages beside this file; see test_strangers.py."""

from dataclasses import replace
from typing import ClassVar, Literal

import jax
import jax.numpy as jnp
import optax
import vit
from attention import Attention
from hinge import Hinge
from lion import Lion
from moons import Moons
from my_csv import MyCsv
from my_tanh import MyTanh
from sdfa import Sdfa, SdfaRule

import fgspec


class Summed(Hinge):
    """One number instead of one a row."""

    def value(self, outputs, targets, others=None):
        return super().value(outputs, targets).sum()


class Divided(Hinge):
    """Divided by the batch, as if nobody averaged over it."""

    def value(self, outputs, targets, others=None):
        return super().value(outputs, targets) / len(outputs)


class Swapped(Hinge):
    """Calls the error accuracy, and the accuracy error."""

    def metrics(self, outputs, targets):
        given = super().metrics(outputs, targets)
        return {"error": given["accuracy"], "accuracy": given["error"]}


class Least(Hinge):
    """Answers with the least likely class."""

    def predict(self, outputs):
        return outputs.argmin(-1)

    def metrics(self, outputs, targets):
        right = super().predict(outputs) == targets
        return {"error": ~right, "accuracy": right}


class Shameless(Hinge):
    """Has no metrics."""

    metrics = fgspec.Objective.metrics


class Backward(Sdfa):
    """Sends the error with the wrong sign."""

    def gradient(self, plan, segment, params, x, context):
        estimate = super().gradient(plan, segment, params, x, context)
        return estimate._replace(grads=jax.tree.map(jnp.negative, estimate.grads))


class Silent(Sdfa):
    """Backward weights that begin at zero, and stay there."""

    def backward_weights(self, plan):
        leaf = {"is_leaf": lambda spec: isinstance(spec, fgspec.ParamSpec)}
        every = plan.to_every_layer()
        return jax.tree.map(lambda spec: replace(spec, role="average"), every, **leaf)


class Local(SdfaRule):
    """Aims at local losses that it does not have."""

    settings: ClassVar = {
        **SdfaRule.settings,
        "gradient": {**SdfaRule.settings["gradient"], "target": "local"},
    }


class Straight(MyTanh):
    """Its derivative is one everywhere."""

    def apply(self, z):
        return super().apply(z)[0], jnp.ones_like(z)


class Inward(Attention):
    """Attends among the channels of a position."""

    def apply(self, params, x, start):
        flat = x.reshape(*x.shape[:2], start.width)
        q, k, v = (flat @ params[name] for name in ("wq", "wk", "wv"))
        weight = jax.nn.softmax(q[..., None] * k[:, :, None])
        return jnp.einsum("npdc,npc,dge->npge", weight, v, params["wo"])


class Undeclared(Attention):
    """Does not say that it mixes positions."""

    def mixes(self, start):
        return frozenset({"group", "channel"})


class Unbent(Attention):
    """Says that it is linear."""

    linear: ClassVar[bool] = True


class _Undeclared(vit._Attention):
    def mixes(self, start):
        return frozenset()


class Quiet(vit.Vit):
    """Its attention says that it mixes nothing."""

    def network(self, image, outputs):
        def quiet(layer):
            mute = _Undeclared(heads=self.heads)
            return replace(layer, kind=mute) if layer.name == "attention" else layer

        made = super().network(image, outputs)
        blocks = (replace(b, layers=tuple(map(quiet, b.layers))) for b in made.blocks)
        return replace(made, blocks=tuple(blocks))


class Linear(vit.Vit):
    """Does not say that feedback alignment has nothing to send errors through."""

    def nonlinear(self):
        return None


class Grouped(vit.Vit):
    """Says that its features have groups."""

    loss_axes: ClassVar = ("patch", "group")


class Sided(vit.Vit):
    """Takes the patches of a side for all patches."""

    def axis_sizes(self, axis):
        if axis == "patch":
            yield ("architecture", "patches"), self.patches


class Undecayed(Lion):
    """Forgets weight decay."""

    def before_rate(self, decay, weights):
        return super().before_rate(decay, weights)[:1]


class Rated(Lion):
    """Multiplies by the learning rate, which fgspec does after it."""

    def before_rate(self, decay, weights):
        return [*super().before_rate(decay, weights), optax.scale(self.learning_rate)]


class Uphill(Lion):
    """Has the minus sign that fgspec adds."""

    def before_rate(self, decay, weights):
        return [*super().before_rate(decay, weights), optax.scale(-1)]


class Darker(Moons):
    """Describes another mean than it reads."""

    def describe(self, search=None):
        return replace(super().describe(), mean=(0.5,))


class Fewer(Moons):
    """Describes fewer images than it reads."""

    def describe(self, search=None):
        return replace(super().describe(), train_examples=self.examples - 1)


class Dropping(MyCsv):
    """Drops a line."""

    def log(self, step, metrics):
        if step != 2:
            super().log(step, metrics)


class Forgetful(MyCsv):
    """Begins a new file when a run is resumed."""

    def open(self, run_folder, values):
        (run_folder / self.file).unlink(missing_ok=True)
        super().open(run_folder, values)


class Closed(MyCsv):
    """Has no open()."""

    open = fgspec.Tracker.open


class Wide(fgspec.Initialization):
    """Says half the deviation that its weights have."""

    type: Literal["wide"] = "wide"

    def deviation(self, fan_in):
        return 0.05

    def weight(self, key, shape, fan_in):
        return 0.1 * jax.random.normal(key, shape)


class Positive(Wide):
    """Draws weights that are never negative."""

    def weight(self, key, shape, fan_in):
        return jnp.abs(super().weight(key, shape, fan_in))


class Blunt(fgspec.Normalization):
    """Divides by a norm that no derivative sees."""

    type: Literal["blunt"] = "blunt"
    over: ClassVar = ("group", "channel")

    def apply(self, x, axes, epsilon, moments=None):
        scale = jax.lax.rsqrt(jnp.square(x).mean(axes, keepdims=True) + epsilon)
        return x * jax.lax.stop_gradient(scale)
