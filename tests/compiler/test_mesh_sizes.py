"""Which meshes are refused, what stages are made of, and what is said of devices not here."""

from pathlib import Path

import jax
import pytest
from compiled_traffic import compiled_traffic

from compiler.cost.pipeline_stages import balance, schedule, stages, utilisation
from compiler.cost.scaling import Machine, predict
from compiler.plan.plan import make_plan
from compiler.plan.sharding import layout_of
from fgspec.check.mesh import device_problems
from fgspec.cli import plan_
from fgspec.cli.arguments import ArgumentError
from fgspec.data.describe import describe
from fgspec.loading.spec_file import loads
from fgspec.spec.mesh import fill

SPEC = """
fgspec: 1
name: a
rule: lg-fg-a
data: {source: {type: digits}, batch_size: 12}
architecture: {type: local_mixer, patches: 2, channels: 32, groups: 8, blocks: 4}
training: {steps: 8}
"""


def _experiment(mesh="{}"):
    return loads(f"{SPEC}mesh: {mesh}\n").experiment


def _plan(mesh="{}"):
    experiment = _experiment(mesh)
    return make_plan(experiment, describe(experiment.data.source))


@pytest.mark.parametrize(
    ("mesh", "devices", "backend", "wanted"),
    [
        ("{data: 2, group: 4}", 8, "gpu", []),
        ("{data: 2, group: -1}", 8, "gpu", []),
        ("{data: 4}", 8, "gpu", []),
        (
            "{data: 6}",
            4,
            "gpu",
            ["data: needs 6 devices, but 4 devices are available; use at most 4"],
        ),
        (
            "{data: 2, group: 2}",
            1,
            "cpu",
            [
                "data: needs 4 devices, but 1 device is available; use fewer, or set "
                "XLA_FLAGS=--xla_force_host_platform_device_count=4 to simulate"
            ],
        ),
        (
            "{data: 3, group: -1}",
            8,
            "gpu",
            [
                "group: takes the rest of 8 devices, but the other axes need 3, which does "
                "not divide 8; nearest: 1, 2, 4 for the other axes"
            ],
        ),
        (
            "{data: -1}",
            8,
            "gpu",
            [
                "data: is 8 on 8 devices and must divide the 12 examples of a batch; "
                "nearest: 4, 6, 12"
            ],
        ),
    ],
)
def test_meshes_that_the_devices_cannot_be(mesh, devices, backend, wanted):
    found = device_problems(_experiment(mesh), devices, backend)
    assert [f"{problem.path[1]}: {problem.message}" for problem in found] == wanted


def test_what_is_left_is_filled():
    experiment = _experiment("{data: -1, group: 2}")
    assert fill(experiment.mesh, 8).data == 4
    assert experiment.on(fill(experiment.mesh, 8)).mesh.group == 2


def test_rules_come_in_order_and_use_an_axis_once():
    mesh = (
        "{group: 4, data: 2, rules: "
        "[{axis: patch, over: group}, {axis: group, over: group}, {axis: batch, over: data}]}"
    )
    layout = layout_of(_experiment(mesh).mesh)
    axes = ("batch", "patch", "group", "channel")
    assert layout.split(axes, (12, 4, 8, 4)) == ("data", "group", None, None)
    assert layout.split(axes, (12, 3, 8, 4)) == ("data", None, "group", None)
    assert layout.split(axes, (11, 1, 1, 4)) == (None, None, None, None)
    assert layout.split((None, "group", None), (4, 8, 4)) == (None, "group", None)


def test_stages_are_balanced_and_cover_all_units():
    plan = _plan("{stage: 3}")
    spans = stages(plan)
    assert [index for span in spans for index in span] == list(range(4))
    assert min(map(len, spans)) == 1
    assert 0.5 < balance(plan) <= 1
    assert utilisation(plan, 100) == pytest.approx(100 / 102 * balance(plan))


def test_a_long_call_is_drawn_to_where_it_repeats():
    assert list(schedule(_plan("{stage: 2}"), 30, shown=3))[:3] == [
        "tick                               0 1 2 3 ...",
        "stage 0  block0-block1             0 1 2 3 ...",
        "stage 1  block2-block3, classifier . 0 1 2 ...",
    ]


def test_a_prediction_adds_up():
    slow = predict(_plan("{data: 2, group: 4}"), Machine(1e9, 1e6))
    fast = predict(_plan("{data: 2, group: 4}"), Machine(2e9, 1e6))
    assert slow.computing == pytest.approx(2 * fast.computing)
    assert slow.sending == pytest.approx(sum(slow.traffic.values()) / 1e6)
    assert predict(_plan(), Machine()).sending == 0
    assert slow.state < predict(_plan(), Machine()).state


def test_plan_answers_for_devices_that_are_not_here(tmp_path, capsys):
    path = tmp_path / "a.yaml"
    path.write_text(SPEC)
    plan_.run(path, None, "data=2,group=4", None, None, False, None)
    told = capsys.readouterr().out
    assert "8, each with 100 TFLOP/s and 50 GB/s to the others" in told
    assert "2 data x 4 group; batch over data, group over group" in told
    assert "mesh.data=4" in told


def test_an_axis_of_a_mesh_takes_the_devices_that_are_here(tmp_path, capsys):
    path = tmp_path / "a.yaml"
    path.write_text(SPEC)
    plan_.run(path, None, "data=-1", None, None, False, None)
    assert f"{jax.device_count()}, each with 100 TFLOP/s" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("mesh", "complaint"),
    [
        ("dat=2", "did you mean data"),
        ("data", "data needs a number"),
        ("data=-2", "data needs a number"),
        ("data=2,data=4", "names an axis twice"),
    ],
)
def test_meshes_that_are_misspelt(mesh, complaint):
    with pytest.raises(ArgumentError, match=complaint):
        plan_.run(Path("a.yaml"), None, mesh, None, None, False, None)


def test_loops_count_as_often_as_they_run():
    text = """HloModule a
%body (p: f32[4]) -> f32[4] {
  %r = f32[4,2]{1,0} all-reduce(%p), replica_groups=[2,2]<=[2,2]T(1,0), to_apply=%add
  %s = (f32[8], s8[8]) all-gather(%p), replica_groups={{0,1},{2,3}}, dimensions={0}
}
ENTRY %main (p: f32[4]) -> f32[4] {
  %w = f32[4] while(%p), condition=%c, body=%body, backend_config={"known_trip_count":{"n":"3"}}
  %n = f32[6] all-reduce(%p), replica_groups=mesh['a'=2,'b'=2] {'a'}, to_apply=%add
  %q = f32[5] collective-permute(%p), source_target_pairs={{0,1},{2,3}}
}
"""
    assert compiled_traffic(text, (("data", 2), ("group", 2))) == {
        ("all-reduce", "data"): 3 * 32 + 24,
        ("all-gather", "group"): 3 * 20,
        ("collective-permute", "group"): 20,
    }
