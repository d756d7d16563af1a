import json
import math
import os
import stat
import subprocess
import sys

import jax.numpy as jnp
import numpy as np
import pytest

from fgspec.training.logbook import Logbook, last_values, read, write_json, write_text


def refuse(constant):
    raise AssertionError(f"{constant} is not JSON")


def test_lines_are_flushed_strict_json(tmp_path):
    path = tmp_path / "run" / "metrics.jsonl"
    logbook = Logbook(path)
    logbook.write(10, {"train/loss": 0.1, "nan": math.nan, "inf": math.inf, "low": -math.inf})
    text = path.read_text()
    assert text == '{"step": 10, "train/loss": 0.1, "nan": "nan", "inf": "inf", "low": "-inf"}\n'
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


def test_refuses_a_metric_named_step(tmp_path):
    with Logbook(tmp_path / "metrics.jsonl") as logbook, pytest.raises(ValueError, match="step"):
        logbook.write(1, {"step": 2.0})


def test_truncate_drops_later_lines_and_a_torn_one(tmp_path):
    path = tmp_path / "metrics.jsonl"
    with Logbook(path) as logbook:
        for step in (1, 2, 3, 4):
            logbook.write(step, {"x": step / 10})
        with path.open("a") as file:
            file.write('{"step": 2, "x": 0.')
        logbook.truncate(2)
        logbook.write(3, {"x": 0.5})
    assert read(path) == [{"step": 1, "x": 0.1}, {"step": 2, "x": 0.2}, {"step": 3, "x": 0.5}]
    assert list(tmp_path.iterdir()) == [path]


def test_truncate_keeps_the_bytes_of_kept_lines(tmp_path):
    path = tmp_path / "metrics.jsonl"
    with Logbook(path) as logbook:
        logbook.write(1, {"x": 1e-05, "y": math.nan})
        before = path.read_bytes()
        logbook.write(2, {"x": 1.0})
        logbook.truncate(1)
        assert path.read_bytes() == before
        logbook.truncate(0)
        assert path.read_bytes() == b""


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
    with pytest.raises(ValueError, match=r"metrics\.jsonl:2: "):
        read(path)


def test_last_values(tmp_path):
    path = tmp_path / "metrics.jsonl"
    assert read(path) == []
    assert last_values(path) == {}
    with Logbook(path) as logbook:
        logbook.write(1, {"train/loss": 3.0, "eval/error": 0.9})
        logbook.write(2, {"train/loss": 2.0})
    assert last_values(path) == {"train/loss": 2.0, "eval/error": 0.9}


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
