"""Changes of colour, for images [n, h, w, c] in [0, 1] and one number per example.

Hue, saturation and greyscale change only images of three colours; others stay as they are. Results
are not clipped to [0, 1].
"""

import jax.numpy as jnp
from jaxtyping import Array, Float

LUMA = (0.2989, 0.5870, 0.1140)
"""The weights of red, green and blue in the luma (ITU-R BT.601)."""


def each(values: Float[Array, " n"]) -> Float[Array, "n 1 1 1"]:
    """One number per example, shaped to broadcast over images."""
    return values.reshape(-1, 1, 1, 1)


def brighten(x: Float[Array, "n h w c"], by: Float[Array, " n"]) -> Float[Array, "n h w c"]:
    """Add a constant to every pixel."""
    return x + each(by)


def scale_contrast(
    x: Float[Array, "n h w c"], factor: Float[Array, " n"]
) -> Float[Array, "n h w c"]:
    """Scale the difference of every pixel to its colour's mean over the image."""
    mean = x.mean((1, 2), keepdims=True)
    return (x - mean) * each(factor) + mean


def hsv_of_rgb(x: Float[Array, "n h w 3"]) -> Float[Array, "n h w 3"]:
    """RGB in [0, 1] -> hue, saturation and value in [0, 1]; the hue of a grey is 0."""
    red, green, blue = x[..., 0], x[..., 1], x[..., 2]
    value = x.max(-1)
    spread = value - x.min(-1)
    over = jnp.where(spread > 0, spread, 1)
    sector = jnp.where(value == green, (blue - red) / over + 2, (red - green) / over + 4)
    sector = jnp.where(value == red, (green - blue) / over, sector)
    saturation = jnp.where(value > 0, spread / jnp.where(value > 0, value, 1), 0)
    return jnp.stack([jnp.mod(sector / 6, 1), saturation, value], -1)


def rgb_of_hsv(x: Float[Array, "n h w 3"]) -> Float[Array, "n h w 3"]:
    """The inverse of `hsv_of_rgb`."""
    hue, saturation, value = x[..., 0], x[..., 1], x[..., 2]

    def colour(offset: int) -> Float[Array, "n h w"]:
        angle = jnp.mod(offset + 6 * hue, 6)
        return value * (1 - saturation * jnp.clip(jnp.minimum(angle, 4 - angle), 0, 1))

    return jnp.stack([colour(5), colour(3), colour(1)], -1)


def change_hue_and_saturation(
    x: Float[Array, "n h w c"], turn: Float[Array, " n"], factor: Float[Array, " n"]
) -> Float[Array, "n h w c"]:
    """Rotate the hue by a fraction of the circle, and scale the saturation up to at most 1."""
    if x.shape[-1] != 3:
        return x
    hsv = hsv_of_rgb(x)
    hue = jnp.mod(hsv[..., :1] + each(turn), 1)
    saturation = jnp.clip(hsv[..., 1:2] * each(factor), 0, 1)
    return rgb_of_hsv(jnp.concatenate([hue, saturation, hsv[..., 2:]], -1))


def greyscale(x: Float[Array, "n h w c"]) -> Float[Array, "n h w c"]:
    """Replace the colours of every pixel by its luma."""
    if x.shape[-1] != 3:
        return x
    luma = (x * jnp.asarray(LUMA, x.dtype)[None, None, None]).sum(-1, keepdims=True)
    return jnp.broadcast_to(luma, x.shape)


def solarize(x: Float[Array, "n h w c"]) -> Float[Array, "n h w c"]:
    """Invert every value of at least 0.5."""
    return jnp.where(x < 0.5, x, 1 - x)
