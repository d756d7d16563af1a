"""Arrays with named axes, random streams addressed by name, and parameter trees by path."""
