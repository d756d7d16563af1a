from fgspec.api import Comparison as Comparison
from fgspec.api import DataError as DataError
from fgspec.api import Loaded as Loaded
from fgspec.api import Probing as Probing
from fgspec.api import Program as Program
from fgspec.api import ResumeError as ResumeError
from fgspec.api import RunError as RunError
from fgspec.api import SpecError as SpecError
from fgspec.api import State as State
from fgspec.api import UserError as UserError
from fgspec.api import compare as compare
from fgspec.api import compile as compile
from fgspec.api import diff as diff
from fgspec.api import evaluate as evaluate
from fgspec.api import load as load
from fgspec.api import plan as plan
from fgspec.api import train as train

__version__: str
__all__: list[str]
