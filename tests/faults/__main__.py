"""`python -m tests.faults --cases all`: makes faults, and counts what was not survived.

Exit code 1 if a result was silently wrong, a traceback shown, or work lost.
"""

import importlib
import sys
from pathlib import Path

sys.path.append(str(Path(__file__).parents[1]))  # where tests have what they share
importlib.import_module("conftest")  # JAX as all tests have it
sys.exit(importlib.import_module("tests.faults.suite").main())
