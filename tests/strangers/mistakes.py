"""A planted mistake for each class of the packages beside this file; see test_strangers.py."""

from dataclasses import replace
from typing import ClassVar

import jax
import jax.numpy as jnp
import optax
import vit
from attention import Attention
from drtp import Drtp, DrtpRule
from lion import Lion
from moons import Moons
from my_csv import MyCsv
from my_tanh import MyTanh
from squared_error import SquaredError

import fgspec


class Summed(SquaredError):
    """One number instead of one a row."""

    def value(self, outputs, targets, others=None):
        return super().value(outputs, targets).sum()


class Divided(SquaredError):
    """Divided by the batch, as if nobody averaged over it."""

    def value(self, outputs, targets, others=None):
        return super().value(outputs, targets) / len(outputs)


class Silent(Drtp):
    """Backward weights that begin at zero, and stay there."""

    def backward_weights(self, plan):
        leaf = {"is_leaf": lambda spec: isinstance(spec, fgspec.ParamSpec)}
        every = plan.to_every_layer()
        return jax.tree.map(lambda spec: replace(spec, role="average"), every, **leaf)


class Local(DrtpRule):
    """Aims at local losses that it does not have."""

    settings: ClassVar = {
        **DrtpRule.settings,
        "gradient": {**DrtpRule.settings["gradient"], "target": "local"},
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
