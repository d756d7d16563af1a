"""The language and the runner."""
