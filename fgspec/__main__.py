"""`python -m fgspec`: the command line."""

from fgspec.cli.main import main

main()
