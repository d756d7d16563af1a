"""`fgspec show`."""

from fgspec.cli.options import SetOption, SpecArgument
from fgspec.loading.resolved import resolved_text, spec_hash
from fgspec.loading.spec_file import load


def run(spec: SpecArgument, overrides: SetOption = None) -> None:
    """Print a resolved spec, every value with where it comes from, and its SHA-256.

    The output is a spec itself.

    Example: fgspec show specs/quickstart.yaml --set rule=lg-bp
    """
    loaded = load(spec, overrides or ())
    print(f"# sha256 {spec_hash(loaded)}")
    print(resolved_text(loaded), end="")
