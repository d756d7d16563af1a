"""Finds which computations of two plans are identical, by comparing their traces."""
