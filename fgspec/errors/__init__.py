"""The errors a user can cause, each with the exit code the command line gives it.

Everything else that is raised is a defect of fgspec and keeps its traceback.
"""

from typing import ClassVar

STOPPED = 75
"""Exit code of a run that was told to stop and saved its state."""

LOST = 76
"""Exit code of a process of a run of many that failed, or lost another: the run can go on."""


class UserError(Exception):
    """Something the user can mend; its text says where, what, what was expected and the remedy."""

    exit_code: ClassVar[int] = 2


class DataError(UserError):
    """A data set's file is missing, damaged or not what the spec says it is."""


class ResumeError(UserError):
    """A run cannot be resumed as asked, or its checkpoints cannot be trusted."""

    exit_code: ClassVar[int] = 3


class DamagedRecord(ResumeError):
    """A file in a run's folder is not what fgspec wrote, or a part of it is missing."""


class JoinError(UserError):
    """The processes of a run cannot find each other."""


class RunError(UserError):
    """The run itself failed, for example because its loss diverged."""

    exit_code: ClassVar[int] = 1
