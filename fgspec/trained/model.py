"""A trained model: restored from a run, without its data, and applied to images."""

import logging
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from functools import cached_property, partial
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from numpy.typing import NDArray

from compiler.compile import compile_plan
from compiler.named_arrays.paths import flatten, unflatten
from compiler.plan.plan import make_plan
from compiler.update.program import Program
from compiler.update.state import State, answering, by_name
from fgspec.data.dataset import Pixels
from fgspec.data.describe import describe
from fgspec.data.sources import read
from fgspec.errors import UserError
from fgspec.loading.spec_file import Loaded
from fgspec.problems.problems import nearest
from fgspec.spec.dataset_info import DatasetInfo
from fgspec.spec.mesh import Mesh
from fgspec.trained.evaluation import Evaluation, evaluated
from fgspec.trained.images import checked, taken
from fgspec.trained.labelled import OTHER_DATA, labelled, own_labelled
from fgspec.trained.steps import NEWEST, Step, restored
from fgspec.training import run_folder as rundir
from fgspec.training.checkpoint import Restored
from fgspec.training.compile_cache import compilation_cache
from fgspec.training.jax_settings import refuse_missing_backend
from fgspec.training.records import read_record
from fgspec.training.resuming import reading, refuse_other_data
from fgspec.training.run_folder import RunDir
from fgspec.training.run_log import damage_of

LOG = logging.getLogger("fgspec")

Arrays = dict[str, Any]
"""NumPy arrays in nested dictionaries."""


class Model:
    """A network as a run trained it, on one device.

    Images are [n, height, width, channels] like those of the run's data (the last axis may be left
    out where there is one channel), uint8, or float32 from 0 to 1, in any number. What the spec
    does to images before the network is done here too; running statistics are used where the
    network has them. They go through it in batches of `data.evaluation_batch_size`; a smaller last
    batch is compiled once more.

    `fgspec.restore` makes it.

    Attributes:
        run: the run's folder.
        step: updates that it was trained for.
        spec: the run's spec, on one device.
        data: shape, classes and moments of the images that it was trained with.
        classes: the names of the classes by label; numbers where the data have no names. Where a
            label is no class, the names of its numbers.
        has_names: whether they have.
        folder: the files of the run.
        program: the pure functions of the spec.
        state: all that the checkpoint holds.
    """

    def __init__(
        self,
        folder: RunDir,
        spec: Loaded,
        program: Program,
        checkpoint: Restored,
        names: list[str],
        other_data: bool = False,
    ) -> None:
        self.run = folder.path
        self.folder = folder
        self.step = checkpoint.step
        self.spec = spec
        self.program = program
        self.state: State = checkpoint.state
        self.data: DatasetInfo = program.plan.data
        self.classes = tuple(names) or tuple(map(str, range(self.data.width)))
        self.has_names = bool(names)
        self._checkpoint, self._other_data = checkpoint, other_data
        self._answer = program.plan.answer

    def __repr__(self) -> str:
        """The run, the step and the blocks."""
        return f"Model({str(self.run)!r}, step={self.step}, blocks={list(self.blocks)})"

    @property
    def blocks(self) -> tuple[str, ...]:
        """The names of the blocks, in order."""
        return tuple(block.name for block in self.program.plan.network.blocks)

    @cached_property
    def parameters(self) -> Arrays:
        """NumPy arrays by `blocks`, block, layer and name; `heads` and `classifier` likewise.

        They are copies: to change one changes nothing in the model. A readout of a single layer
        has no level of layers.
        """
        plan = self.program.plan
        return _on_host(by_name(plan, answering(plan, self.state)).params)

    @cached_property
    def statistics(self) -> Arrays:
        """Running moments by block, layer, place (`before` or `after` its map), mean and variance.

        Empty where no normalization couples examples.
        """
        return _on_host(unflatten(self.state.statistics))

    @property
    def classifies(self) -> bool:
        """Whether what it predicts are classes."""
        return self._answer.classifies

    def predict(self, images: Any) -> NDArray[np.int32] | NDArray[np.float32]:
        """The answer for every image: classes [n], int32, by a run that classifies.

        By others what the objective predicts: under `squared_error` with vectors as labels the
        vectors [n, k], float32; under `binary_cross_entropy` labels of 0 and 1 [n, k], int32; under
        `reconstruction` the standardized pixels [n, height * width * channels], float32.

        Raises:
            UserError: the images have another shape or dtype, or floats beyond [0, 1]; or the
                objective predicts nothing.
        """
        return self.answers_of(self.outputs(images))

    def answers_of(self, outputs: Any) -> NDArray[np.int32] | NDArray[np.float32]:
        """The answers that outputs [n, k] stand for; see `predict`.

        Raises:
            UserError: the objective predicts nothing.
        """
        found = np.asarray(self._answer.predict(jnp.asarray(outputs)))
        if found.dtype.kind in "iub":
            return found.astype(np.int32)
        return found.astype(np.float32)

    def probabilities(self, images: Any) -> NDArray[np.float32]:
        """The probability of every class, or of every label of 0 and 1, [n, k], float32.

        Raises:
            UserError: as `predict`, or the outputs stand for no probabilities.
        """
        found = self.probabilities_of(self.outputs(images))
        if found is None:
            raise UserError(
                f"{self.run}: the outputs of {self._answer} are no probabilities; use outputs()"
            )
        return found

    def probabilities_of(self, outputs: Any) -> NDArray[np.float32] | None:
        """The probabilities that outputs [n, k] stand for, float32; None if they are none."""
        found = self._answer.probabilities(jnp.asarray(outputs))
        return None if found is None else np.asarray(found, np.float32)

    def outputs(self, images: Any) -> NDArray[np.float32]:
        """The outputs that the answer is read from, [n, k], float32: logits under cross entropy.

        They are the classifier's, or what `losses.prediction` says.

        Raises:
            UserError: as `predict`.
        """
        width = self._answer.outputs(self.data)
        return self._batched(images, partial(self.program.outputs, self.state), (width,))

    def features(self, images: Any, block: str) -> NDArray[np.float32]:
        """The features after a block, [n, p, g, c]: positions, groups, channels; float32.

        Raises:
            UserError: as `predict`, or there is no such block.
        """
        if block not in self.blocks:
            raise UserError(f"features: block: {nearest(block, self.blocks)} (got {block})")
        of_block = partial(self.program.features, self.state, block=block)
        shape = self.program.plan.network.block(block).end.features
        return self._batched(images, of_block, shape)

    def evaluate(self, data: Any = None) -> Evaluation:
        """One pass over a test set.

        Args:
            data: whose: that of a spec (as `load` returns it, or its path), of a data section, or a
                pair of images and labels like the run's: classes [n], integers, or numbers [n, k].
                The run's own without it. Images are standardized by the moments of the run's.

        Raises:
            SpecError, DataError: the data are wrong, missing or damaged.
            UserError: its images have another shape, or its classes are others.
            ResumeError: the run's own data are not those that it was trained with.
            RunError: a loss is not finite.
        """
        size = self.spec.experiment.data.evaluation_batch_size
        with compilation_cache():
            if data is None:
                saved = self._checkpoint.extra.get("data")
                pairs = own_labelled(self.folder, self.spec, saved, self._other_data)
            else:
                pairs = labelled(data, self.data, self.classes if self.has_names else ())
            return evaluated(
                self.program, self._checkpoint, pairs, size, self.classes, str(self.run)
            )

    def _batched(
        self, images: Any, function: Callable[[Pixels], Any], shape: tuple[int, ...]
    ) -> NDArray[np.float32]:
        """What a function makes of images, a batch at a time, [n, *shape]."""
        some, size = checked(images, self.data), self.spec.experiment.data.evaluation_batch_size
        found = np.empty((len(some), *shape), np.float32)
        with compilation_cache():
            for start in range(0, len(some), size):
                part = slice(start, start + size)
                found[part] = jax.device_get(function(taken(some, part)))
        return found


def _on_host(tree: Mapping[str, Any]) -> Arrays:
    """Nested dictionaries of copies; named tuples become dictionaries too."""
    named = {
        path: leaf._asdict() if hasattr(leaf, "_asdict") else leaf
        for path, leaf in flatten(tree).items()
    }
    return unflatten({path: np.array(leaf) for path, leaf in flatten(named).items()})


def restore(
    run: str | Path,
    step: Step = NEWEST,
    *,
    overrides: Sequence[str] = (),
    other_data: bool = False,
) -> Model:
    """The model that a run trained; its data need not be there unless it is evaluated on them.

    Args:
        run: its folder.
        step: which checkpoint: `newest`; `best`, the one on disk whose evaluation is best by the
            metric that the objective names; or the updates done at one.
        overrides: `path=value` strings as given to `--set`, of fields of `data.source`: where the
            run's data are.
        other_data: whether these may be others than those that it was trained with.

    Raises:
        ResumeError: there is no such checkpoint, or none that can be trusted.
        DataError: the run is of an older version, which did not record its images' moments, and
            its data are missing.
        UserError: `step` is none of these, or the overrides set something else.
    """
    refuse_missing_backend()
    found, recorded = rundir.reopen(Path(run))
    rundir.refuse_changed(found, recorded)
    spec = alone(reading(found, recorded, overrides))
    with compilation_cache():
        info, names = _data_of(found, spec, other_data)
        program = compile_plan(make_plan(spec.experiment, info))
        identity = rundir.began_as(found, recorded)
        checkpoint = restored(found, identity, program.abstract(), step, program.plan.answer)
    if damage := damage_of(found):
        LOG.warning("%s; what is restored here is its checkpoint, which is intact", damage)
    return Model(found, spec, program, checkpoint, names, other_data)


def alone(loaded: Loaded) -> Loaded:
    """The spec on one device."""
    return replace(loaded, experiment=loaded.experiment.on(Mesh()))


def _data_of(run: RunDir, spec: Loaded, other_data: bool) -> tuple[DatasetInfo, list[str]]:
    """What a run knew of its data, and the names of its classes."""
    record = read_record(run.provenance).get("data", {})
    if known := record.get("info"):
        lists = ((name, tuple(v) if isinstance(v, list) else v) for name, v in known.items())
        return DatasetInfo(**dict[str, Any](lists)), record["classes"]
    # A run of an older version, whose moments are those of its data.
    source = spec.experiment.data.source
    dataset = read(source, spec.search)
    if not other_data:
        refuse_other_data(run, spec, dataset, None, OTHER_DATA)
    sizes = {
        "train_examples": len(dataset.train_labels),
        "test_examples": len(dataset.test_labels),
    }
    return replace(describe(source, spec.search), **sizes), list(dataset.names)
