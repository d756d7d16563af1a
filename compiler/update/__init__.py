"""The program of a plan: state, passes, and the one jitted update."""
