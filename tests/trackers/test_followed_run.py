"""One run, stopped and resumed, as TensorBoard, MLflow, W&B and trackio have it afterwards.

Each is read back by its own reader. The newest checkpoint is lost at the stop, as where a process
is killed, so that a line is logged twice.
"""

import json
import shutil
import struct
from collections import defaultdict

import mlflow
import numpy as np
import pytest
import runs
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator
from tensorboard.plugins.hparams import metadata
from wandb.proto.wandb_internal_pb2 import Record

import fgspec
from fgspec.loading.resolved import spec_hash
from fgspec.training.loop import Preempted
from fgspec.training.tracked import FILE

pytestmark = pytest.mark.filterwarnings("ignore::DeprecationWarning")  # of other packages
TRACK = "tensorboard,wandb,mlflow,trackio"
TWICE = 7
"""The step that is logged before and after the stop."""


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    """The folder of the run; it is resumed with the trackers that it began with."""
    folder = tmp_path_factory.mktemp("followed")
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        path = runs.write_spec(folder)
        with pytest.MonkeyPatch.context() as stopped:
            runs.stop_after(stopped, 9)
            with pytest.raises(Preempted):
                fgspec.train(path, run_dir=folder, track=TRACK)
        (found,) = (folder / "small").iterdir()
        newest = max((found / "checkpoints").iterdir(), key=lambda path: int(path.name))
        shutil.rmtree(newest)
        assert fgspec.train(resume=found)["status"] == "done"
    return found


@pytest.fixture(scope="module")
def lines(run):
    """What the run logged, by step, but what is measured in seconds."""
    found = {line.pop("step"): line for line in runs.lines(run)}
    assert list(found) == [7, 10, 14, 20, 21, 25]
    return found


def _known(run, begin):
    (place,) = (one for one in json.loads((run / FILE).read_text()) if one.startswith(begin))
    return json.loads((run / FILE).read_text())[place]


def _timeless(rows):
    """Rows by step without what is measured in seconds."""
    return {
        step: {k: v for k, v in row.items() if not k.startswith(("perf/", "data/", "_"))}
        for step, row in rows.items()
    }


def test_tensorboard_reads_every_line_once(run, lines):
    events = EventAccumulator(str(run / "tensorboard")).Reload()
    rows = defaultdict(dict)
    for name in events.Tags()["scalars"]:
        for event in events.Scalars(name):
            assert name not in rows[event.step]
            rows[event.step][name] = event.value
    singles = {
        step: {name: float(np.float32(value)) for name, value in line.items()}
        for step, line in lines.items()
    }
    assert _timeless(rows) == singles
    assert len(list((run / "tensorboard").iterdir())) == 2


def test_tensorboard_has_the_spec_and_how_the_run_ended(run):
    events = EventAccumulator(str(run / "tensorboard")).Reload()
    (text,) = events.Tensors("spec")[0].tensor_proto.string_val
    assert "learning_rate: 0.05" in text.decode()
    content = events.SummaryMetadata(metadata.SESSION_START_INFO_TAG).plugin_data.content
    start = metadata.parse_session_start_info_plugin_data(content).hparams
    assert start["optimizer.learning_rate"].number_value == 0.05
    assert start["rule"].string_value == "lg-fg-a"
    content = events.SummaryMetadata(metadata.SESSION_END_INFO_TAG).plugin_data.content
    assert metadata.parse_session_end_info_plugin_data(content).status == 1  # STATUS_SUCCESS


def test_mlflow_has_one_run_with_every_line_once(run, lines):
    known = _known(run, "mlflow")
    client = mlflow.MlflowClient(known["uri"])
    experiment = client.get_experiment_by_name("fgspec")
    (found,) = client.search_runs([experiment.experiment_id])
    rows = defaultdict(dict)
    for name in found.data.metrics:
        for point in client.get_metric_history(found.info.run_id, name):
            assert name not in rows[point.step]
            rows[point.step][name] = point.value
    assert _timeless(rows) == lines
    assert found.info.status == "FINISHED"
    assert found.info.run_name == f"small-{run.name}"
    assert found.data.params["optimizer.learning_rate"] == "0.05"
    assert found.data.params["gradient.estimator.type"] == "forward"
    assert found.data.tags["rule"] == "lg-fg-a"
    assert found.data.tags["spec_sha256"] == spec_hash(fgspec.load(run / "resolved.yaml"))


def _records(file):
    """The records of a file of W&B: LevelDB's log format behind a header of seven bytes."""
    data, at, whole = file.read_bytes(), 7, b""
    assert data[:4] == b":W&B"
    while at + 7 <= len(data):
        left = 32768 - at % 32768
        if left < 7:  # the rest of a block that holds no header
            at += left
            continue
        _, size, kind = struct.unpack("<IHB", data[at : at + 7])
        whole += data[at + 7 : at + 7 + size]
        at += 7 + size
        if kind in (1, 4):  # the whole record, or its last part
            yield Record.FromString(whole)
            whole = b""


def test_wandb_has_offline_files_of_one_run(run, lines):
    parts = sorted((run / "wandb").glob("offline-run-*/*.wandb"))
    assert [part.stem for part in parts] == [f"run-{_known(run, 'wandb')['run']}"] * 2
    rows = {}
    for part in parts:
        records = list(_records(part))
        for record in records:
            items = record.history.item
            row = {"/".join(i.nested_key) or i.key: json.loads(i.value_json) for i in items}
            if row:
                rows.setdefault(row["_step"], row)
        (about,) = (record.run for record in records if record.HasField("run"))
        config = {one.key: json.loads(one.value_json) for one in about.config.update}
        assert about.project == "fgspec"
        assert config["optimizer"]["learning_rate"] == 0.05
        assert {"small", "lg-fg-a"} <= set(about.tags)
        ends = [record.exit.exit_code for record in records if record.HasField("exit")]
        assert ends == [0 if part == parts[-1] else 1]
    assert _timeless(rows) == lines


def test_trackio_has_one_run_with_every_line_once(run, lines):
    from trackio.sqlite_storage import SQLiteStorage

    assert SQLiteStorage.get_runs("fgspec") == [f"small-{run.name}"]
    logged = SQLiteStorage.get_logs("fgspec", f"small-{run.name}")
    assert len(logged) == len(lines)
    rows = {row.pop("step"): row for row in logged}
    assert (
        _timeless({s: {k: v for k, v in r.items() if "/" in k} for s, r in rows.items()}) == lines
    )
