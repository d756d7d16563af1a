"""`fgspec show`."""

from fgspec.canonical import identity, resolved_text
from fgspec.cli.options import SetOption, SpecArgument
from fgspec.source import load


def run(spec: SpecArgument, overrides: SetOption = None) -> None:
    """Print a resolved spec, every value with where it comes from, and its SHA-256.

    The output is a spec itself.

    Example: fgspec show specs/quickstart.yaml --set rule=lg-bp
    """
    loaded = load(spec, overrides or ())
    print(f"# sha256 {identity(loaded.values())}")
    print(resolved_text(loaded), end="")
