"""Compiled programs kept on disk, so that a program's second start need not compile it again."""

import os
import re
import sys
import tempfile
import warnings
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import jax
from jax.experimental.compilation_cache.compilation_cache import reset_cache

CACHE_VARIABLE = "FGSPEC_CACHE"
OFF = "off"
LARGEST_TOTAL = 2 * 2**30  # bytes: JAX sets no bound, and a sweep over specs leaves many programs
_SHORTEST = 0.1  # seconds of compilation that are worth a file
_SHORTEST_VARIABLE = "JAX_PERSISTENT_CACHE_MIN_COMPILE_TIME_SECS"
_ENTRIES = "jit_*-cache"
_UNREADABLE = re.compile(r"Error reading persistent compilation cache entry for '(jit_\w+)'")
_UNWRITTEN = re.compile(r"Error writing persistent compilation cache entry for '\w+': (.*)")
_HITS, _MISSES, _SAVED = (
    f"/jax/compilation_cache/{name}"
    for name in ("cache_hits", "cache_misses", "compile_time_saved_sec")
)


@dataclass
class CacheUse:
    """What the cache was good for so far.

    Attributes:
        folder: where compiled programs are kept; None if nowhere.
        problem: why not, in one line; empty if it was switched off.
        hits: programs that were found in it.
        misses: programs that were compiled and written to it.
        saved: seconds of compilation, by JAX's account.
        damaged: programs whose files could not be read, as by a process killed while it wrote.
    """

    folder: Path | None = None
    problem: str = ""
    hits: int = 0
    misses: int = 0
    saved: float = 0.0
    damaged: int = 0

    def lines(self) -> list[str]:
        """What a log says of it once the update is compiled."""
        if self.problem:
            return [f"warning: {self.problem}"]
        if self.folder is None:
            return [f"compilation cache: off ({CACHE_VARIABLE}={OFF})"]
        used = "not used, because compiling was fast"
        if self.hits:
            used = f"hit, {self.saved:.1f} s of compilation saved"
        elif self.misses:
            damage = "a damaged file was replaced; " if self.damaged else ""
            used = f"miss, {damage}the next start of this program will be faster"
        return [f"compilation cache {self.folder}: {used}"]


def user_folder(environment: Mapping[str, str], platform: str, home: Path) -> Path:
    """The folder for compiled programs in the user's cache directory.

    Args:
        environment: of the process.
        platform: as `sys.platform`.
        home: the user's home directory.
    """
    if platform == "win32":
        base = Path(environment.get("LOCALAPPDATA") or home / "AppData" / "Local")
    elif platform == "darwin":
        base = home / "Library" / "Caches"
    else:
        # The XDG specification has relative paths ignored.
        given = Path(environment.get("XDG_CACHE_HOME", ""))
        base = given if given.is_absolute() else home / ".cache"
    return base / "fgspec" / "compiled"


@contextmanager
def compilation_cache() -> Iterator[CacheUse]:
    """Let JAX find and keep compiled programs on disk for a while; yields what came of it.

    A folder that JAX was given by the user (`JAX_COMPILATION_CACHE_DIR`) is used as it is.
    Otherwise it is `$FGSPEC_CACHE`, unless that is `off`, or one in the user's cache directory.
    A folder that cannot be written to is not used and is no error.
    """
    use = CacheUse()
    changes: dict[str, Any] = {}
    given = jax.config.values["jax_compilation_cache_dir"]
    if given:
        use.folder = Path(given)
    elif os.environ.get(CACHE_VARIABLE, "").lower() != OFF:
        try:
            use.folder = _writable(_wanted())
            _bound(use.folder, LARGEST_TOTAL)
            changes["jax_compilation_cache_dir"] = str(use.folder)
        except (OSError, RuntimeError) as error:  # RuntimeError: there is no home directory
            use.folder, use.problem = None, _explained(error)
    if changes and _SHORTEST_VARIABLE not in os.environ:
        changes["jax_persistent_cache_min_compile_time_secs"] = _SHORTEST
    with _configured(changes), _listening(use), _mending(use, own=bool(changes)):
        yield use


@contextmanager
def no_compilation_cache() -> Iterator[None]:
    """Compile everything anew for a while, so that compilation can be timed."""
    with _configured({"jax_enable_compilation_cache": False}):
        yield


def _wanted() -> Path:
    given = os.environ.get(CACHE_VARIABLE)
    if given:
        return Path(given).expanduser().absolute()
    return user_folder(os.environ, sys.platform, Path.home())


def _writable(folder: Path) -> Path:
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    with tempfile.TemporaryFile(dir=folder):
        return folder


def _explained(error: Exception) -> str:
    at = f"{error.filename}: {error.strerror}" if isinstance(error, OSError) else str(error)
    return _not_kept(at)


def _not_kept(why: str) -> str:
    return (
        f"compiled programs are not cached ({why}); set {CACHE_VARIABLE} to a folder that can be "
        f"written to, or to {OFF}"
    )


def _bound(folder: Path, largest: int) -> None:
    """Delete the oldest entries until all are at most `largest` bytes."""
    found = []
    for path in folder.glob(_ENTRIES):
        with suppress(FileNotFoundError):  # another process may do the same
            found.append((path.stat().st_mtime, path.stat().st_size, path))
    total = sum(size for _, size, _ in found)
    for _, size, path in sorted(found):
        if total <= largest:
            return
        path.unlink(missing_ok=True)
        total -= size


@contextmanager
def _mending(use: CacheUse, own: bool) -> Iterator[None]:
    """Delete what JAX cannot read, in a folder of our own, before it writes the program again.

    JAX only warns, at every start, as it never writes over a file that is there. Where it cannot
    write, as on a full disk, the log says so once in our words: a run needs no cache.
    """
    before = warnings.showwarning

    def show(message: Any, *about: Any, **more: Any) -> None:
        unreadable = _UNREADABLE.search(str(message))
        unwritten = _UNWRITTEN.search(str(message))
        if unwritten is not None:
            use.problem = _not_kept(f"{use.folder}: {unwritten[1]}")
            return
        if unreadable is None or use.folder is None:
            before(message, *about, **more)
            return
        use.damaged += 1
        for path in use.folder.glob(f"{unreadable[1]}-*-cache"):
            with suppress(OSError):
                path.unlink()

    warnings.showwarning = show if own else before
    try:
        yield
    finally:
        warnings.showwarning = before


@contextmanager
def _configured(changes: Mapping[str, Any]) -> Iterator[None]:
    before = {name: jax.config.values[name] for name in changes}
    try:
        _configure(changes)
        yield
    finally:
        _configure(before)


def _configure(values: Mapping[str, Any]) -> None:
    for name, value in values.items():
        jax.config.update(name, value)
    if values:
        reset_cache()  # JAX reads where its cache is only once


@contextmanager
def _listening(use: CacheUse) -> Iterator[None]:
    def happened(event: str, **_: Any) -> None:
        use.hits += event == _HITS
        use.misses += event == _MISSES

    def lasted(event: str, seconds: float, **_: Any) -> None:
        use.saved += max(seconds, 0.0) if event == _SAVED else 0.0

    listeners: list[tuple[Callable[..., None], Callable[..., None], Any]] = [
        (
            jax.monitoring.register_event_listener,
            jax.monitoring.unregister_event_listener,
            happened,
        ),
        (
            jax.monitoring.register_event_duration_secs_listener,
            jax.monitoring.unregister_event_duration_listener,
            lasted,
        ),
    ]
    for register, _, listener in listeners:
        register(listener)
    try:
        yield
    finally:
        for _, unregister, listener in listeners:
            unregister(listener)
