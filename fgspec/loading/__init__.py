"""A file becomes a spec: extends, --set, rules, defaults, messages, the resolved form."""
