"""Laws of data sources, optimizers, trackers and sweep engines.

Each function takes an instance, or a class whose `example` or defaults give one.
"""

import inspect
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, cast

import jax
import numpy as np
import optax

from compiler.augment.recipes import augmented
from compiler.named_arrays.paths import flatten, unflatten
from compiler.named_arrays.random_streams import key_data
from compiler.optimizers.make import make_optimizer
from fgspec.data.dataset import Dataset, labelled
from fgspec.spec.augmentations import Augmentation
from fgspec.spec.clippings import Clipping
from fgspec.spec.dataset_info import UNLABELLED, DatasetInfo
from fgspec.spec.optimizers import Optimizer
from fgspec.spec.schedules import Schedule
from fgspec.spec.sources import Source
from fgspec.spec.trackers import Tracker
from fgspec.sweeps.engine import Engine
from fgspec.sweeps.engines import SweepEngine
from fgspec.testing.law import array, law, method_of

MOMENT_TOLERANCE = 0.05
"""The largest difference between a described mean or deviation and the measured one. Published
deviations have various definitions, and made-up images are described by their distribution."""


@law
def check_source(source: Source | type[Source], folder: Path) -> None:
    """A source's description matches its data, which are always the same, and read-only.

    Args:
        source: an instance, or a class whose `example` gives one.
        folder: an empty folder, for the files of an example.
    """
    made = method_of(source, folder)
    info, read, again = made.describe(), made.read(), made.read()
    assert made.describe() == info, f"{made}: two descriptions differ"
    _check_shapes(made, info, read)
    for name in ("train_images", "train_labels", "test_images", "test_labels"):
        first, second = (_array(getattr(part, name)) for part in (read, again))
        assert np.array_equal(first, second), f"{made}: {name} differ when read again"
        held = getattr(read, name)
        if isinstance(held, np.ndarray):
            assert not held.flags.writeable, f"{made}: {name} can be written to"
    _check_counts(made, info, read)


def _check_shapes(source: Source, info: DatasetInfo, read: Dataset) -> None:
    parts = (read.train_images, read.train_labels), (read.test_images, read.test_labels)
    for images, labels in parts:
        assert images.shape[1:] == info.image_shape, (
            f"{source}: images are {images.shape[1:]}, described as {info.image_shape}"
        )
        assert images.dtype == np.dtype(info.pixels), (
            f"{source}: images are {images.dtype}, described as {info.pixels}"
        )
        pixels = _array(images)
        assert pixels.dtype == np.uint8 or (pixels.min() >= 0 and pixels.max() <= 1), (
            f"{source}: pixels are outside [0, 1]"
        )
        assert labels.dtype == np.dtype(info.label_dtype), (
            f"{source}: labels are {labels.dtype}, not {info.label_dtype}"
        )
        expected = (len(images), *info.label_shape)
        assert labels.shape == expected, (
            f"{source}: labels have the shape {labels.shape}, expected {expected}, one per image"
        )
        if info.label_dtype == "int32":
            limit = info.classes or 2
            least = UNLABELLED if info.unlabelled and labels is read.train_labels else 0
            assert labels.min() >= least, f"{source}: a label is below {least}"
            assert labels.max() < limit, f"{source}: a label is not below {limit}"
    assert info.label == source.label_kind(), (
        f"{source}: describe() has labels of the kind {info.label}, but label_kind() returns "
        f"{source.label_kind()}"
    )
    images_type = type(read.train_images)
    assert isinstance(read.train_images, np.ndarray) != source.decoded, (
        f"{source}: decoded is {source.decoded}, but its images are {images_type.__name__}"
    )


def _check_counts(source: Source, info: DatasetInfo, read: Dataset) -> None:
    counts = len(read.train_labels), len(read.test_labels)
    described = info.train_examples, info.test_examples
    assert counts == described, f"{source}: {counts} examples are read, {described} described"
    unlabelled = int((~labelled(read.train_labels)).sum())
    assert unlabelled == info.unlabelled, (
        f"{source}: {unlabelled} training examples have no label, {info.unlabelled} described"
    )
    if info.label == "class":
        classes = set(read.train_labels.tolist()) - {UNLABELLED}
        assert classes == set(range(info.classes)), (
            f"{source}: training labels are {sorted(classes)}, described are {info.classes} classes"
        )
    images = _array(read.train_images)
    pixels = images / 255 if images.dtype == np.uint8 else images
    for name, measured, described_as in (
        ("mean", pixels.mean((0, 1, 2)), info.mean),
        ("deviation", pixels.std((0, 1, 2)), info.std),
    ):
        assert np.abs(measured - np.asarray(described_as)).max() < MOMENT_TOLERANCE, (
            f"{source}: the {name} is {measured}, described as {described_as}"
        )


def _array(images: Any) -> Any:
    if isinstance(images, np.ndarray):
        return images
    return images.take(np.arange(len(images)), axis=0)


@law
def check_augmentation(augmentation: Augmentation | type[Augmentation]) -> None:
    """An augmentation is a pure function of its random draws, and changes each image separately."""
    made = method_of(augmentation)
    random = np.random.default_rng(0)
    images = random.random((6, 16, 12, 3), np.float32)
    others = images.copy()
    others[:5] = random.random((5, 16, 12, 3), np.float32)

    # Not compiled, because fused operations may round differently where a hue is discontinuous.
    def change(batch: Any, first: int = 0) -> Any:
        return np.asarray(augmented(made, 2, array(batch), key_data(0), 3, first))

    changed = change(images)
    assert changed.shape == (12, 16, 12, 3), f"{made}: images of {images.shape[1:]} change shape"
    assert changed.dtype == np.float32, f"{made}: images become {changed.dtype}"
    assert changed.min() >= 0, f"{made}: a pixel is below 0"
    assert changed.max() <= 1, f"{made}: a pixel is above 1"
    assert np.array_equal(changed, change(images)), f"{made}: the same draws change images twice"
    assert np.allclose(changed[[5, 11]], change(others)[[5, 11]], atol=1e-5), (
        f"{made}: the change of an image depends on the other images of the batch"
    )
    assert np.allclose(changed[[5, 11]], change(images[5:], 5), atol=1e-5), (
        f"{made}: the change of an image depends on how the batch is split"
    )
    same = np.array_equal(changed, np.concatenate([images, images]))
    assert same != made.changes, (
        f"{made}: changes is {made.changes}, but its images {'stay' if same else 'change'}"
    )


_SHAPES = {
    "blocks/block0/channel/w": (2, 3),
    "blocks/block0/channel/b": (3,),
    "heads/block0/w": (3, 2),
    "heads/block0/b": (2,),
    "classifier/w": (3, 2),
    "classifier/b": (2,),
}


@law
def check_optimizer(optimizer: Optimizer | type[Optimizer]) -> None:
    """Only weights decay, arrays do not affect each other, losses fall, and `moments` is right."""
    made = method_of(optimizer)
    random = np.random.default_rng(0)
    params = {path: random.normal(size=s).astype(np.float32) for path, s in _SHAPES.items()}
    still = {path: np.zeros_like(x) for path, x in params.items()}
    plain = made.model_copy(update={"weight_decay": 0.0, "decay_after_factors": False})
    decaying = made.model_copy(update={"weight_decay": 0.1})

    states = flatten_arrays(
        make_optimizer(made, 10, 2, _weights(params)).init(unflatten(as_jax(params)))
    )
    shaped = sum(x.size for x in states if x.ndim)
    expected = made.moments * sum(x.size for x in params.values())
    assert shaped == expected, (
        f"{made}: its state has {shaped} numbers, but by `moments` it has {expected}"
    )

    decayed, kept = _stepped(decaying, params, still), _stepped(plain, params, still)
    for path, x in params.items():
        moved = not np.array_equal(decayed[path], x)
        assert moved == (path in _weights(params)), f"{made}: weight decay moves {path}: {moved}"
        assert np.array_equal(kept[path], x), f"{made}: {path} moves without gradient and decay"

    gradient = {path: random.normal(size=s).astype(np.float32) for path, s in _SHAPES.items()}
    for path, x in params.items():
        alone = _stepped(decaying, {path: x}, {path: gradient[path]})[path]
        together = _stepped(decaying, params, gradient)[path]
        assert np.allclose(alone, together, atol=1e-6), f"{made}: {path} depends on other arrays"

    faster = made.model_copy(
        update={
            "learning_rate": 2 * made.learning_rate,
            "weight_decay": 0.0,
            "decay_after_factors": False,
        }
    )
    once, twice = (_stepped(spec, params, gradient, steps=1) for spec in (plain, faster))
    for path, x in params.items():
        step = once[path] - x
        assert np.allclose(twice[path] - x, 2 * step, atol=1e-2 * np.abs(step).max()), (
            f"{made}: at twice the learning rate a step of {path} is not twice as long; "
            "before_rate() must not apply the rate"
        )

    for path, x in params.items():  # the gradient of |x|^2 / 2 is x
        after = _stepped(plain, {path: x}, {path: x}, steps=1)[path]
        assert np.square(after).sum() < np.square(x).sum(), (
            f"{made}: a small step against the gradient of |x|^2 makes {path} larger"
        )


def _weights(paths: Iterable[str]) -> frozenset[str]:
    """The weights among the made-up parameters."""
    return frozenset(path for path in paths if path.endswith("/w"))


def _stepped(
    spec: Optimizer,
    params: Mapping[str, np.ndarray],
    gradient: Mapping[str, np.ndarray],
    steps: int = 2,
) -> dict[str, np.ndarray]:
    """Parameters after some updates with one gradient."""
    optimizer, now = make_optimizer(spec, 10, 2, _weights(params)), unflatten(as_jax(params))
    state, grads = optimizer.init(now), unflatten(as_jax(gradient))
    with jax.numpy_dtype_promotion("standard"):  # as in an update: see compiler.state.stepped
        for _ in range(steps):
            updates, state = optimizer.update(grads, state, now)
            now = cast(dict[str, Any], optax.apply_updates(now, updates))
    return {path: np.asarray(x) for path, x in flatten(now).items()}


def as_jax(arrays: Mapping[str, np.ndarray]) -> dict[str, Any]:
    """The same arrays as JAX arrays."""
    return jax.device_put(dict(arrays))


def flatten_arrays(tree: Any) -> Sequence[Any]:
    """All arrays of a tree."""
    return [leaf for leaf in jax.tree.leaves(tree) if hasattr(leaf, "ndim")]


@law
def check_clipping(clipping: Clipping | type[Clipping]) -> None:
    """Small gradients stay, no number grows or changes its sign, and `whole` is right."""
    made = method_of(clipping)
    random = np.random.default_rng(0)
    gradient = {path: random.normal(size=s).astype(np.float32) for path, s in _SHAPES.items()}
    small, large = ({p: x * scale for p, x in gradient.items()} for scale in (1e-4, 1e4))
    for path, x in _clipped(made, small).items():
        assert np.allclose(x, small[path], rtol=1e-6), f"{made}: a small gradient of {path} changes"
    once = _clipped(made, large)
    for path, x in once.items():
        assert np.isfinite(x).all(), f"{made}: a gradient of {path} is not finite"
        assert (x * large[path] >= 0).all(), f"{made}: a number of {path} changes its sign"
        assert (np.abs(x) <= np.abs(large[path])).all(), f"{made}: a number of {path} grows"
    others = {path: x for path, x in large.items() if path.startswith("heads/")}
    alone = _clipped(made, others)
    mixes = any(not np.allclose(x, once[path], rtol=1e-5) for path, x in alone.items())
    assert mixes == made.whole, (
        f"{made}: whole is {made.whole}, but a head's gradient "
        f"{'depends' if mixes else 'does not depend'} on other gradients"
    )


def _clipped(clipping: Clipping, gradient: Mapping[str, np.ndarray]) -> dict[str, np.ndarray]:
    clip = optax.chain(optax.identity(), *clipping.transformations())
    grads = unflatten(as_jax(gradient))
    state = clip.init(grads)
    assert not jax.tree.leaves(state), f"{clipping}: has a state, which a clipping must not have"
    clipped = cast(dict[str, Any], clip.update(grads, state)[0])
    return {path: np.asarray(x) for path, x in flatten(clipped).items()}


@law
def check_schedule(schedule: Schedule | type[Schedule]) -> None:
    """Rates depend only on the step, are never negative, and reach but never exceed the peak."""
    made = method_of(schedule)
    for peak, per_epoch, epochs in ((0.3, 5, 40), (2.0, 1, 100)):
        steps = per_epoch * epochs
        with jax.numpy_dtype_promotion("standard"):
            rate = made.rate(peak, steps, per_epoch)
            rates = np.asarray([float(rate(array(s, np.int32))) for s in range(steps)])
            first = float(jax.jit(rate)(array(0, np.int32)))
        assert np.isfinite(rates).all(), f"{made}: a rate is not finite"
        assert rates.min() >= 0, f"{made}: the rate of step {rates.argmin()} is negative"
        assert rates.max() <= peak * (1 + 1e-6), f"{made}: a rate is above the peak {peak}"
        assert rates.max() >= peak * (1 - 1e-6), f"{made}: no step has the peak {peak}"
        assert abs(first - rates[0]) <= 1e-6 * peak, f"{made}: the first step differs when compiled"


@law
def check_tracker(
    tracker: Tracker | type[Tracker],
    folder: Path,
    held: Callable[[Path], Mapping[int, Mapping[str, float]]] | None = None,
) -> None:
    """A tracker accepts every line of a run that is stopped and resumed, and changes no argument.

    Args:
        tracker: an instance, or a class without required fields.
        folder: the folder of a run.
        held: reads back what the tracker has stored: the run's folder -> metrics by step. Without
            it, lines that the tracker drops are not noticed.
    """
    made = method_of(tracker)
    logged: dict[int, dict[str, float]] = {}
    values: dict[str, Any] = {"name": "law", "training": {"steps": 4}}
    before = repr(values)
    for steps, status in (((1, 2, 3), "preempted"), ((3, 4), "done"), ((), "failed")):
        follower = made.model_copy()  # each run has its own instance, also after it is resumed
        follower.open(folder, values)
        for step in steps:
            metrics = {"train/loss": 1 / step} | ({"test/loss": 0.5} if step == 4 else {})
            given = dict(metrics)
            follower.log(step, given)
            assert given == metrics, f"{made}: log() changes the metrics"
            logged[step] = metrics
        follower.close(status)
        stored = logged if held is None else {k: dict(v) for k, v in held(folder).items()}
        lost = [step for step, metrics in logged.items() if stored.get(step) != metrics]
        assert not lost, (
            f"{made}: after close({status!r}) it holds {stored.get(lost[0])} of step "
            f"{lost[0]}, but {logged[lost[0]]} was logged"
        )
    assert repr(values) == before, f"{made}: open() changes the values of the spec"


@law
def check_engine(engine: SweepEngine | type[SweepEngine]) -> None:
    """An engine describes itself without importing its packages, and `begin` takes only a site."""
    made = method_of(engine)
    begin = type(made).begin
    assert begin is not SweepEngine.begin, f"{made}: has no begin()"
    names = list(inspect.signature(begin).parameters)
    assert len(names) == 2, f"{made}: begin() takes {names}, expected only a site"
    asks = type(made).refuse_under_way is not SweepEngine.refuse_under_way
    assert asks == made.outlives, (
        f"{made}: outlives is {made.outlives}, but it "
        f"{'has a' if asks else 'does not have a'} refuse_under_way() of its own"
    )
    given = inspect.signature(begin).return_annotation
    for name in _members(Engine) if isinstance(given, type) else ():
        assert name == "at_once" or hasattr(given, name), (
            f"{made}: what begin() returns has no {name}"
        )


def _members(protocol: type) -> Iterator[str]:
    return (name for name in vars(protocol) if not name.startswith("_"))
