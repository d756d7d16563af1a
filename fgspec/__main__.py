"""`python -m fgspec`: the command line."""

from fgspec.cli.entry import main

main()
