"""The command `fgspec`: installs signal handlers first, because the other imports take long."""

import importlib
import os
import sys
import threading

from fgspec.processes.stopping import end_at_once, end_with_supervisor
from fgspec.training.timings import START

PATIENCE = 10.0
"""Seconds that threads may take to end after a command has failed and printed its error.

When Orbax fails to write a checkpoint, one of its threads can wait for the others for ever.
"""


def main() -> None:
    """Run the command line and exit."""
    end_at_once()
    end_with_supervisor()
    if "--timings" in sys.argv:  # only this option needs the time of JAX's import alone
        with START.part("import JAX"):
            importlib.import_module("jax")
    try:
        importlib.import_module("fgspec.cli.main").main()
    except SystemExit as end:
        if isinstance(end.code, int) and end.code:
            last = threading.Timer(PATIENCE, os._exit, [end.code])
            last.daemon = True
            last.start()
        raise
