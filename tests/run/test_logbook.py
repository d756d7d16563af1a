import contextlib
import hashlib
import json
import math
import os
import stat
import subprocess
import sys

import jax.numpy as jnp
import numpy as np
import pytest

from fgspec.errors import DamagedRecord
from fgspec.training.logbook import (
    HEADER,
    Logbook,
    Seal,
    kept_at,
    read,
    write_json,
    write_text,
)
from fgspec.training.records import read_record, write_record


def refuse(constant):
    raise AssertionError(f"{constant} is not JSON")


def test_lines_are_flushed_strict_json(tmp_path):
    path = tmp_path / "run" / "metrics.jsonl"
    logbook = Logbook(path, clock=lambda: 1764337391.1234)
    values = {"train/loss": 0.1, "nan": math.nan, "inf": math.inf, "low": -math.inf}
    logbook.write(10, values, {"epoch": 0.5, "learning_rate": 0.05, "examples": "00ff"})
    text = path.read_text()
    head = (
        '{"step": 10, "time": 1764337391.123, "epoch": 0.5, "learning_rate": 0.05, '
        '"examples": "00ff", "train/loss": 0.1, "nan": "nan", "inf": "inf", "low": "-inf"'
    )
    digest = hashlib.sha256(head.encode()).hexdigest()[:16]
    assert text == f'{head}, "digest": "{digest}"}}\n'
    json.loads(text, parse_constant=refuse)
    (line,) = read(path)
    assert line["step"] == 10
    assert math.isnan(line["nan"])
    assert (line["inf"], line["low"]) == (math.inf, -math.inf)
    logbook.close()


@pytest.mark.parametrize("value", [0.1, 1e-320, 1.7976931348623157e308, -0.0, 1 / 3, 2.0, 1e22])
def test_floats_come_back_exactly(tmp_path, value):
    path = tmp_path / "metrics.jsonl"
    with Logbook(path) as logbook:
        logbook.write(1, {"x": value})
    back = read(path)[0]["x"]
    assert isinstance(back, float)
    assert np.float64(back).tobytes() == np.float64(value).tobytes()


def test_takes_arrays_and_numpy_numbers(tmp_path):
    path = tmp_path / "metrics.jsonl"
    with Logbook(path) as logbook:
        logbook.write(
            np.int64(3), {"a": jnp.asarray(0.5), "b": np.float32(0.1), "c": 2, "d": np.inf}
        )
    assert read(path) == [{"step": 3, "a": 0.5, "b": float(np.float32(0.1)), "c": 2.0, "d": np.inf}]


@pytest.mark.parametrize("name", HEADER)
def test_refuses_a_metric_with_the_name_of_another_field(tmp_path, name):
    with Logbook(tmp_path / "metrics.jsonl") as logbook, pytest.raises(ValueError, match=name):
        logbook.write(1, {name: 2.0})


def write(path, steps=(1, 2, 3, 4), seal_at=2):
    """A log of some lines; the seal of it at a step, and the bytes that are sealed."""
    with Logbook(path) as logbook:
        for step in steps:
            logbook.write(step, {"x": step / 10, "y": math.nan}, {"epoch": step / 11})
            if step == seal_at:
                seal, data = logbook.seal(), path.read_bytes()
    return seal, data


def test_what_is_sealed_stays_and_later_lines_are_dropped_damaged_or_not(tmp_path):
    path = tmp_path / "metrics.jsonl"
    seal, data = write(path)
    path.write_bytes(path.read_bytes().replace(b'"step": 3', b'"step": 8') + b'{"step": 5, "x": 0.')
    with pytest.raises(DamagedRecord, match=r"metrics\.jsonl:3: this line is damaged"):
        read(path)
    assert kept_at(path, 2, "checkpoint 2", seal) == data
    with Logbook(path, data) as logbook:
        assert path.read_bytes() == data
        logbook.write(3, {"x": 0.5})
        assert logbook.last_values()["x"] == 0.5
        assert logbook.seal() == Seal.of(path.read_bytes())
    assert [line["x"] for line in read(path)] == [0.1, 0.2, 0.5]
    assert list(tmp_path.iterdir()) == [path]


def test_a_log_of_before_seals_is_kept_up_to_a_step(tmp_path):
    path = tmp_path / "metrics.jsonl"
    lines = [f'{{"step": {step}, "x": {step}.5}}\n' for step in (1, 2, 3)]
    path.write_text("".join(lines) + '{"step": 4, "x"')
    kept = kept_at(path, 2, "checkpoint 2", None)
    assert kept.decode() == lines[0] + lines[1]
    with Logbook(path, kept) as logbook:
        logbook.write(3, {"x": 0.5})
    assert [line["x"] for line in read(path)] == [1.5, 2.5, 0.5]
    path.write_text(path.read_text().replace("1.5", "1.7"))  # the line after it knows
    with pytest.raises(DamagedRecord, match=r"metrics\.jsonl:3: this line is damaged"):
        read(path)


def test_every_flipped_bit_of_a_sealed_log_is_named(tmp_path):
    path = tmp_path / "metrics.jsonl"
    seal, data = write(path, steps=(1, 2), seal_at=2)
    for place in range(8 * len(data)):
        flipped = bytearray(data)
        flipped[place // 8] ^= 1 << place % 8
        path.write_bytes(flipped)
        with pytest.raises(DamagedRecord, match=r"metrics\.jsonl"):
            read(path, {"checkpoint 2": seal})
        with pytest.raises(DamagedRecord, match=r"metrics\.jsonl"):
            kept_at(path, 2, "checkpoint 2", seal)


def emptied(data):
    return b""


def halved(data):
    return data[: len(data) // 2]


def without_its_last_line(data):
    return data[: data.rindex(b"\n", 0, -1) + 1]


def doubled(data):
    return data + data


def of_another_run(data):
    return data.replace(b'"x": 0.', b'"x": 9.')


@pytest.mark.parametrize(
    "changed", [emptied, halved, without_its_last_line, doubled, of_another_run]
)
def test_a_log_that_is_not_what_a_checkpoint_sealed_is_named(tmp_path, changed):
    path = tmp_path / "metrics.jsonl"
    seal, data = write(path, seal_at=4)
    path.write_bytes(changed(data))
    with pytest.raises(DamagedRecord, match=r"metrics\.jsonl.*(line is damaged|checkpoint 4)"):
        read(path, {"checkpoint 4": seal})


def test_a_log_written_anew_by_a_later_hand_breaks_the_seal(tmp_path):
    """Digests that fit their lines do not help: the checkpoint knows what it was saved with."""
    path = tmp_path / "metrics.jsonl"
    seal, _ = write(path, seal_at=4)
    path.unlink()
    write(path, steps=(1, 2, 3, 5), seal_at=5)
    assert len(read(path)) == 4
    with pytest.raises(DamagedRecord, match="at checkpoint 4"):
        read(path, {"checkpoint 4": seal})


@pytest.mark.parametrize(
    "line",
    [b"[" * 100_000, b'{"step": true}', b'{"step": 1, "x": "high"}', b'{"step": 1, "x": []}'],
)
def test_a_line_that_says_nonsense_is_named(tmp_path, line):
    path = tmp_path / "metrics.jsonl"
    path.write_bytes(line + b"\n" + b'{"step": 2}\n')
    with pytest.raises(DamagedRecord, match=r"metrics\.jsonl:1: this line is damaged"):
        read(path)


@pytest.mark.parametrize("torn", [b'{"step": 2, "x"', b"{", b'{"step": 2, "x": "\xc3', b"\0\0\n"])
def test_a_torn_last_line_is_left_out(tmp_path, torn):
    path = tmp_path / "metrics.jsonl"
    with Logbook(path) as logbook:
        logbook.write(1, {"x": 1.0})
    with path.open("ab") as file:
        file.write(torn)
    assert read(path) == [{"step": 1, "x": 1.0}]


def test_opening_again_never_glues_a_line_to_a_torn_one(tmp_path):
    path = tmp_path / "metrics.jsonl"
    path.write_text('{"step": 1, "x": 1.0}\n{"step": 2, "x"')
    with Logbook(path) as logbook:
        logbook.write(2, {"x": 2.0})
    assert read(path) == [{"step": 1, "x": 1.0}, {"step": 2, "x": 2.0}]


@pytest.mark.parametrize("damaged", ["{", "", "[1]", '{"x": 1.0}'])
def test_damage_elsewhere_is_an_error_that_names_the_line(tmp_path, damaged):
    path = tmp_path / "metrics.jsonl"
    path.write_text(f'{{"step": 1}}\n{damaged}\n{{"step": 3}}\n')
    with pytest.raises(DamagedRecord, match=r"metrics\.jsonl:2: "):
        read(path)


def test_last_values(tmp_path):
    path = tmp_path / "metrics.jsonl"
    assert read(path) == []
    with Logbook(path) as logbook:
        assert logbook.last_values() == {}
        logbook.write(1, {"train/loss": 3.0, "test/error": 0.9})
    with Logbook(path) as logbook:
        logbook.write(2, {"train/loss": 2.0})
        assert logbook.last_values() == {"train/loss": 2.0, "test/error": 0.9}


def test_a_killed_writer_loses_no_written_line(tmp_path):
    path = tmp_path / "metrics.jsonl"
    code = (
        "import os, signal, sys; from pathlib import Path\n"
        "from fgspec.training.logbook import Logbook\n"
        "logbook = Logbook(Path(sys.argv[1]))\n"
        "for step in range(100): logbook.write(step, {'x': step / 7})\n"
        "os.kill(os.getpid(), signal.SIGKILL)\n"
    )
    done = subprocess.run([sys.executable, "-c", code, str(path)], check=False, timeout=60)
    assert done.returncode == -9
    assert [line["x"] for line in read(path)] == [step / 7 for step in range(100)]


def test_write_json_is_strict_and_readable_by_all(tmp_path):
    path = tmp_path / "deep" / "summary.json"
    write_json(path, {"a": [1, math.nan, (math.inf,)], "b": {"c": -math.inf, "d": None}, "e": "ä"})
    value = json.loads(path.read_text(), parse_constant=refuse)
    assert value == {"a": [1, "nan", ["inf"]], "b": {"c": "-inf", "d": None}, "e": "ä"}
    assert path.read_bytes().endswith(b"}\n")
    assert stat.S_IMODE(path.stat().st_mode) == 0o644


def test_write_text_replaces_whole_files(tmp_path):
    path = tmp_path / "note.txt"
    write_text(path, "old")
    path.chmod(0o600)
    write_text(path, "new\r\nä")
    assert path.read_bytes() == "new\r\nä".encode()
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert list(tmp_path.iterdir()) == [path]


def test_a_failed_write_leaves_the_old_file_and_nothing_else(tmp_path, monkeypatch):
    path = tmp_path / "note.txt"
    write_text(path, "old")

    def full(_):
        raise OSError("no space left")

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(OSError, match="no space"):
        write_text(path, "new")
    assert path.read_text() == "old"
    assert list(tmp_path.iterdir()) == [path]


def test_every_flipped_bit_of_a_sealed_record_is_named_or_changes_nothing(tmp_path):
    path, value = tmp_path / "summary.json", {"status": "done", "metrics": {"x": 0.1, "y": "nan"}}
    write_record(path, value)
    data = path.read_bytes()
    harmless = 0
    for place in range(8 * len(data)):
        flipped = bytearray(data)
        flipped[place // 8] ^= 1 << place % 8
        path.write_bytes(flipped)
        with contextlib.suppress(DamagedRecord):
            assert read_record(path) == value
            harmless += 1  # of white space
    assert harmless < len(data) / 10


def test_a_record_of_before_seals_is_read_as_it_is(tmp_path):
    path = tmp_path / "summary.json"
    write_json(path, {"status": "done"})
    assert read_record(path) == {"status": "done"}
    path.unlink()
    with pytest.raises(DamagedRecord, match="cannot be read"):
        read_record(path)
