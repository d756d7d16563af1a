"""Trained models: restored from runs, applied to images, evaluated, written to files."""
