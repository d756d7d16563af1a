"""Predictions: which outputs of a trained network are its answer."""

from functools import reduce

import jax.numpy as jnp
from jaxtyping import Array, Float, Shaped

from compiler.update.forward_passes import Trained
from fgspec.spec import predictions


class ClassifierPrediction(predictions.ClassifierPrediction):
    """The outputs of the classifier."""

    def outputs(self, trained: Trained, image: Shaped[Array, "n h w c"]) -> Float[Array, "n k"]:
        """The outputs of the classifier."""
        return trained.classifier(trained.output(image))


class SumPrediction(predictions.SumPrediction):
    """The sum of the outputs of all readouts that some block learns from."""

    def outputs(self, trained: Trained, image: Shaped[Array, "n h w c"]) -> Float[Array, "n k"]:
        """The sum over the sites of losses."""
        features = trained.features(image)
        sites = [site for _, site in trained.plan.units]
        return reduce(jnp.add, [trained.readout(site, features[site.block]) for site in sites])
