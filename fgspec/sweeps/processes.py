"""Runs of a sweep as processes on this machine, each an ordinary `fgspec train`."""

import subprocess
from collections.abc import Mapping, Sequence

from fgspec.sweeps import engine, engines
from fgspec.sweeps.engine import Gone, Site
from fgspec.sweeps.folder import Found, Planned


class Processes:
    """Starts processes that inherit the sweep's lock."""

    pause = 0.1

    def __init__(self, site: Site) -> None:
        self.at_once = site.jobs or 1
        self._site = site
        self._running: dict[str, subprocess.Popen[bytes]] = {}

    def under_way(self, todo: Sequence[Planned]) -> Mapping[str, Planned]:
        """None: who gets the lock knows that there are none."""
        return {}

    def start(self, runs: Sequence[Found]) -> Mapping[str, Planned]:
        """A process for each."""
        return {self._begun(found): found.planned for found in runs}

    def _begun(self, found: Found) -> str:
        folder = self._site.folder
        log = folder.log(found.planned)
        log.parent.mkdir(exist_ok=True)
        with log.open("ab") as file:
            process = subprocess.Popen(
                engine.command(folder, found),
                stdin=subprocess.DEVNULL,
                stdout=file,
                stderr=subprocess.STDOUT,
                pass_fds=(self._site.lock,),
                # Ctrl-C is for the sweep, which asks to stop: a second signal would not wait.
                start_new_session=True,
            )
        self._running[str(process.pid)] = process
        return str(process.pid)

    def gone(self, handles: Sequence[str]) -> Mapping[str, Gone]:
        """Processes that ended."""
        codes = {handle: self._running[handle].poll() for handle in handles}
        over = {handle: code for handle, code in codes.items() if code is not None}
        return {
            handle: Gone(self._running.pop(handle).returncode, engine.how(code))
            for handle, code in over.items()
        }

    def leave(self, handles: Sequence[str]) -> str:
        """Ask processes to save and stop, and wait until they have."""
        for handle in handles:
            self._running[handle].terminate()
        for handle in handles:
            self._running[handle].wait()
        return f"stopped; every run is saved: {self._site.folder.path}"


class OnProcesses(engines.Processes):
    """The section with what it starts."""

    def begin(self, site: Site) -> Processes:
        """See `Processes`."""
        return Processes(site)
