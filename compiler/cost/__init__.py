"""What an update costs: FLOPs, bytes, memory and messages."""
