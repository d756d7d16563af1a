"""YAML 1.2 text as plain values that know their places."""
