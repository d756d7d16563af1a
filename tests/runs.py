"""A small spec on real digits, and what two runs of it must have in common."""

import contextlib
import resource
from dataclasses import asdict

import jax
import numpy as np

from fgspec import api
from fgspec.loading.resolved import spec_hash
from fgspec.loading.spec_file import load
from fgspec.training import run_folder as rundir
from fgspec.training.checkpoint import newest
from fgspec.training.logbook import Logbook, read
from fgspec.training.records import write_record
from fgspec.training.run_folder import reopen
from fgspec.training.run_log import SEAL

SPEC = """
fgspec: 1
name: small
rule: {rule}
seed: 3
data: {{source: {{type: digits}}, batch_size: 128}}
architecture: {{type: local_mixer, blocks: 2, patches: 2, channels: 16, groups: 4,
  normalization: {{epsilon: 0.01}}}}
optimizer: {{type: {optimizer}, learning_rate: 0.05, schedule: {{type: linear}}}}
training: {{steps: {steps}, log_every: {{steps: 7}}, evaluate_every: {{steps: 10}}}}
checkpoint: {{every: {{steps: 6}}}}
"""


def stop_after(monkeypatch, calls):
    """Make runs in this process believe that they are told to stop after so many calls."""

    @contextlib.contextmanager
    def signals():
        asked = iter(range(1, 10**6))
        yield lambda: next(asked) >= calls

    monkeypatch.setattr(api, "stop_signals", signals)


@contextlib.contextmanager
def largest_file(size):
    """Let the system refuse to write larger files, as a full disk does."""
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))


def write_spec(folder, rule="lg-fg-a", optimizer="sgd", steps=25):
    """Write the spec; an epoch has 11 steps, so a run crosses two ends of one."""
    path = folder / "small.yaml"
    path.write_text(SPEC.format(rule=rule, optimizer=optimizer, steps=steps))
    return path


def lines(run):
    """The metrics of a run without times, which no two runs share."""
    return [
        {k: v for k, v in line.items() if not k.startswith(("perf/", "data/"))}
        for line in read(run / "metrics.jsonl")
    ]


def final_state(run):
    """The newest checkpoint of a run."""
    found, loaded = reopen(run)
    program = api.compile(loaded)
    template = jax.eval_shape(lambda: program.init(loaded.experiment.seed))
    restored = newest(found.checkpoints, rundir.began_as(found, loaded), template)
    assert restored is not None
    return restored


def assert_same(run, other):
    """Both runs ended with the same bits, and wrote the same metrics on the way."""
    assert lines(run) == lines(other)
    a, b = final_state(run), final_state(other)
    assert a.step == b.step
    for x, y in zip(jax.tree.leaves(a.state), jax.tree.leaves(b.state), strict=True):
        assert np.asarray(x).tobytes() == np.asarray(y).tobytes()


def invent(folder, spec, overrides=(), lines=(), status="done"):
    """Write the folder of a run that was never trained; returns it."""
    loaded = load(spec, overrides)
    run = rundir.create(loaded, folder)
    hashes = {"spec": spec_hash(loaded), "data": ""}
    versions = {"packages": {"jax": "0"}, "devices": [{"kind": "cpu", "count": 1}]}
    write_record(run.provenance, {"hashes": hashes} | versions)
    with Logbook(run.metrics) as logbook:
        for line in lines:
            logbook.write(line["step"], {k: v for k, v in line.items() if k != "step"})
        if status:
            sealed = {SEAL: asdict(logbook.seal())}
            rundir.write_summary(run, status, 0, logbook.last_values(), sealed)
    return run.path
