"""What estimates are worth against the exact gradient of their target."""
