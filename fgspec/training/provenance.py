"""Where a run's numbers come from: versions, machine, source, command, seeds and hashes."""

import os
import platform
import subprocess
from collections.abc import Callable, Mapping, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import jax

from fgspec.spec.plugins import package_version

PACKAGES = (
    "fgspec",
    "jax",
    "jaxlib",
    "flax",
    "optax",
    "orbax-checkpoint",
    "grain",
    "numpy",
    "pydantic",
)
_GIT_TIMEOUT = 5.0  # seconds: a repository on a slow network disk must not hold up a run


def _utc_now() -> datetime:
    return datetime.now(UTC)


def collect(
    *,
    command: Sequence[str],
    hashes: Mapping[str, str],
    seeds: Mapping[str, int],
    source_dir: Path,
    now: Callable[[], datetime] = _utc_now,
) -> dict[str, Any]:
    """All that is needed to find out later why two runs differ, as a JSON object.

    Args:
        command: The command line, one word an item.
        hashes: Name to hexadecimal digest, for example of the spec and of the data.
        seeds: Name to seed.
        source_dir: A folder of the source whose git commit is recorded; it may lie in none.
        now: The clock; an aware datetime.

    Returns:
        Keys `started` (UTC, ISO 8601), `command`, `hashes`, `seeds`, `python`, `packages` (name to
        version, None where not installed), `platform`, `cpus`, `devices` (`kind`, `platform`,
        `count` of each kind, over all processes), `git` (`commit` and `dirty`, or None).
    """
    return {
        "started": now().astimezone(UTC).isoformat(),
        "command": list(command),
        "hashes": dict(hashes),
        "seeds": dict(seeds),
        "python": platform.python_version(),
        "packages": {name: package_version(name) for name in PACKAGES},
        "platform": platform.platform(),
        "cpus": os.cpu_count(),
        "devices": _devices(),
        "git": _git_state(source_dir),
    }


def _devices() -> list[dict[str, Any]]:
    counts: dict[tuple[str, str], int] = {}
    for device in jax.devices():
        kind = (device.device_kind, device.platform)
        counts[kind] = counts.get(kind, 0) + 1
    return [
        {"kind": kind, "platform": backend, "count": count}
        for (kind, backend), count in counts.items()
    ]


def _git_state(source_dir: Path) -> dict[str, Any] | None:
    commit = _git(source_dir, "rev-parse", "--verify", "HEAD")
    if commit is None:
        return None
    changes = _git(source_dir, "status", "--porcelain")
    return {"commit": commit, "dirty": None if changes is None else bool(changes)}


def _git(source_dir: Path, *arguments: str) -> str | None:
    """The output of a read-only git command, or None whatever is amiss."""
    try:
        done = subprocess.run(
            # Without the option, `status` writes to the index and may meet another git's lock.
            ["git", "--no-optional-locks", "-C", str(source_dir), *arguments],
            capture_output=True,
            check=True,
            text=True,
            timeout=_GIT_TIMEOUT,
            stdin=subprocess.DEVNULL,
        )
    except (OSError, ValueError, subprocess.SubprocessError):
        return None
    return done.stdout.strip()
