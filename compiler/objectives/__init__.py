"""Objectives: the loss of every row from a readout's outputs, one module each."""
