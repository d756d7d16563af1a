"""A run: its folder, loop, checkpoints, logbook and trackers."""
