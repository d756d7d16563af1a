"""Prediction by goodness: one forward pass for every label (Hinton 2022)."""

import jax.numpy as jnp
from jaxtyping import Array, Float, Int, Shaped

from compiler.network.network import in_unit_interval
from compiler.plan.loops import scanned, written_out
from compiler.update.forward_passes import Trained
from fgspec.spec import goodness


class GoodnessPrediction(goodness.GoodnessPrediction):
    """The sum of goodness of every label, over all local losses but the first."""

    def outputs(self, trained: Trained, image: Shaped[Array, "n h w c"]) -> Float[Array, "n k"]:
        """The sums; passes follow one another, so memory does not grow with the classes."""
        plan, objective, pixels = trained.plan, trained.plan.preparing, in_unit_interval(image)
        _, *sites = [site for _, site in plan.units]

        def of_label(_: None, label: Int[Array, ""]) -> tuple[None, Float[Array, " n"]]:
            labels = jnp.broadcast_to(label, pixels.shape[:1])
            features = trained.features(objective.labelled(pixels, labels, plan.data))
            total = jnp.zeros(pixels.shape[:1], plan.precise)
            for site in sites:
                total += objective.goodness_of(trained.readout(site, features[site.block]))
            return None, total

        labels = jnp.arange(plan.data.classes, dtype=jnp.int32)
        return scanned(of_label, None, labels, not written_out(plan))[1].T
