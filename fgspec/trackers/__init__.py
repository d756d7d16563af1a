"""Trackers: what follows a run from outside."""
