"""Spec and data -> plan: shapes, named axes, where losses are, which loss copies estimates use."""
