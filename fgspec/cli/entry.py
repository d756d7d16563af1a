"""The command `fgspec`: heeds signals first, then imports the rest, which takes a while."""

import importlib

from fgspec.processes.stopping import end_at_once, end_with_supervisor


def main() -> None:
    """Run the command line and exit."""
    end_at_once()
    end_with_supervisor()
    importlib.import_module("fgspec.cli.main").main()
