"""A trained model, which is restored from a run without its data and applied to images."""

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
    """A network that a run has trained, on one device. `fgspec.restore` makes it.

    Images are [n, height, width, channels] like those of the run's data, uint8, or float32 from 0
    to 1, in any number. The last axis may be left out if there is one channel. Images are
    standardized as the spec says, and running statistics are used if the network has them. Images
    are processed in batches of `data.evaluation_batch_size`; a smaller last batch is compiled
    separately.

    Attributes:
        run: the run's folder.
        step: how many updates it was trained for.
        spec: the run's spec, on one device.
        data: the shape, classes and moments of the images that it was trained with.
        classes: the names of the classes by label, or numbers if the data have no names. If a label
            is not a class, the names of its numbers.
        has_names: whether the data have names.
        folder: the files of the run.
        program: the pure functions of the spec.
        state: the state in the checkpoint.
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
        """NumPy arrays in nested dictionaries: `blocks`, block, layer, name.

        `heads` and `classifier` are nested likewise; a readout of a single layer has no level for
        layers. The arrays are copies, so changing them does not change the model.
        """
        plan = self.program.plan
        return _on_host(by_name(plan, answering(plan, self.state)).params)

    @cached_property
    def statistics(self) -> Arrays:
        """Running moments by block, layer, `before` or `after` its map, and `mean` or `variance`.

        Empty if no normalization couples examples.
        """
        return _on_host(unflatten(self.state.statistics))

    @property
    def classifies(self) -> bool:
        """Whether the model predicts classes."""
        return self._answer.classifies

    def predict(self, images: Any) -> NDArray[np.int32] | NDArray[np.float32]:
        """The prediction for every image: classes [n], int32, if the run classifies.

        Otherwise what the objective predicts: vectors [n, k], float32, with `squared_error` and
        vectors as labels; labels of 0 and 1 [n, k], int32, with `binary_cross_entropy`; the
        standardized pixels [n, height * width * channels], float32, with `reconstruction`.

        Raises:
            UserError: the images have another shape or dtype, or floats outside of [0, 1]; or the
                objective predicts nothing.
        """
        return self.answers_of(self.outputs(images))

    def answers_of(self, outputs: Any) -> NDArray[np.int32] | NDArray[np.float32]:
        """The predictions for outputs [n, k]; see `predict`.

        Raises:
            UserError: the objective predicts nothing.
        """
        answers = np.asarray(self._answer.predict(jnp.asarray(outputs)))
        if answers.dtype.kind in "iub":
            return answers.astype(np.int32)
        return answers.astype(np.float32)

    def probabilities(self, images: Any) -> NDArray[np.float32]:
        """The probability of every class, or of every label of 0 and 1, [n, k], float32.

        Raises:
            UserError: as `predict`, or the objective's outputs do not give probabilities.
        """
        probabilities = self.probabilities_of(self.outputs(images))
        if probabilities is None:
            raise UserError(
                f"{self.run}: the outputs of {self._answer} do not give probabilities; use "
                "outputs()"
            )
        return probabilities

    def probabilities_of(self, outputs: Any) -> NDArray[np.float32] | None:
        """The probabilities for outputs [n, k], float32; None if the objective has none."""
        probabilities = self._answer.probabilities(jnp.asarray(outputs))
        return None if probabilities is None else np.asarray(probabilities, np.float32)

    def outputs(self, images: Any) -> NDArray[np.float32]:
        """The outputs from which predictions are made, [n, k], float32, such as logits.

        They are those of the classifier, or of `losses.prediction`.

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
        """Evaluate the model on a test set.

        Args:
            data: the test set: a spec (its path, or as `load` returns it), a data section, or a
                pair of images and labels like the run's: classes [n], integers, or numbers [n, k].
                None means the run's own test set. Images are always standardized by the moments of
                the run's data.

        Raises:
            SpecError, DataError: the data are wrong, missing or damaged.
            UserError: the images have another shape, or the classes differ.
            ResumeError: the run's own data have changed since it was trained.
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
        """The results of a function on all images, batch by batch, [n, *shape]."""
        some, size = checked(images, self.data), self.spec.experiment.data.evaluation_batch_size
        results = np.empty((len(some), *shape), np.float32)
        with compilation_cache():
            for start in range(0, len(some), size):
                part = slice(start, start + size)
                results[part] = jax.device_get(function(taken(some, part)))
        return results


def _on_host(tree: Mapping[str, Any]) -> Arrays:
    """Copies of all arrays in nested dictionaries; named tuples become dictionaries too."""
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
    """Restore the model that a run has trained. The run's data are needed only to evaluate on them.

    Args:
        run: the folder of the run.
        step: which checkpoint: `newest`; `best`, the one on disk with the best evaluation by the
            objective's main metric; or the step of a checkpoint.
        overrides: `path=value` strings as given to `--set`, for fields of `data.source`, if the
            run's data are in another place now.
        other_data: whether the data may differ from those that the run was trained with.

    Raises:
        ResumeError: there is no such checkpoint, or it is damaged.
        DataError: the run was made by an older version, which did not record the moments of its
            images, and its data are missing.
        UserError: `step` is none of these, or the overrides set other fields.
    """
    refuse_missing_backend()
    folder, recorded = rundir.reopen(Path(run))
    rundir.refuse_changed(folder, recorded)
    spec = alone(reading(folder, recorded, overrides))
    with compilation_cache():
        info, names = _data_of(folder, spec, other_data)
        program = compile_plan(make_plan(spec.experiment, info))
        identity = rundir.began_as(folder, recorded)
        checkpoint = restored(folder, identity, program.abstract(), step, program.plan.answer)
    if damage := damage_of(folder):
        LOG.warning("%s; its checkpoint, which is restored here, is intact", damage)
    return Model(folder, spec, program, checkpoint, names, other_data)


def alone(loaded: Loaded) -> Loaded:
    """The spec on one device."""
    return replace(loaded, experiment=loaded.experiment.on(Mesh()))


def _data_of(run: RunDir, spec: Loaded, other_data: bool) -> tuple[DatasetInfo, list[str]]:
    """The recorded description of a run's data, and the names of its classes."""
    record = read_record(run.provenance).get("data", {})
    if info := record.get("info"):
        lists = ((name, tuple(v) if isinstance(v, list) else v) for name, v in info.items())
        return DatasetInfo(**dict[str, Any](lists)), record["classes"]
    # Older versions did not record the description, so the data must be read.
    source = spec.experiment.data.source
    dataset = read(source, spec.search)
    if not other_data:
        refuse_other_data(run, spec, dataset, None, OTHER_DATA)
    sizes = {
        "train_examples": len(dataset.train_labels),
        "test_examples": len(dataset.test_labels),
    }
    return replace(describe(source, spec.search), **sizes), list(dataset.names)
