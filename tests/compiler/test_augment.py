"""Augmentation: golden pieces, bounds, and random choices that depend on the example alone."""

import os
from functools import lru_cache
from pathlib import Path

import jax
import jax.numpy as jnp
import networks
import numpy as np
import pytest

from compiler.augment import colour, geometry
from compiler.augment.recipes import _box, augmented
from compiler.named_arrays.random_streams import key_data
from fgspec.spec.augmentations import Byol, CropFlip, NoAugment

GOLDEN = dict(np.load(Path(__file__).parents[1] / "golden" / "byol_augmentation.npz"))


def _one(value):
    return jnp.full((1,), value, jnp.float32)


COLOUR = {
    "hsv": colour.hsv_of_rgb,
    "rgb_back": lambda x: colour.rgb_of_hsv(colour.hsv_of_rgb(x)),
    "hue_plus_0.07": lambda x: colour.change_hue_and_saturation(x, _one(0.07), _one(1)),
    "sat_x1.2": lambda x: colour.change_hue_and_saturation(x, _one(0), _one(1.2)),
    "contrast_x1.3": lambda x: colour.scale_contrast(x, _one(1.3)),
    "gray": colour.greyscale,
    "solarize": colour.solarize,
}
BLUR = {
    f"blur/k{k}_s{s}": lambda x, k=k, s=s: geometry.blur(x, int(k / 2), _one(s))
    for k in (1.6, 3.2, 22.4)
    for s in (0.1, 0.5, 2.0)
}
PIECES = COLOUR | BLUR


@pytest.mark.parametrize("name", PIECES)
def test_pieces_match_golden(name):
    found = PIECES[name](jnp.asarray(GOLDEN["image"][:1]))
    np.testing.assert_allclose(np.asarray(found)[0], GOLDEN[name], atol=1e-6)


def test_grey_images_have_neither_hue_nor_saturation():
    grey = jnp.asarray(GOLDEN["image"][..., :1])
    turn = jnp.full((8,), 0.1)
    np.testing.assert_array_equal(colour.change_hue_and_saturation(grey, turn, turn), grey)
    np.testing.assert_array_equal(colour.greyscale(grey), grey)


def test_a_grey_pixel_has_hue_zero_and_no_nan():
    hsv = colour.hsv_of_rgb(
        jnp.asarray([0.0, 0.5, 1.0])[:, None, None, None] * jnp.ones((3, 2, 2, 3))
    )
    np.testing.assert_array_equal(hsv[..., :2], 0)


@pytest.mark.parametrize("box", [(0, 0, 16, 16), (3, 5, 9, 7), (2, 0, 1, 16)])
def test_resized_crop_cuts_before_it_enlarges(box):
    """Equal to jax's resizing of the box by itself: nothing outside the box shines in."""
    top, left, height, width = box
    images = jnp.asarray(GOLDEN["image"])
    cut = images[:, top : top + height, left : left + width]
    expected = jax.image.resize(cut, images.shape, "cubic")
    corner, size = (
        jnp.full((8, 2), 1.0) * jnp.asarray(v, jnp.float32)[None] for v in (box[:2], box[2:])
    )
    np.testing.assert_allclose(geometry.resized_crop(images, corner, size), expected, atol=2e-6)


def test_shift_moves_by_whole_pixels_and_pads_with_black():
    images = jnp.asarray(GOLDEN["image"][:3])
    found = geometry.shift(images, 2, jnp.asarray([[2, 2], [0, 4], [4, 0]]))
    np.testing.assert_array_equal(found[0], images[0])
    np.testing.assert_array_equal(found[1, 2:, :-2], images[1, :-2, 2:])
    np.testing.assert_array_equal(found[1, :2], 0)
    np.testing.assert_array_equal(found[2, :-2, 2:], images[2, 2:, :-2])


RECIPES = {
    "none": NoAugment(),
    "crop_flip": CropFlip(padding=2),
    "byol": Byol(),
}
KEY = key_data(3)
MLP = "{type: mlp, hidden: [6, 5]}"


# Hues need the largest colour to be equal to itself. The quick compilation of the tests may round a
# value in two ways where it is used twice, so here is the one that users have.
AS_USERS = {"xla_cpu_use_fusion_emitters": True} if "emitters" in os.environ["XLA_FLAGS"] else None


@lru_cache
def _jitted(kind, views):
    def changed(x, step, first):
        return augmented(RECIPES[kind], views, x, KEY, step, first)

    return jax.jit(changed, compiler_options=AS_USERS)


def _augmented(kind, images, step=0, first=0, views=2):
    return np.asarray(_jitted(kind, views)(jnp.asarray(images), step, first))


@pytest.mark.parametrize("kind", RECIPES)
def test_an_example_is_changed_alike_in_any_split_of_the_batch(kind):
    images = GOLDEN["image"]
    whole = _augmented(kind, images).reshape(2, 8, 16, 16, 3)
    parts = [_augmented(kind, images[i : i + 4], first=i).reshape(2, 4, 16, 16, 3) for i in (0, 4)]
    np.testing.assert_allclose(whole, np.concatenate(parts, 1), atol=1e-5)
    # Nor does it matter which images stand beside it.
    others = np.concatenate([GOLDEN["image2"][:7], images[7:]])
    np.testing.assert_allclose(_augmented(kind, others)[[7, 15]], whole[:, 7], atol=1e-5)


@pytest.mark.parametrize("kind", ["crop_flip", "byol"])
def test_steps_views_and_examples_differ(kind):
    images = np.broadcast_to(GOLDEN["image"][:1], (8, 16, 16, 3))
    first, second = (_augmented(kind, images, step) for step in (0, 1))
    assert len({image.tobytes() for image in (*first, *second)}) > 24
    assert (first >= 0).all()
    assert (first <= 1).all()


def test_the_first_view_does_not_depend_on_a_second():
    both, one = (_augmented("byol", GOLDEN["image"], views=v) for v in (2, 1))
    np.testing.assert_allclose(both[:8], one, atol=1e-5)


def test_options_turn_pieces_off():
    images = jnp.asarray(GOLDEN["image"])
    still = CropFlip(padding=0, flip=False)
    np.testing.assert_array_equal(augmented(still, 1, images, KEY, 0), images)
    mirrored = np.asarray(augmented(CropFlip(padding=0), 1, images, KEY, 0))
    kinds = {bool((a == b).all()) for a, b in zip(mirrored, np.asarray(images), strict=True)}
    assert kinds == {True, False}


def _views(colour):
    """The two views of 1,000 images of one colour."""
    images = np.broadcast_to(np.asarray(colour, np.float32), (1000, 20, 20, 3))
    return _augmented("byol", images).reshape(2, 1000, 20, 20, 3)


def _shares(views, property):
    """In each view, the share of images that have a property."""
    return [property(view).mean() for view in views]


def _within(found, chance):
    """Four standard deviations of a share of 1,000."""
    return abs(found - chance) <= 4 * np.sqrt(chance * (1 - chance) / 1000)


def test_chances_of_byol():
    """Each seen by itself: white is never inverted by jitter, red never grey by desaturation."""
    dark = _shares(_views((1, 1, 1)), lambda view: view[:, 10, 10].max(-1) < 0.5)
    assert dark[0] == 0
    assert _within(dark[1], 0.2)
    red = _views((0.9, 0.3, 0.3))
    grey = _shares(red, lambda view: np.ptp(view[:, 10, 10], axis=-1) < 1e-6)
    assert _within(grey[0], 0.2)
    assert _within(grey[1], 0.2)
    same = _shares(red, lambda view: np.ptp(view, axis=(1, 2)).max(-1) < 1e-5)
    # A blur of less than 0.2 pixels, one in 19 of them, leaves no trace.
    assert same[0] < 0.1
    assert 0.85 < same[1] < 0.95
    kept = _shares(red, lambda view: np.abs(view[:, 10, 10, 1] - 0.3) < 1e-5)
    assert _within(kept[0], 0.2 * 0.8)


def test_boxes_of_crops_keep_area_and_aspect():
    boxes = np.asarray(jax.vmap(lambda i: _box_of(i))(jnp.arange(3000)))
    height, width = boxes[:, 2], boxes[:, 3]
    whole = (height == 32) & (width == 32)
    area, aspect = height * width / 1024, width / height
    assert area[~whole].min() > 0.3 - 0.05
    assert area.max() <= 1
    assert aspect[~whole].min() > 3 / 4 - 0.06
    assert aspect.max() < 4 / 3 + 0.06
    assert 0.55 < area.mean() < 0.68
    assert (boxes[:, :2] >= 0).all()
    assert (boxes[:, :2] + boxes[:, 2:] <= 32).all()
    assert {0.0} < set(boxes[:, 0])


def _box_of(i):
    def draw(name, shape):
        key = jax.random.fold_in(jax.random.key(len(name)), i)
        return jax.random.uniform(key, (1, *shape))

    corner, size = _box((32, 32), 0.3, draw)
    return jnp.concatenate([corner[0], size[0]])


def test_training_is_augmented_and_evaluation_is_not():
    made = {
        kind: networks.program("bp", augment=kind, architecture=MLP) for kind in ("none", "byol")
    }
    state, batch = networks.state_of(made["none"]), networks.batch_of()
    losses = {k: float(m.gradient(state, batch)[1]["train/loss"]) for k, m in made.items()}
    assert len(set(losses.values())) == 2
    sums = {k: float(m.evaluate(state, batch)["loss"]) for k, m in made.items()}
    assert len(set(sums.values())) == 1


def test_augmentation_does_not_depend_on_how_much_noise_is_drawn():
    """Mistake 21: the same images whatever else a step draws."""
    few, many = (
        networks.program(
            "fg-a", augment="crop_flip", architecture=MLP, perturbation=f"samples: {k}"
        )
        for k in (1, 3)
    )
    state, batch = networks.state_of(few), networks.batch_of()
    losses = [float(m.gradient(state, batch)[1]["train/loss"]) for m in (few, many)]
    assert losses[0] == pytest.approx(losses[1], rel=1e-6)
