"""Faults that runs must survive, tried on real processes and files: `python -m tests.faults`."""
