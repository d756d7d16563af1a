"""Objectives, and local losses replicated over named axes."""
