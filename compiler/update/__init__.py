"""The program of a plan: the state of a run, forward passes, and the jitted update."""
