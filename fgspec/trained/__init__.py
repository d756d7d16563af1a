"""Trained models: restoring them from runs, applying, evaluating and exporting them."""
