"""The cost of a training step: FLOPs, bytes moved, memory, and bytes sent between devices."""
