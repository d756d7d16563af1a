"""A spec explained: its rule in words, as equations, and as a picture."""
