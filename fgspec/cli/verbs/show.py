"""`fgspec show`."""

from fgspec.cli.verbs.shared import SetOption, SpecArgument


def run(spec: SpecArgument, overrides: SetOption = None) -> None:
    """Print a resolved spec, every value with where it comes from, and its SHA-256.

    The output is a spec itself.

    Example: fgspec show specs/quickstart.yaml --set rule=lg-bp
    """
