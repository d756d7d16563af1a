"""Sweeps: many specs from one file, and their runs in one folder."""
