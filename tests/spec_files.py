"""The files below specs/: specs and sweeps of them; what begins with _ is a part of others."""

from pathlib import Path

ROOT = Path(__file__).parents[1]
FILES = sorted(p for p in (ROOT / "specs").rglob("*.yaml") if not p.name.startswith("_"))
SWEEPS = [path for path in FILES if "\nbase:" in path.read_text()]
SPECS = [path for path in FILES if path not in SWEEPS]
