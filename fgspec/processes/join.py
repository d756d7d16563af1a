"""Runs of many processes: how they find each other, what each reads, and how they agree.

Every process runs the same program; JAX joins their devices into one mesh. In a run of
one process nothing here does anything.
"""

import hashlib
import logging
import os
import socket
import sys
import threading
import traceback
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax.experimental import multihost_utils
from jax.sharding import NamedSharding, PartitionSpec
from numpy.typing import NDArray

from fgspec.errors import LOST, STOPPED, JoinError, UserError
from fgspec.problems.problems import Problem
from fgspec.processes.stopping import deferred, told
from fgspec.spec.mesh import AXES, Mesh
from fgspec.xla_error import is_of_xla

HEARTBEAT = 10
"""Seconds without a sign of life after which a process is taken for dead and ends all others."""

SHUTDOWN = 10
"""Seconds that a process which ends waits for the others to end."""

_LONGEST = 4096
"""Bytes of a text that process 0 tells the others; Linux allows no longer path."""


def join(coordinator: str | None, processes: int | None, process: int | None) -> None:
    """Make this process one of a run's; what is None, JAX finds out from the cluster.

    Must come before anything is computed. Processes on CPUs talk through gloo.

    Args:
        coordinator: address of process 0, `HOST:PORT`.
        processes: how many there are.
        process: the number of this one, from 0.

    Raises:
        JoinError: something is missing, wrong, or nobody answers.
    """
    given = (coordinator, processes, process)
    _keep_stdout()
    jax.config.update("jax_cpu_collectives_implementation", "gloo")
    # It would take SIGTERM for itself, and Orbax asks it with other numbers than the loop could,
    # of which it takes none for the moment to stop. `stopping_together` needs none of it.
    jax.config.update("jax_enable_preemption_service", False)
    try:
        jax.distributed.initialize(
            *given,
            cluster_detection_method=None if None in given else "deactivate",
            heartbeat_timeout_seconds=HEARTBEAT,
            shutdown_timeout_seconds=SHUTDOWN,
        )
    except ValueError as error:
        raise JoinError(
            f"--distributed: {str(error).rstrip('.')}, and no cluster that JAX knows (SLURM, Open "
            "MPI, Kubernetes, Cloud TPU) provides it; give --coordinator HOST:PORT, "
            "--num-processes and --process-id"
        ) from None
    except RuntimeError as error:
        reason = str(error).strip().split("\n", 1)[0]
        raise JoinError(
            f"--distributed: the processes could not connect ({reason}); start as many as "
            "--num-processes, each with its own --process-id and the address of process 0"
        ) from None
    _meet_backend()
    if not is_first():
        logging.getLogger("fgspec").setLevel(logging.ERROR)


def _meet_backend() -> None:
    """Let JAX find the devices of all processes, which needs the network.

    Raises:
        JoinError: it cannot, most likely as this host's own name does not resolve.
    """
    try:
        jax.process_index()
    except RuntimeError as error:
        name = socket.gethostname()
        try:
            socket.getaddrinfo(name, None)
        except OSError as unknown:
            raise JoinError(
                f"--distributed: this host's own name, {name}, does not resolve "
                f"({unknown.strerror}), so other processes cannot reach it; add the line "
                f'"127.0.0.1 {name}" to /etc/hosts (its address in the network, if other hosts '
                "take part), or give the container a network interface that knows its name"
            ) from None
        reason = str(error).strip().split("\n", 1)[0]
        raise JoinError(
            f"--distributed: the processes connected, but their devices did not ({reason}); check "
            "that these hosts can reach each other, and that JAX_PLATFORMS names devices of this "
            "machine"
        ) from None


def is_first() -> bool:
    """Whether this process is the one that writes and prints."""
    return jax.process_index() == 0


def rank() -> int:
    """The number of this process among those of the run, from 0."""
    return jax.process_index()


def process_problems(mesh: Mesh, devices: int, processes: int) -> list[Problem]:
    """What of a mesh without -1 keeps processes from taking part.

    Args:
        mesh: of the spec.
        devices: of all processes.
        processes: how many there are.
    """
    used = int(np.prod([getattr(mesh, name) for name in AXES]))
    if processes == 1 or used == devices:
        return []
    return [
        Problem(
            ("mesh", "data"),
            f"the mesh uses {used} of the {devices} devices of {processes} processes, but must "
            "use all; use -1",
        )
    ]


def own_rows(like: Any, axis: int) -> NDArray[np.intp] | None:
    """Places along an axis of a global array that devices of this process hold; None is all.

    Args:
        like: its shape and sharding; a sharding of None is that of one device.
        axis: which axis.
    """
    if like.sharding is None or jax.process_count() == 1:
        return None
    parts = like.sharding.addressable_devices_indices_map(like.shape).values()
    return np.unique(np.concatenate([np.arange(like.shape[axis])[part[axis]] for part in parts]))


def from_own(own: NDArray[Any], like: Any) -> Any:
    """The global array of which every process has the rows that `own_rows` names."""
    if like.sharding is None:
        return own
    return jax.make_array_from_process_local_data(like.sharding, own, like.shape)


def from_whole(whole: NDArray[Any], like: Any) -> Any:
    """The global array of which every process has all, and reads what its devices hold."""
    if like.sharding is None:
        return jax.device_put(whole)
    return jax.make_array_from_callback(whole.shape, like.sharding, lambda index: whole[index])


def from_first(make: Callable[[], str]) -> str:
    """The text that process 0 makes, in every process.

    Raises:
        UserError: process 0 could not make it.
    """
    if jax.process_count() == 1:
        return make()
    text, failed = b"", None
    if is_first():
        try:
            text = make().encode()
        except UserError as error:
            failed = error
    padded = np.frombuffer(text.ljust(_LONGEST, b"\0"), np.uint8)
    told = np.asarray(multihost_utils.broadcast_one_to_all(padded)).tobytes().rstrip(b"\0")
    if failed is not None:
        raise failed
    if not told:
        raise UserError("process 0 failed to start; see its output")
    return told.decode()


def refuse_disagreement(said: Mapping[str, Any]) -> None:
    """Raise in every process unless all of them say the same.

    Args:
        said: name, as in "the data", to anything whose text is the same where it is the same.

    Raises:
        UserError: naming what differs, and the processes that differ from process 0.
    """
    if jax.process_count() == 1:
        return
    digests = [hashlib.sha256(repr(value).encode()).digest() for value in said.values()]
    own = np.frombuffer(b"".join(digests), np.uint8).reshape(len(said), -1)
    every = np.asarray(multihost_utils.process_allgather(own))
    for index, name in enumerate(said):
        others = [p for p, of in enumerate(every) if (of[index] != every[0, index]).any()]
        if others:
            raise UserError(
                f"{name}: differs between process 0 and {', '.join(map(str, others))}; all "
                "processes need the same spec, data and run folder"
            )


@contextmanager
def stopping_together() -> Iterator[Callable[[], bool]]:
    """The question whether to stop now, which all processes must ask equally often.

    When one of them is told to stop, all are told so at the same question; see `deferred`.
    """
    with deferred() as asked:
        yield asked if jax.process_count() == 1 else _Agreement(asked)


class _Agreement:
    """Asks all processes whether any of them was told to stop.

    The answer is that to the question before: a device that adds up this one while it is busy with
    the next updates costs the host no wait for the last.
    """

    def __init__(self, asked: Callable[[], bool]) -> None:
        self._asked = asked
        one_each = {device.process_index: device for device in jax.devices()}
        devices = np.array([one_each[process] for process in sorted(one_each)])
        mesh = jax.sharding.Mesh(devices, ("process",))
        self._own = NamedSharding(mesh, PartitionSpec("process"))
        self._any = jax.jit(jnp.max, out_shardings=NamedSharding(mesh, PartitionSpec()))
        self._before = self._of_all(False)

    def __call__(self) -> bool:
        before, self._before = self._before, self._of_all(self._asked())
        return bool(before)

    def _of_all(self, mine: bool) -> jax.Array:
        own = np.array([mine], np.int32)
        return self._any(jax.make_array_from_process_local_data(self._own, own))


@contextmanager
def leaving_promptly() -> Iterator[None]:
    """End the process soon after an error, even where the others do not end with it.

    At its end JAX waits for the others, and takes the exit code away from one that waits too long.
    A process that was told to stop, and lost another that stopped sooner, has stopped as well.
    """
    try:
        yield
    except UserError as error:
        timer = threading.Timer(SHUTDOWN / 2, os._exit, [error.exit_code])
        timer.daemon = True
        timer.start()
        raise
    except Exception as error:
        stopped = told() and is_of_xla(error)
        if not stopped:
            _tell(error)
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(STOPPED if stopped else LOST)


def _tell(error: Exception) -> None:
    who = f"process {jax.process_index()} of {jax.process_count()}"
    if is_of_xla(error):
        reason = str(error).strip().split("\n", 1)[0]
        line = f"failed, most likely because another process ended ({reason})"
    else:
        traceback.print_exception(error)
        line = "failed"
    print(
        f"{who} {line}; restart all processes to resume from the last checkpoint", file=sys.stderr
    )


def _keep_stdout() -> None:
    """Keep standard output for Python: gloo writes a line there for every connection."""
    sys.stdout.flush()
    kept = os.dup(sys.stdout.fileno())
    with open(os.devnull, "wb") as nowhere:
        os.dup2(nowhere.fileno(), sys.stdout.fileno())
    how = {"encoding": sys.stdout.encoding, "errors": sys.stdout.errors}
    sys.stdout = open(kept, "w", buffering=1, **how)  # noqa: SIM115
