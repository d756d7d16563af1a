"""Changes of geometry, for images [n, h, w, c] and random numbers per example."""

import jax
import jax.numpy as jnp
from jax import lax
from jaxtyping import Array, Bool, Float, Int

from compiler.augment.colour import each


def flip(x: Float[Array, "n h w c"], chosen: Bool[Array, " n"]) -> Float[Array, "n h w c"]:
    """Mirror the chosen images left to right."""
    return jnp.where(chosen.reshape(-1, 1, 1, 1), x[:, :, ::-1], x)


def shift(
    x: Float[Array, "n h w c"], padding: int, corner: Int[Array, "n 2"]
) -> Float[Array, "n h w c"]:
    """Pad with black on all sides and crop to the old size.

    Args:
        x: images.
        padding: the number of pixels on each side.
        corner: top and left of the crop in the padded image, from 0 to twice the padding.
    """
    wide = jnp.pad(x, ((0, 0), (padding, padding), (padding, padding), (0, 0)))

    def crop(image: Float[Array, "a b c"], at: Int[Array, "2"]) -> Float[Array, "h w c"]:
        return lax.dynamic_slice(image, (*at, jnp.zeros_like(at[0])), x.shape[1:])

    return jax.vmap(crop)(wide, corner)


def resized_crop(
    x: Float[Array, "n h w c"], corner: Float[Array, "n 2"], size: Float[Array, "n 2"]
) -> Float[Array, "n h w c"]:
    """Cut a box out of each image and resize it to the old size, by bicubic interpolation.

    Args:
        x: images.
        corner: top and left of the box, whole pixels.
        size: height and width of the box, whole pixels, at most the image's.
    """
    down = _cubic_weights(x.shape[1], corner[:, 0], size[:, 0])
    across = _cubic_weights(x.shape[2], corner[:, 1], size[:, 1])
    return jnp.einsum("nyh,nhwc,nxw->nyxc", down, x, across)


def _cubic_weights(
    length: int, start: Float[Array, " n"], size: Float[Array, " n"]
) -> Float[Array, "n y h"]:
    """The weight of each old pixel in each new one, along one axis: Keys' kernel (1981), a = -1/2.

    Pixels outside of the box have weight 0, as if the box was cut out first. The weights of a new
    pixel sum to 1.
    """
    pixels = jnp.arange(length, dtype=jnp.float32)
    start, size = start[:, None, None], size[:, None, None]
    centre = start + (pixels[None, :, None] + 0.5) * size / length - 0.5
    old = pixels[None, None]
    away = jnp.abs(centre - old)
    near = (1.5 * away - 2.5) * away * away + 1
    far = ((2.5 - 0.5 * away) * away - 4) * away + 2
    kernel = jnp.where(away < 1, near, jnp.where(away < 2, far, 0))
    kernel = jnp.where((old >= start) & (old < start + size), kernel, 0)
    return kernel / kernel.sum(-1, keepdims=True)


def blur(
    x: Float[Array, "n h w c"], radius: int, sigma: Float[Array, " n"]
) -> Float[Array, "n h w c"]:
    """Average over a square with Gaussian weights; outside of the image all is black.

    Args:
        x: images.
        radius: the number of pixels from the middle of the square to its sides.
        sigma: the standard deviation in pixels.
    """
    offsets = jnp.arange(-radius, radius + 1, dtype=jnp.float32)[None]
    weights = jnp.exp(-jnp.square(offsets) / (2 * jnp.square(sigma)[:, None]))
    weights = weights / weights.sum(-1, keepdims=True)
    for axis in (1, 2):
        sides = [(radius, radius) if a == axis else (0, 0) for a in range(4)]
        wide, length = jnp.pad(x, sides), x.shape[axis]
        shifted = [
            lax.slice_in_dim(wide, k, k + length, axis=axis) * each(weights[:, k])
            for k in range(2 * radius + 1)
        ]
        x = sum(shifted[1:], shifted[0])
    return x
