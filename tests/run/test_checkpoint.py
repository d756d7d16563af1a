import hashlib
import logging
import shutil
from pathlib import Path
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import runs
from jax.sharding import AxisType, NamedSharding, PartitionSpec

from fgspec.errors import ResumeError, RunError
from fgspec.training.checkpoint import Checkpointer, newest
from fgspec.training.steps import steps_in

IDENTITY = hashlib.sha256(b"spec").hexdigest()


class Moments(NamedTuple):
    mu: dict[str, jax.Array]
    nothing: tuple[()]


class State(NamedTuple):
    step: jax.Array
    params: dict[str, jax.Array]
    moments: Moments
    key: jax.Array


def make_state(seed: int) -> State:
    weights = np.random.default_rng(seed).standard_normal((64, 33)).astype(np.float32)
    bits = weights.view(np.uint32)
    bits[0, :4] = [0x7FC00001, 0xFFC0BEEF, 0x7F800000, 0x80000000]  # NaNs with payload, inf, -0.0
    half = weights.astype(jnp.bfloat16)
    half.view(np.uint16)[0, 0] = 0x7FC3
    return State(
        step=jnp.asarray(seed, jnp.int32),
        params={"w": jnp.asarray(weights), "a/b.c": jnp.asarray(half), "none": jnp.zeros((0, 3))},
        moments=Moments(mu={"w": jnp.asarray(-weights)}, nothing=()),
        key=jax.random.key_data(jax.random.key(seed)),
    )


def template_of(state: Any) -> Any:
    return jax.tree.map(lambda leaf: jax.ShapeDtypeStruct(leaf.shape, leaf.dtype), state)


def assert_same_bits(actual: Any, expected: Any) -> None:
    assert jax.tree.structure(actual) == jax.tree.structure(expected)
    for one, other in zip(jax.tree.leaves(actual), jax.tree.leaves(expected), strict=True):
        assert isinstance(one, jax.Array)
        assert (one.dtype, one.shape) == (other.dtype, other.shape)
        assert np.asarray(one).tobytes() == np.asarray(other).tobytes()


def save_steps(directory: Path, *steps: int, keep: int = 3) -> None:
    checkpointer = Checkpointer(directory, keep=keep, identity=IDENTITY)
    for step in steps:
        checkpointer.save(step, make_state(step), {"cursor": step})
    checkpointer.close()


def restore(directory: Path, template: Any = None, identity: str = IDENTITY) -> Any:
    checkpointer = Checkpointer(directory, keep=3, identity=identity)
    try:
        return checkpointer.restore(template_of(make_state(0)) if template is None else template)
    finally:
        checkpointer.close()


def data_files(step_directory: Path) -> list[Path]:
    files = [path for path in step_directory.rglob("*") if path.is_file()]
    return sorted(files, key=lambda path: path.stat().st_size, reverse=True)


def flip_bit(path: Path, position: int) -> None:
    content = bytearray(path.read_bytes())
    content[position] ^= 1 << (position % 8)
    path.write_bytes(content)


def test_nothing_saved_restores_nothing(tmp_path):
    assert restore(tmp_path / "checkpoints") is None


def test_round_trip_is_bitwise(tmp_path):
    save_steps(tmp_path, 1, 2)
    restored = restore(tmp_path)
    assert (restored.step, restored.extra) == (2, {"cursor": 2})
    assert_same_bits(restored.state, make_state(2))


def test_extra_comes_back_as_json(tmp_path):
    checkpointer = Checkpointer(tmp_path, keep=1, identity=IDENTITY)
    extra = {"list": (1, 2), "float": 0.1, "nested": {"none": None, "text": "ä"}, "10": 1, "9": 2}
    checkpointer.save(1, {"w": jnp.ones(2)}, extra)
    restored = checkpointer.restore({"w": jax.ShapeDtypeStruct((2,), jnp.float32)})
    checkpointer.close()
    assert restored is not None
    assert restored.extra == {**extra, "list": [1, 2]}


def test_saved_state_survives_donation(tmp_path):
    state = {"w": jnp.arange(300_000, dtype=jnp.float32)}
    template = template_of(state)
    scramble = jax.jit(lambda s: {"w": s["w"] * 0 - 1}, donate_argnums=0)
    checkpointer = Checkpointer(tmp_path, keep=5, identity=IDENTITY)
    for step in range(3):
        state = {"w": jnp.arange(300_000, dtype=jnp.float32) + step}
        before = state["w"].unsafe_buffer_pointer()
        checkpointer.save(step, state, {})
        after = jax.block_until_ready(scramble(state))
        assert after["w"].unsafe_buffer_pointer() == before  # the copy does not hinder donation
        restored = checkpointer.restore(template)
        assert restored is not None
        assert_same_bits(restored.state, {"w": jnp.arange(300_000, dtype=jnp.float32) + step})
    checkpointer.close()


def test_restored_state_can_be_donated(tmp_path):
    save_steps(tmp_path, 1)
    restored = restore(tmp_path)
    shifted = jax.jit(lambda s: s._replace(step=s.step + 1), donate_argnums=0)(restored.state)
    assert_same_bits(shifted, make_state(1)._replace(step=jnp.asarray(2, jnp.int32)))


def test_restores_into_the_templates_sharding(tmp_path):
    save_steps(tmp_path, 1)
    count = 4 if len(jax.devices()) >= 4 else 1
    mesh = jax.make_mesh((count,), ("data",), (AxisType.Auto,), devices=jax.devices()[:count])
    split = NamedSharding(mesh, PartitionSpec("data"))
    whole = NamedSharding(mesh, PartitionSpec())

    def placed(leaf):
        sharding = split if leaf.shape[:1] == (64,) else whole
        return jax.ShapeDtypeStruct(leaf.shape, leaf.dtype, sharding=sharding)

    state = restore(tmp_path, jax.tree.map(placed, make_state(0))).state
    assert state.params["w"].sharding == split
    assert state.key.sharding == whole
    assert_same_bits(state, make_state(1))

    again = Checkpointer(tmp_path, keep=3, identity=IDENTITY)
    again.save(2, state, {})
    again.close()
    assert_same_bits(restore(tmp_path).state, make_state(1))


def test_a_reader_lists_again_when_the_writer_removes_what_it_reads(tmp_path, monkeypatch):
    writer = Checkpointer(tmp_path, keep=1, identity=IDENTITY)
    writer.save(1, make_state(1), {})
    writer.wait()
    read = Checkpointer._read

    def slow(self, step, template):
        if step == 1:
            writer.save(2, make_state(2), {})
            writer.wait()
        return read(self, step, template)

    monkeypatch.setattr(Checkpointer, "_read", slow)
    restored = newest(tmp_path, IDENTITY, template_of(make_state(0)))
    writer.close()
    assert restored is not None
    assert restored.step == 2
    assert_same_bits(restored.state, make_state(2))


def test_a_save_that_fails_in_the_background_is_an_error_of_the_system(tmp_path, capfd):
    checkpointer = Checkpointer(tmp_path, keep=1, identity=IDENTITY)
    checkpointer.save(1, make_state(1), {})  # the first is waited for, and read back
    with runs.largest_file(1000):
        checkpointer.save(2, make_state(2), {})
        with pytest.raises(OSError, match="File too large") as failed:
            checkpointer.close()
    assert failed.value.filename == str(tmp_path)
    assert capfd.readouterr() == ("", "")


def test_keeps_the_newest_also_over_openings(tmp_path):
    save_steps(tmp_path, 1, 2, 3)
    checkpointer = Checkpointer(tmp_path, keep=2, identity=IDENTITY)
    assert checkpointer.restore(template_of(make_state(0))) is not None
    checkpointer.save(4, make_state(4), {})
    checkpointer.close()
    assert sorted(path.name for path in tmp_path.iterdir()) == ["3", "4"]


def test_saving_a_step_twice_is_harmless(tmp_path):
    checkpointer = Checkpointer(tmp_path, keep=2, identity=IDENTITY)
    checkpointer.save(1, make_state(1), {})
    checkpointer.save(1, make_state(1), {})
    checkpointer.close()
    again = Checkpointer(tmp_path, keep=2, identity=IDENTITY)
    assert again.restore(template_of(make_state(0))) is not None
    again.save(1, make_state(1), {})
    again.close()
    assert [path.name for path in tmp_path.iterdir()] == ["1"]


def test_any_flipped_bit_is_noticed_or_harmless(tmp_path, caplog):
    save_steps(tmp_path / "good", 1, 2)
    relative = [path.relative_to(tmp_path / "good") for path in data_files(tmp_path / "good" / "2")]
    noticed = set()
    for number, name in enumerate(relative):
        size = (tmp_path / "good" / name).stat().st_size
        for part, position in enumerate((size // 3, size // 2, size - 1)):
            directory = tmp_path / f"{number}-{part}"
            shutil.copytree(tmp_path / "good", directory)
            flip_bit(directory / name, position)
            restored = restore(directory)
            assert restored.step in (1, 2)
            assert_same_bits(restored.state, make_state(restored.step))
            assert restored.extra == {"cursor": restored.step}
            if restored.step == 1:
                noticed.add(name)
    assert relative[0] in noticed  # the largest file holds the arrays
    assert Path("2/meta/metadata") in noticed
    assert any("SHA-256 differs" in record.message for record in caplog.records)


@pytest.mark.parametrize("damage", ["truncate", "empty", "delete", "no meta", "no state", "bare"])
def test_falls_back_over_a_damaged_step(tmp_path, caplog, damage):
    save_steps(tmp_path, 1, 2)
    newest = tmp_path / "2"
    largest = data_files(newest)[0]
    if damage == "truncate":
        largest.write_bytes(largest.read_bytes()[: largest.stat().st_size // 2])
    elif damage == "empty":
        largest.write_bytes(b"")
    elif damage == "delete":
        largest.unlink()
    elif damage == "bare":
        shutil.rmtree(newest)
        newest.mkdir()
    else:
        shutil.rmtree(newest / damage.removeprefix("no "))
    with caplog.at_level(logging.WARNING, logger="fgspec"):
        restored = restore(tmp_path)
    assert restored.step == 1
    assert_same_bits(restored.state, make_state(1))
    messages = [record.message for record in caplog.records if record.name == "fgspec"]
    assert len(messages) == 1
    assert messages[0].startswith(f"skipped checkpoint {newest}: ")


def test_a_renamed_step_is_not_believed(tmp_path, caplog):
    save_steps(tmp_path, 1, 2)
    (tmp_path / "2").rename(tmp_path / "7")
    assert restore(tmp_path).step == 1
    assert "named 7 but holds step 2" in caplog.text


def test_training_on_replaces_a_damaged_step(tmp_path):
    save_steps(tmp_path, 1, 2, 3)
    data_files(tmp_path / "3")[0].unlink()
    (tmp_path / "2").rename(tmp_path / "9")
    checkpointer = Checkpointer(tmp_path, keep=1, identity=IDENTITY)
    restored = checkpointer.restore(template_of(make_state(0)))
    assert restored is not None
    assert restored.step == 1
    checkpointer.save(2, make_state(2), {"cursor": 2})
    checkpointer.save(3, make_state(3), {"cursor": 3})
    checkpointer.close()
    assert sorted(path.name for path in tmp_path.iterdir()) == ["3", "set-aside-3", "set-aside-9"]
    assert_same_bits(restore(tmp_path).state, make_state(3))


def test_a_fresh_start_beside_old_steps_loses_neither(tmp_path):
    save_steps(tmp_path, 5, 6)
    checkpointer = Checkpointer(tmp_path, keep=1, identity=IDENTITY)
    checkpointer.save(1, make_state(1), {})
    checkpointer.close()
    assert sorted(path.name for path in tmp_path.iterdir()) == ["1", "set-aside-5", "set-aside-6"]


def test_none_intact_names_directory_steps_and_reasons(tmp_path):
    save_steps(tmp_path, 1, 2)
    for step in (1, 2):
        data_files(tmp_path / str(step))[0].unlink()
    with pytest.raises(ResumeError) as caught:
        restore(tmp_path)
    text = str(caught.value)
    assert str(tmp_path) in text
    assert "step 1: " in text
    assert "step 2: " in text


def test_another_identity_is_refused_at_once(tmp_path):
    save_steps(tmp_path, 1, 2)
    data_files(tmp_path / "2")[0].unlink()
    with pytest.raises(ResumeError, match="another experiment"):
        restore(tmp_path, identity=hashlib.sha256(b"other").hexdigest())


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        (lambda s: s._replace(step=jnp.zeros((), jnp.float32)), r"\.step is int32\[\], expected f"),
        (lambda s: s._replace(key=jnp.zeros((2,), jnp.int32)), r"\.key is uint32\[2\], expected i"),
        (lambda s: s._replace(key=jnp.zeros((3,), jnp.uint32)), r"expected uint32\[3\]"),
        (lambda s: s._replace(params={"w": s.params["w"]}), r"it has \.params\['a/b\.c'\]"),
        (lambda s: s._replace(params={**s.params, "v": s.step}), r"it lacks \.params\['v'\]"),
    ],
)
def test_a_template_that_does_not_fit_says_why(tmp_path, change, reason):
    save_steps(tmp_path, 1)
    with pytest.raises(ResumeError, match=reason):
        restore(tmp_path, template_of(change(make_state(0))))


def test_leftovers_are_removed_on_opening(tmp_path):
    save_steps(tmp_path, 1)
    leftover = tmp_path / "2.orbax-checkpoint-tmp" / "state"
    leftover.mkdir(parents=True)
    (leftover / "data").write_text("half")
    assert restore(tmp_path).step == 1
    assert [path.name for path in tmp_path.iterdir()] == ["1"]


@pytest.mark.parametrize(
    "name", ["[2026] thesis", "runs[1]/a", "what?", "a*b", "{x}", "[b]", "[/b]"]
)
def test_any_name_of_a_folder_holds_checkpoints(tmp_path: Path, name: str) -> None:
    directory = tmp_path / name / "checkpoints"
    save_steps(directory, 1, 2)
    found = restore(directory)
    assert found.step == 2
    assert_same_bits(found.state, make_state(2))
    save_steps(directory, 3)  # goes on where others were found
    assert restore(directory).step == 3


def test_a_checkpoint_may_move_to_a_folder_of_another_kind_of_name(tmp_path: Path) -> None:
    for name, other in (("plain", "[other]"), ("[1]", "one")):
        save_steps(tmp_path / name, 1)
        (tmp_path / name).rename(tmp_path / other)
        assert restore(tmp_path / other).step == 1


def test_a_first_checkpoint_that_cannot_be_read_back_is_told(tmp_path: Path, monkeypatch) -> None:
    checkpointer = Checkpointer(tmp_path / "run", keep=2, identity=IDENTITY)
    wait = checkpointer._files.wait

    def lose() -> None:
        wait()
        for file in data_files(tmp_path / "run" / "5" / "state"):
            file.unlink()

    monkeypatch.setattr(checkpointer._files, "wait", lose)
    with pytest.raises(RunError, match="the saved checkpoint cannot be read back"):
        checkpointer.save(5, make_state(5), {})
    monkeypatch.undo()
    checkpointer.close()


def test_names_that_are_no_steps_are_left_alone(tmp_path: Path) -> None:
    directory = tmp_path / "run"
    for name in ("00110", "²", "9" * 200, "-1", "x"):
        (directory / name).mkdir(parents=True)
    assert restore(directory) is None
    save_steps(directory, 1, 2)
    assert restore(directory).step == 2
    assert steps_in(directory) == [1, 2]
    assert (directory / "00110").is_dir()


def test_a_file_in_the_place_of_the_folder_is_told(tmp_path: Path) -> None:
    (tmp_path / "checkpoints").write_text("")
    with pytest.raises(ResumeError, match=r"checkpoints: is a file, but must be the folder"):
        restore(tmp_path / "checkpoints")
