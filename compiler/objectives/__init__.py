"""Objectives: the loss of every row of the batch, from the outputs of a readout."""
