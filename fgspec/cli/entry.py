"""The command `fgspec`: heeds signals first, then imports the rest, which takes a while."""

import importlib
import os
import sys
import threading

from fgspec.processes.stopping import end_at_once, end_with_supervisor
from fgspec.training.timings import START

PATIENCE = 10.0
"""Seconds that threads have to end once a command has failed and said why.

A checkpoint that Orbax could not write has left one waiting for the others of that save, for ever.
"""


def main() -> None:
    """Run the command line and exit."""
    end_at_once()
    end_with_supervisor()
    if "--timings" in sys.argv:  # only who asks needs to know; other commands need no JAX
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
