"""Laws that every method of a table must obey, for the tests of fgspec and of packages.

A law is a function that raises AssertionError with the reason.
"""
