"""Arrays with named axes, random streams by name, and trees by path."""
