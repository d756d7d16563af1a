"""A sweep of two arms with two seeds, and runs of it that train nothing."""

import sys
from pathlib import Path

from fgspec.sweeps import engine
from fgspec.sweeps.expand import load_sweep
from fgspec.sweeps.folder import SweepDir, record, reopen

SPEC = """\
fgspec: 1
name: tiny
data: {source: {type: digits}, batch_size: 128}
architecture: {type: mlp, hidden: [4]}
optimizer: {type: sgd}
training: {steps: 4, evaluate_every: {steps: 2}, log_every: {steps: 1}}
checkpoint: {every: {steps: 1}}
"""
SWEEP = """\
fgspec: 1
name: two
base: tiny.yaml
grid: {optimizer.learning_rate: [0.1, 0.2]}
seeds: [0, 1]
"""


def write_sweep(path):
    """Write the sweep, and the spec that its arms change."""
    (path / "tiny.yaml").write_text(SPEC)
    (path / "two.yaml").write_text(SWEEP)


def planned_in(path):
    """A sweep's folder below `path`, the current one, with four runs to be done."""
    write_sweep(path)
    sweep = load_sweep("two.yaml")
    folder = SweepDir(Path("runs/two"))
    planned = record(folder, sweep, {arm.label: 4 for arm in sweep.arms})
    assert reopen(folder.path) == (folder, planned)
    return folder, planned


def pretend(monkeypatch, planned, script):
    """Runs are processes that only write the folder of a run, `run`, after `script`.

    `first` tells the script whether it is the first try; an exit ends it before a run is written.
    """
    folder, todo = planned
    source = (
        "import json, os, pathlib, signal, sys, time\n"
        "sha, name, tries, *_ = sys.argv[1:]\n"
        "run = pathlib.Path(name)\n"
        "first = not pathlib.Path(tries).exists()\n"
        "pathlib.Path(tries).touch()\n"
        f"{script}\n"
        "run.mkdir(parents=True, exist_ok=True)\n"
        "(run / 'provenance.json').write_text(json.dumps({'hashes': {'spec': sha}}))\n"
        "(run / 'summary.json').write_text(json.dumps({'status': 'done'}))\n"
    )

    def command(folder, found):
        sha, run = found.planned.sha256, str(engine.place(folder, found))
        return [sys.executable, "-S", "-c", source, sha, run, f"tried-{sha}"]

    monkeypatch.setattr(engine, "command", command)
    return folder, todo
