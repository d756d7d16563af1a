"""A SLURM of one folder for tests: sbatch, srun, squeue, scontrol and scancel, without a daemon.

Installed under those names on the PATH. Each job is a supervisor process of its own, so that jobs
outlive whoever submitted them; the folder of the commands holds a file for each with its state.
"""

import fcntl
import json
import os
import re
import signal
import subprocess
import sys
import time
from pathlib import Path

NAMES = ("sbatch", "srun", "squeue", "scontrol", "scancel")
REFUSED = "sbatch: error: invalid partition specified: none"
HERE = Path(sys.argv[0]).parent


def install(folder):
    """Write the commands into a folder."""
    folder.mkdir()
    for name in NAMES:
        (folder / name).write_text(f"#!{sys.executable} -S\n{Path(__file__).read_text()}")
        (folder / name).chmod(0o755)


def _load(number):
    return json.loads((HERE / f"{number}.job").read_text())


def _save(number, **news):
    """Change what a job's file says; commands of several processes take turns."""
    file = HERE / f"{number}.job"
    with file.with_suffix(".lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        known = _load(number) if file.exists() else {}
        new = file.with_suffix(".new")
        new.write_text(json.dumps(known | news))
        new.rename(file)


def _numbers():
    return sorted(path.stem for path in HERE.glob("*.job"))


def sbatch(script):
    text = Path(script).read_text()
    if "#SBATCH --partition=none" in text:
        sys.exit(REFUSED)
    said = dict(re.findall(r"#SBATCH --([a-z-]+)=(.*)", text))
    taken = len({number.split("_")[0] for number in _numbers()})
    main = str(taken + 1)
    size = int(re.match(r"0-(\d+)", said["array"])[1]) + 1 if "array" in said else 0
    for index in range(size) if size else [None]:
        number = main if index is None else f"{main}_{index}"
        _save(number, name=said["job-name"], state="PENDING", restarts=0)
        if os.fork() == 0:
            os.setsid()
            null = os.open(os.devnull, os.O_RDWR)
            for descriptor in range(3):
                os.dup2(null, descriptor)
            _supervise(number, main, index, script)
            os._exit(0)
    print(f"Submitted batch job {main}")


def _supervise(number, main, index, script):
    """Run a job until it is over; again when it was put back into the queue meanwhile."""
    while (HERE / "hold").exists():
        time.sleep(0.02)
    environment = {**os.environ, "SLURM_JOB_ID": number}
    if index is not None:
        environment |= {"SLURM_ARRAY_JOB_ID": main, "SLURM_ARRAY_TASK_ID": str(index)}
    while _load(number)["state"] == "PENDING":
        _save(number, state="RUNNING")
        code = subprocess.call(["bash", script], env=environment, start_new_session=True)
        if _load(number)["state"] == "RUNNING":
            _save(number, state="FAILED" if code else "COMPLETED")


def srun(*words):
    """Become the command behind the options, in a group of its own, which `signal_step` reaches."""
    os.setsid()
    _save(os.environ["SLURM_JOB_ID"], step=os.getpid())
    command = words[words.index("-u") - 1 :]
    os.execvp(command[0], command)


def squeue(*words):
    wanted = words[words.index("--job") + 1 :][:1] if "--job" in words else _numbers()
    format = words[words.index("--format") + 1]
    if (HERE / "away").exists():
        sys.exit("slurm_load_jobs error: Unable to contact slurm controller")
    for number in wanted:
        job = _load(number)
        shown = format.replace("%i", number).replace("%T", job["state"])
        print(shown.replace("%j", job["name"]))


def scontrol(verb, number):
    assert verb == "requeue"
    job = _load(number)
    _save(number, state="PENDING", restarts=job["restarts"] + 1)


def scancel(number):
    _save(number, state="CANCELLED")
    if "step" in _load(number):
        signal_step(HERE, number, signal.SIGTERM)


def signal_step(folder, number, what):
    """Send a signal to all processes of a job but its shell, as SLURM does."""
    os.killpg(json.loads((folder / f"{number}.job").read_text())["step"], what)


if __name__ == "__main__":
    globals()[Path(sys.argv[0]).name](*sys.argv[1:])
