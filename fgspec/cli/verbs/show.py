"""`fgspec show`."""

from fgspec.cli.verbs.shared import SetOption, SpecArgument


def run(spec: SpecArgument, overrides: SetOption = None) -> None:
    """Print a resolved spec: every value, where it comes from, and the spec's SHA-256.

    The output is itself a valid spec.

    Example: fgspec show specs/quickstart.yaml --set rule=lg-bp
    """
