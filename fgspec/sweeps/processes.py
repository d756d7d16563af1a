"""Trains runs of a sweep as processes on this machine; each is an `fgspec train`."""

import subprocess
from collections.abc import Mapping, Sequence

from fgspec.sweeps import engine, engines
from fgspec.sweeps.engine import Gone, Site
from fgspec.sweeps.folder import Planned, RunStatus


class Processes:
    """Starts processes, which inherit the sweep's lock."""

    pause = 0.1

    def __init__(self, site: Site) -> None:
        self.at_once = site.jobs or 1
        self._site = site
        self._running: dict[str, subprocess.Popen[bytes]] = {}

    def under_way(self, todo: Sequence[Planned]) -> Mapping[str, Planned]:
        """No runs: if any were running, they would hold the lock that this process has."""
        return {}

    def start(self, runs: Sequence[RunStatus]) -> Mapping[str, Planned]:
        """Start a process for each run."""
        return {self._begun(run): run.planned for run in runs}

    def _begun(self, run: RunStatus) -> str:
        folder = self._site.folder
        log = folder.log(run.planned)
        log.parent.mkdir(exist_ok=True)
        with log.open("ab") as file:
            process = subprocess.Popen(
                engine.command(folder, run),
                stdin=subprocess.DEVNULL,
                stdout=file,
                stderr=subprocess.STDOUT,
                pass_fds=(self._site.lock,),
                # Ctrl-C reaches only the sweep, which asks its runs to stop. If it reached them
                # too, they would get two signals, and the second one makes a run stop unsaved.
                start_new_session=True,
            )
        self._running[str(process.pid)] = process
        return str(process.pid)

    def gone(self, handles: Sequence[str]) -> Mapping[str, Gone]:
        """Processes that have ended."""
        codes = {handle: self._running[handle].poll() for handle in handles}
        over = {handle: code for handle, code in codes.items() if code is not None}
        return {
            handle: Gone(self._running.pop(handle).returncode, engine.how(code))
            for handle, code in over.items()
        }

    def leave(self, handles: Sequence[str]) -> str:
        """Ask the processes to save and stop, and wait until they have."""
        for handle in handles:
            self._running[handle].terminate()
        for handle in handles:
            self._running[handle].wait()
        return f"stopped; every run is saved: {self._site.folder.path}"


class OnProcesses(engines.Processes):
    """The engine `processes`, with the code that starts them."""

    def begin(self, site: Site) -> Processes:
        """Prepare to start processes; see `Processes`."""
        return Processes(site)
