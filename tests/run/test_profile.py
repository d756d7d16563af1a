"""A traced run is the run it would have been, and its trace names the parts of the update."""

import gzip
import io
import json
from pathlib import Path

import networks
import pytest
import runs
from rich.console import Console

import fgspec
from compiler.cost.scopes import scope, scopes
from fgspec.training.loop import Functions
from fgspec.training.profile import Profile, profiled, shares

PARTS = {"perturbations", "forward", "tangents", "losses", "pull-back", "readouts", "optimizer"}


def _train(folder, **options):
    said = io.StringIO()
    spec = runs.write_spec(folder, steps=16)
    summary = fgspec.train(spec, run_dir=folder, console=Console(file=said, width=300), **options)
    return Path(summary["run"]), said.getvalue()


@pytest.fixture(scope="module")
def plain(tmp_path_factory):
    return _train(tmp_path_factory.mktemp("plain"))[0]


def _events(run):
    (path,) = (run / "profile").glob("steps_*.trace.json.gz")
    with gzip.open(path, "rt") as file:
        trace = json.load(file)
    assert trace["displayTimeUnit"] == "ns"
    return path.name, trace["traceEvents"]


def test_a_traced_run_is_the_same_run(plain, tmp_path):
    run, said = _train(tmp_path, profile=3)
    runs.assert_same(run, plain)
    assert not (plain / "profile").exists()
    name, events = _events(run)
    assert name == "steps_11-13.trace.json.gz"
    assert f"profile of steps 11 to 13: {run / 'profile' / name}" in said
    assert "https://ui.perfetto.dev" in said
    steps = [e["args"]["step_num"] for e in events if e.get("name") == "update"]
    assert steps == ["11", "12", "13"]
    named = {e["args"]["scope"].split("/")[0] for e in events if "scope" in e.get("args", {})}
    assert named >= PARTS
    modules = {e["args"]["hlo_module"] for e in events if "hlo_module" in e.get("args", {})}
    assert "jit_updates" in modules
    parts = shares(events)
    assert sum(parts.values()) == pytest.approx(1)
    assert parts.get("other", 0) < 0.5


@pytest.mark.parametrize("name", ["update", "evaluate", "diagnose"])
def test_a_compiled_program_is_called_by_what_it_does(name):
    made = networks.program("bp")
    lowered = getattr(made, name).lower(made.abstract(), networks.batch_of())
    assert lowered.as_text().startswith(f"module @jit_{name} ")


@pytest.mark.parametrize(
    ("span", "traced"),
    [((0, 40), "11-14"), ((0, 6), "3-6"), ((20, 40), "31-34"), ((38, 40), "39-40")],
    ids=["whole", "short", "resumed", "nearly done"],
)
def test_steps_are_traced_once_warm(tmp_path, span, traced):
    assert _trace(tmp_path, span, range(*span)) == [f"steps_{traced}.trace.json.gz"]


def test_a_call_may_make_many_steps(tmp_path):
    calls = range(0, 40, 8)
    assert _trace(tmp_path, (0, 40), calls, steps_per_call=8) == ["steps_17-24.trace.json.gz"]


def test_a_run_that_stops_leaves_what_was_traced(tmp_path):
    assert _trace(tmp_path, (0, 40), range(12)) == ["steps_11-12.trace.json.gz"]


def test_a_run_that_is_done_has_nothing_to_trace(tmp_path):
    said = []
    assert _trace(tmp_path, (40, 40), (), said) == []
    assert said == ["profile: none, because the run ended before the update was warm"]


def _trace(folder, span, calls, said=None, **options):
    """The files that four traced steps of an update that does nothing leave."""
    said = [] if said is None else said
    functions = Functions(*[lambda *state_and_batch: state_and_batch] * 5)
    profile = Profile(4, dict, **options)
    with profiled(functions, profile, span, folder, said.append) as program:
        for step in calls:
            assert program.updates(step, {}) == (step, {})
    assert len(said) == 1
    return [path.name for path in folder.glob("steps_*")]


def test_more_steps_than_the_run_has_are_refused(tmp_path):
    with pytest.raises(fgspec.UserError, match="profile: the run has only 16 steps; trace fewer"):
        _train(tmp_path, profile=17)
    assert not (tmp_path / "small").exists()


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("jit(update)/jvp(forward/block=block0)/dot_general", "forward/block0"),
        ("jit(update)/transpose(jvp(forward/block=my-1))/npgc,pq->nqgc/dot", "backward/my-1"),
        ("jit(update)/while/body/tangents/jvp(forward/block=block1)/mul", "tangents/block1"),
        ("jit(update)/tangents/jvp(losses)/exp", "tangents"),
        ("jit(update)/pull-back/block=b/transpose(jvp(npgc,gcd->npgd))/dot", "pull-back/b"),
        ("jit(update)/perturbations/jit(_threefry_fold_in)/while/body/add", "perturbations"),
        ("jit(update)/readouts/transpose(readouts)/jvp(losses)/mul", "readouts"),
        ("jit(update)/jvp()/mul", ""),
        ("", ""),
    ],
)
def test_scope_of_an_operation(name, expected):
    assert scope(name) == expected


def test_scopes_of_a_program():
    text = """HloModule jit_update, is_scheduled=true

%fused (p: f32[2]) -> f32[2] {
  ROOT %add.1 = f32[2]{0} add(p, p), metadata={op_name="jit(update)/optimizer/add"}
}
ENTRY %main {
  %dot.2 = f32[2]{0} dot(a, b), metadata={scheduling_name="x" op_name="jit(update)/views/dot"}
  ROOT copy.3 = f32[2]{0} copy(dot.2)
}
"""
    module = "jit_update"
    assert scopes(text) == {(module, "add.1"): "optimizer", (module, "dot.2"): "views"}
    assert scopes("") == {}
