import signal
import subprocess
import sys
import time
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np

from fgspec.training.checkpoint import Checkpointer

TEMPORARY = "*.orbax-checkpoint-tmp*"

CHILD = """
import sys
from pathlib import Path
import jax, jax.numpy as jnp
from fgspec.training.checkpoint import Checkpointer

shape = (512, 512)
checkpointer = Checkpointer(Path(sys.argv[1]), keep=2, identity="0" * 64)
found = checkpointer.restore({"w": jax.ShapeDtypeStruct(shape, jnp.float32)})
step = 0 if found is None else found.step
while True:
    step += 1
    checkpointer.save(step, {"w": jnp.full(shape, step, jnp.float32)}, {"cursor": step})
"""


def kill_while_saving(directory: Path) -> None:
    process = subprocess.Popen([sys.executable, "-W", "error", "-c", CHILD, str(directory)])
    deadline = time.monotonic() + 30
    try:
        before = None
        while time.monotonic() < deadline:
            assert process.poll() is None
            steps = {path.name for path in directory.glob("[0-9]*") if path.name.isdecimal()}
            before = steps if before is None else before
            if steps - before and any(directory.glob(TEMPORARY)):
                break
    finally:
        process.send_signal(signal.SIGKILL)
        process.wait()


def test_a_process_killed_while_saving_leaves_an_intact_step(tmp_path):
    tmp_path = tmp_path / "checkpoints"
    tmp_path.mkdir()
    template = {"w": jax.ShapeDtypeStruct((512, 512), jnp.float32)}
    newest, torn = 0, 0
    for trial in range(8):
        kill_while_saving(tmp_path)
        torn += any(tmp_path.glob(TEMPORARY))
        checkpointer = Checkpointer(tmp_path, keep=2, identity="0" * 64)
        restored = checkpointer.restore(template)
        checkpointer.close()
        assert restored is not None
        assert restored.step > newest
        assert restored.extra == {"cursor": restored.step}
        np.testing.assert_array_equal(restored.state["w"], np.float32(restored.step))
        assert not any(tmp_path.glob(TEMPORARY))
        newest = restored.step
        if trial >= 2 and torn:
            break
    assert torn


def run_child(directory: Path) -> str:
    code = CHILD.replace("while True:", "for step in (step, step + 1):") + "checkpointer.close()\n"
    done = subprocess.run(
        [sys.executable, "-W", "error", "-c", code, str(directory)],
        capture_output=True,
        check=True,
        text=True,
        timeout=60,
    )
    assert done.stdout == ""
    return done.stderr


def test_nothing_but_damage_is_said_on_stderr(tmp_path):
    assert run_child(tmp_path) == ""
    assert run_child(tmp_path) == ""
    newest = max(int(path.name) for path in tmp_path.iterdir())
    (tmp_path / str(newest) / "state" / "manifest.ocdbt").unlink()
    skipped, moved = run_child(tmp_path).splitlines()
    assert f"skipped checkpoint {tmp_path / str(newest)}: " in skipped
    assert f"moved the unused checkpoint {newest} to " in moved
