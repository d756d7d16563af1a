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
    """A data set's file is missing, damaged or not what the spec says it is; always one line."""

    def __init__(self, text: str) -> None:
        # Names of files, of arrays and of classes are anybody's: a line break in one would tear the
        # message from its place, and a terminal obeys other characters that cannot be seen.
        seen = (c if c.isprintable() else ascii(c)[1:-1] for c in text)
        super().__init__("".join(seen))


class ResumeError(UserError):
    """A run cannot be resumed as asked, or its checkpoints cannot be trusted."""

    exit_code: ClassVar[int] = 3


class NoRunError(ResumeError):
    """A path is not the folder of a run: a wrong argument, of whatever verb."""

    exit_code: ClassVar[int] = 2


class DamagedRecord(ResumeError):
    """A file in a run's folder is not what fgspec wrote, or a part of it is missing."""


class JoinError(UserError):
    """The processes of a run cannot find each other."""


class RunError(UserError):
    """The run itself failed, for example because its loss diverged."""

    exit_code: ClassVar[int] = 1
