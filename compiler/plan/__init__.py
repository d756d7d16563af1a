"""A spec with data becomes a plan: shapes, named axes, sites of losses, credit routes."""
