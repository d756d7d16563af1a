"""`fgspec bench`: turns, paired ratios and what it writes; times themselves are not tested."""

import json
import sys
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import runs

from compiler.cost.compiled import abstract_arguments, random_records
from fgspec import api
from fgspec.bench.measure import FEWEST, Measured, Subject, measure, spread, times
from fgspec.bench.plot import draw

SPECS = Path(__file__).parents[2] / "specs"


class Bench:
    """A clock that only updates move, and updates that take as long as they are told."""

    def __init__(self):
        self.now = 0.0
        self.order = []

    def clock(self):
        return self.now

    def subject(self, name, seconds, steps=1, loss=1.0):
        """An update whose state counts its calls; `seconds` may depend on the time."""

        def call(state, batch):
            self.now += seconds(self.now) if callable(seconds) else seconds
            self.order += [name] if self.order[-1:] != [name] else []
            return {"calls": state["calls"] + 1}, {"loss": jnp.float32(loss)}

        return Subject(name, call, {"calls": jnp.int32(0)}, {"image": jnp.zeros(3)}, steps)


def test_ratios_are_taken_within_a_round():
    bench = Bench()
    weather = lambda base: lambda now: base * (1 + 4 * (now > 40))  # noqa: E731 five times slower
    subjects = [bench.subject("a", weather(1.0)), bench.subject("b", weather(3.0))]
    a, b = measure(subjects, 9, bench.clock)
    assert a.seconds[0] == pytest.approx(1.0)
    assert a.seconds[-1] == pytest.approx(5.0)
    ratio = times(b, a, 10)["ratio"]
    assert ratio["median"] == pytest.approx(3.0)
    assert (ratio["lower_quartile"], ratio["upper_quartile"]) == pytest.approx((3.0, 3.0))
    assert times(a, a, 10)["ratio"]["rounds"] == [1.0] * 9


def test_turns_are_interleaved_and_each_begins_a_round():
    bench = Bench()
    measure([bench.subject(name, 1.0) for name in "abc"], 3, bench.clock)
    assert "".join(bench.order) == "abc" + "abc" + "bca" + "cab"


def test_a_turn_has_as_many_calls_as_are_worth_it():
    bench = Bench()
    quick, slow = measure(
        [bench.subject("q", 0.03), bench.subject("s", 3.0)], rounds=2, clock=bench.clock
    )
    assert (quick.calls, slow.calls) == (7, FEWEST)
    assert quick.seconds == pytest.approx([0.03, 0.03])
    assert slow.seconds == pytest.approx([3.0, 3.0])


def test_calls_that_make_many_steps():
    bench = Bench()
    (found,) = measure([bench.subject("a", 8.0, steps=4)], rounds=1, clock=bench.clock)
    assert found.seconds == pytest.approx([2.0])
    found = times(found, found, examples=128)
    assert found["steps_per_s"] == pytest.approx(0.5)
    assert found["examples_per_s"] == pytest.approx(64.0)


def test_the_state_travels_from_call_to_call_and_the_callers_is_kept():
    seen = []

    @jax.jit
    def step(state, batch):
        return {"w": state["w"] + batch["x"]}, {"loss": state["w"].sum()}

    donating = jax.jit(step, donate_argnums=0)

    def call(state, batch):
        state, metrics = donating(state, batch)
        seen.append(float(metrics["loss"]))
        return state, metrics

    state = {"w": jnp.arange(3.0)}
    measure([Subject("a", call, state, {"x": jnp.ones(3)})], rounds=1)
    assert seen == [3.0 + 3.0 * index for index in range(len(seen))]
    np.testing.assert_array_equal(state["w"], [0.0, 1.0, 2.0])


def test_losses_that_are_not_finite_are_told():
    bench = Bench()
    good, bad = measure(
        [bench.subject("a", 1.0), bench.subject("b", 1.0, loss=np.nan)], 1, bench.clock
    )
    assert (good.finite, bad.finite) == (True, False)


def test_spread():
    found = spread([4.0, 1.0, 2.0, 3.0, 100.0])
    assert (found["lower_quartile"], found["median"], found["upper_quartile"]) == (2.0, 3.0, 4.0)
    assert found["rounds"] == [4.0, 1.0, 2.0, 3.0, 100.0]
    assert times(Measured([2.0], 1, True), Measured([4.0], 1, True), 1)["ratio"]["median"] == 0.5


@pytest.mark.parametrize("name", ["cifar10_m_8_16/lg_fg_a", "mnist_s_1_1/bp"])
def test_batches_have_real_shapes_without_data(name):
    program = api.compile(SPECS / "ren2022" / "table3" / f"{name}.yaml")
    batch = random_records(program)
    _, expected, _ = abstract_arguments(program)
    assert {n: (x.shape, x.dtype) for n, x in batch.items()} == {
        n: (x.shape, x.dtype) for n, x in expected.items()
    }
    assert set(np.unique(batch["label"])) == set(range(10))
    assert int(batch["image"].min()) == 0
    assert int(batch["image"].max()) == 255


@pytest.fixture(autouse=True)
def _in_an_empty_folder(monkeypatch, tmp_path):
    monkeypatch.chdir(tmp_path)


def test_specs_from_end_to_end(fgspec, tmp_path, monkeypatch):
    monkeypatch.setattr("fgspec.bench.measure.TURN", 0.001)
    (tmp_path / "bp").mkdir()
    spec, bp = runs.write_spec(tmp_path), runs.write_spec(tmp_path / "bp", rule="bp")
    small = ["data.batch_size=8", "architecture={type: mlp, hidden: [8]}"]
    sets = [word for change in small for word in ("--set", change)]
    options = [*sets, "--against", "bp/small.yaml", "--json", "b.json", "--rounds", 2]
    code, out, err = fgspec("bench", spec, bp, spec, *options)
    assert (code, err) == (0, "")
    assert "ratio to small (2)" in out
    assert "small (3)" in out
    found = json.loads(Path("b.json").read_text())
    assert (found["version"], found["rounds"], found["against"]) == (1, 2, "small (2)")
    assert found["overrides"] == small
    assert found["environment"]["packages"]["jax"] == jax.__version__
    assert found["environment"]["devices"]
    assert found["environment"]["cpus"]
    first, reference, again = found["specs"]
    assert reference["ratio"]["rounds"] == [1.0, 1.0]
    assert first["ratio"]["rounds"] == [
        mine / other
        for mine, other in zip(
            first["step_time_s"]["rounds"], reference["step_time_s"]["rounds"], strict=True
        )
    ]
    assert {name: _shape(value) for name, value in first.items()} == {
        "name": "str",
        "file": "str",
        "sha256": "str",
        "batch_size": "int",
        "steps_per_call": "int",
        "calls_per_round": "int",
        "finite": "bool",
        "compile_s": {"lowering": "float", "xla": "float"},
        "memory": {"temporary_bytes": "int", "argument_bytes": "int", "state_bytes": "int"},
        "flops": {"plan": "int", "xla": "float"},
        "step_time_s": SPREAD,
        "ratio": SPREAD,
        "steps_per_s": "float",
        "examples_per_s": "float",
    }
    for same in ("sha256", "memory", "flops", "batch_size"):
        assert first[same] == again[same]
    assert first["sha256"] != reference["sha256"]
    assert first["batch_size"] == 8
    assert first["memory"]["argument_bytes"] > first["memory"]["state_bytes"] > 0
    assert {path.name for path in tmp_path.iterdir()} == {"small.yaml", "bp", "b.json"}


SPREAD = {
    "median": "float",
    "lower_quartile": "float",
    "upper_quartile": "float",
    "rounds": ["float", "float"],
}


def _shape(value):
    if isinstance(value, dict):
        return {name: _shape(part) for name, part in value.items()}
    return [_shape(part) for part in value] if isinstance(value, list) else type(value).__name__


RESULTS = {
    "against": "a",
    "specs": [
        {
            "name": name,
            "step_time_s": spread([0.1, 0.2, 0.3]),
            "ratio": spread([1.0, 1.0, 2.0]),
            "memory": {"temporary_bytes": 2**20},
        }
        for name in ("a", "b", "b (2)")
    ],
}


def test_a_plot_is_a_png(tmp_path, monkeypatch):
    monkeypatch.setenv("MPLCONFIGDIR", str(tmp_path / "settings"))
    pytest.importorskip("matplotlib")
    draw(RESULTS, tmp_path / "a.png")
    assert (tmp_path / "a.png").read_bytes().startswith(b"\x89PNG")


GOOD = "fgspec: 1\nname: a\ntraining: {epochs: 2}\narchitecture: {type: mlp}\n"


@pytest.mark.parametrize(
    ("arguments", "complaint"),
    [
        (["missing.yaml"], "missing.yaml:"),
        (["good.yaml", "bad.yaml"], "bad.yaml:1:7: seed: must be >= 0"),
        (["good.yaml", "--against", "bad.yaml"], "bad.yaml:1:7: seed: must be >= 0"),
        (["good.yaml", "--set", "seed=-1"], "--set: seed: must be >= 0"),
        (
            ["good.yaml", "--set", "mesh.data=2"],
            "mesh.data: needs 2 devices, but 1 device is available",
        ),
        (["good.yaml", "--json", "no/b.json"], "bench: --json no/b.json"),
        (["good.yaml", "--json", "."], "bench: --json .: is a folder"),
        (["good.yaml", "--plot", "b.pdf"], "must end in .png"),
        (["good.yaml", "--plot", "b.png"], "needs matplotlib, which is not installed"),
        (["good.yaml", "--rounds", "0"], "--rounds"),
        (["good.yaml", "--rounds", "many"], "--rounds"),
        ([], "SPEC"),
    ],
    ids=" ".join,
)
def test_mistakes_are_told_before_anything_is_measured(
    fgspec, monkeypatch, tmp_path, arguments, complaint
):
    monkeypatch.setitem(sys.modules, "matplotlib", None)
    monkeypatch.setitem(sys.modules, "matplotlib.figure", None)
    (tmp_path / "good.yaml").write_text(GOOD)
    (tmp_path / "bad.yaml").write_text("seed: -1\n" + GOOD)
    code, out, err = fgspec("bench", *arguments)
    assert (code, out) == (2, "")
    assert complaint in err
    assert {path.name for path in tmp_path.iterdir()} == {"good.yaml", "bad.yaml"}


def test_memory_that_runs_out_is_told_in_a_line(fgspec, tmp_path):
    """Of a batch that NumPy, and of weights that XLA cannot hold."""
    (tmp_path / "good.yaml").write_text(GOOD)
    source = "data.source={type: synthetic, image: [%s], train_examples: 1000000000}"
    batch = ["--set", source % "32, 32, 3", "--set", "data.batch_size=1000000000"]
    hidden = "architecture.hidden=[1000000, 1000000]"
    weights = ["--set", source % "1, 1, 3", "--set", hidden]
    for words in (batch, weights):
        code, out, err = fgspec("bench", "good.yaml", *words)
        assert (code, out) == (1, "")
        assert err.startswith("a: needs more memory than there is (")
        assert err.endswith("); a smaller batch or network takes less\n")
        assert err.count("\n") == 1


def test_help_has_an_example(fgspec):
    code, out, _ = fgspec("bench", "--help")
    assert code == 0
    assert "Example: fgspec bench" in out
