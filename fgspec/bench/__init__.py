"""Measures the time of compiled updates side by side."""
