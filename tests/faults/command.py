"""The command line in this process."""

import contextlib
import io
import sys
import traceback
from unittest import mock

from fgspec.cli.main import main


def fgspec(*arguments):
    """Exit code, output and errors of a call; what is raised is printed as Python would."""
    out, err, code = io.StringIO(), io.StringIO(), 0
    streams = contextlib.redirect_stdout(out), contextlib.redirect_stderr(err)
    with streams[0], streams[1], mock.patch.object(sys, "argv", ["fgspec", *map(str, arguments)]):
        try:
            main()
        except SystemExit as end:
            code = end.code or 0
        except Exception:
            traceback.print_exc()
            code = 1
    return code, out.getvalue(), err.getvalue()
