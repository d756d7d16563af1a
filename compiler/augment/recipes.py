"""The augmentations: which changes each of them makes, and with which probabilities."""

from typing import Any

import jax
import jax.numpy as jnp
from jaxtyping import Array, Bool, Float, Int

from compiler.augment import colour, geometry
from compiler.named_arrays.random_streams import KeyData, address
from fgspec.spec import augmentations
from fgspec.spec.augmentations import Augmentation, Draw
from fgspec.spec.kinds import working

PROPOSALS = 10
"""The number of boxes proposed for a crop; the first that fits is used, else the whole image.

It is fixed, because a compiled loop over a batch cannot end at another turn for each image.
"""

ASPECT = (3 / 4, 4 / 3)
JITTER = 0.8
BRIGHTNESS, CONTRAST, SATURATION, HUE = 0.4, 0.4, 0.2, 0.1
GREYSCALE = 0.2
BLUR = (1.0, 0.1)
SIGMA = (0.1, 2.0)
SOLARIZE = (0.0, 0.2)
"""The settings of BYOL (Grill et al. 2020, appendix B); pairs are probabilities by view."""


def _between(u: Float[Array, "..."], low: float, high: float) -> Float[Array, "..."]:
    return low + u * (high - low)


def _where(
    chosen: Bool[Array, " n"], x: Float[Array, "n h w c"], y: Float[Array, "n h w c"]
) -> Float[Array, "n h w c"]:
    return jnp.where(chosen.reshape(-1, 1, 1, 1), x, y)


class NoAugment(augmentations.NoAugment):
    """No augmentation."""

    def apply(self, images: Float[Array, "n h w c"], draw: Draw, view: int) -> Any:
        """The images, unchanged."""
        return images


def _flipped(wanted: bool, x: Float[Array, "n h w c"], draw: Draw) -> Float[Array, "n h w c"]:
    return geometry.flip(x, draw("flip", ()) < 0.5) if wanted else x


class CropFlip(augmentations.CropFlip):
    """Random crops of padded images, and random flips."""

    def apply(self, images: Float[Array, "n h w c"], draw: Draw, view: int) -> Any:
        """Cropped and flipped images; all views have the same settings."""
        corner = jnp.floor(draw("corner", (2,)) * (2 * self.padding + 1)).astype(jnp.int32)
        return _flipped(self.flip, geometry.shift(images, self.padding, corner), draw)


def _box(
    shape: tuple[int, int], crop_area: float, draw: Draw
) -> tuple[Float[Array, "n 2"], Float[Array, "n 2"]]:
    """The corner and size, in whole pixels, of a box with random area and aspect ratio."""
    image_size = jnp.asarray(shape, jnp.float32)[None]
    u = draw("box", (PROPOSALS, 2))
    area = _between(u[..., 0], crop_area, 1.0) * (shape[0] * shape[1])
    aspect = _between(u[..., 1], *ASPECT)
    proposed = jnp.round(jnp.sqrt(jnp.stack([area / aspect, area * aspect], -1)))
    fits = (proposed <= image_size[None]).all(-1)
    first = jnp.take_along_axis(proposed, fits.argmax(-1)[:, None, None], 1)[:, 0]
    size = jnp.where(fits.any(-1, keepdims=True), jnp.maximum(first, 1), image_size)
    return jnp.floor(draw("corner", (2,)) * (image_size - size + 1)), size


def _jittered(x: Float[Array, "n h w c"], draw: Draw) -> Float[Array, "n h w c"]:
    """Change brightness, contrast, saturation and hue in random order, and clip after each.

    Hue and saturation are defined for values in [0, 1] only.
    """
    order = jnp.argsort(draw("jitter/order", (4,)), -1)
    strength = _between(draw("jitter/strength", (4,)), -1.0, 1.0)
    changed = x
    for turn in range(4):
        chosen = order[:, turn]
        hue = jnp.where(chosen == 3, HUE * strength[:, 3], 0)
        saturation = jnp.where(chosen == 2, 1 + SATURATION * strength[:, 2], 1)
        brighter = colour.brighten(changed, BRIGHTNESS * strength[:, 0])
        contrast = colour.scale_contrast(changed, 1 + CONTRAST * strength[:, 1])
        tinted = colour.change_hue_and_saturation(changed, hue, saturation)
        tinted = _where(chosen == 1, contrast, tinted)
        changed = jnp.clip(_where(chosen == 0, brighter, tinted), 0, 1)
    return _where(draw("jitter/chosen", ()) < JITTER, changed, x)


class Byol(augmentations.Byol):
    """The augmentation of BYOL (Grill et al. 2020)."""

    def apply(self, images: Float[Array, "n h w c"], draw: Draw, view: int) -> Any:
        """Augmented images; the probabilities of blur and solarization depend on the view."""
        corner, size = _box((images.shape[1], images.shape[2]), self.crop_area, draw)
        x = jnp.clip(geometry.resized_crop(images, corner, size), 0, 1)
        x = _jittered(_flipped(self.flip, x, draw), draw)
        x = _where(draw("greyscale", ()) < GREYSCALE, colour.greyscale(x), x)
        blurred = geometry.blur(x, x.shape[1] // 20, _between(draw("blur/sigma", ()), *SIGMA))
        x = _where(draw("blur/chosen", ()) < BLUR[view], blurred, x)
        return _where(draw("solarize", ()) < SOLARIZE[view], colour.solarize(x), x)


def draws(key: KeyData, prefix: str, step: Int[Array, ""] | int, index: Int[Array, " n"]) -> Draw:
    """Uniform numbers by name, for every image by its index in the whole batch.

    So they do not depend on how the batch is split over devices, or on other draws.

    Args:
        key: the raw random key of the run.
        prefix: what the names of the streams begin with.
        step: the number of updates done so far.
        index: of every image.
    """

    def draw(name: str, shape: tuple[int, ...]) -> Float[Array, "n ..."]:
        stream = address(key, f"{prefix}/{name}", step)
        keys = jax.vmap(lambda example: jax.random.fold_in(stream, example))(index)
        return jax.vmap(lambda stream: jax.random.uniform(stream, shape, jnp.float32))(keys)

    return draw


def augmented(
    spec: Augmentation,
    views: int,
    images: Float[Array, "n h w c"],
    key: KeyData,
    step: Int[Array, ""] | int,
    first: Int[Array, ""] | int = 0,
) -> Float[Array, "m h w c"]:
    """Augmented views of images: view v of example i is row v n + i.

    Every random choice is a function of the run, the step, the view, its own name and the index of
    the example in the whole batch. So it does not depend on how the batch is split over devices, or
    on other choices.

    Args:
        spec: the section `data.augment`.
        views: the number of views, 1 or 2.
        images: images with values in [0, 1].
        key: the raw random key of the run.
        step: the number of updates done so far.
        first: the index of the first image in the whole batch.
    """
    index = first + jnp.arange(images.shape[0], dtype=jnp.int32)
    change = working(spec).apply
    return jnp.concatenate(
        [
            change(images, draws(key, f"augment/view{view}", step, index), view)
            for view in range(views)
        ]
    )
