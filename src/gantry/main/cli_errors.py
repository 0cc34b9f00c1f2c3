"""Errors on the command line: one line of cause, one of remedy, an exit status scripts can trust.

0 done, nothing to complain about - 1 it failed, or problems were found - 2 wrong use or wrong settings -
130 interrupted.
"""

from __future__ import annotations

import os
import traceback

import typer

from gantry.config import ConfigError
from gantry.main import cli_output
from gantry.main.errors import SetupError

FAILED, USAGE, INTERRUPTED = 1, 2, 130
#: Where to look up what was named, for errors of rooms that know of no commands.
_LOOK_UP = {
    "StudyMissing": "`gantry studies` lists those that are here, `gantry trash` those that were deleted",
    "RetentionMissing": "`gantry storage retention` lists them",
}


def debugging() -> bool:
    """Whether tracebacks are wanted (--debug or GANTRY_DEBUG)."""
    return os.environ.get("GANTRY_DEBUG", "") not in {"", "0"}


def report(error: BaseException) -> int:
    """Tell the person; gives the exit status."""
    if isinstance(error, KeyboardInterrupt | typer.Abort):
        cli_output.err.print("Interrupted.")
        return INTERRUPTED
    if (show := getattr(error, "show", None)) and isinstance(status := getattr(error, "exit_code", None), int):
        show()  # typer's own: wrong use, with the usage line
        return status
    if debugging():
        traceback.print_exception(error)
    cause, remedy, status = describe(error)
    cli_output.err.print(f"[red]{cli_output.text(_sentence(cause))}[/red]", soft_wrap=True)
    if remedy:
        cli_output.err.print(cli_output.text(_sentence(remedy)), soft_wrap=True)
    return status


def describe(error: BaseException) -> tuple[str, str, int]:
    """Cause, remedy, exit status."""
    if isinstance(error, ConfigError):
        return f"The settings cannot be used: {error}", "`gantry config show` lists them all", USAGE
    if isinstance(error, SetupError):
        return error.cause, error.remedy, FAILED
    return _describe_other(error)


def _describe_other(error: BaseException) -> tuple[str, str, int]:
    if isinstance(error, BrokenPipeError):
        return "The reader of our output is gone", "", FAILED
    if type(error).__name__ in {"OperationalError", "ConnectorException"} or type(error).__module__.startswith("django.db"):
        return "The database does not answer, or broke off", "See `gantry doctor`; --debug shows the error", FAILED
    if type(error).__module__.split(".")[0] in {"gantry", "dimse"} and str(error):
        # A mistake of the person is a ValueError too in our rooms.
        remedy = str(getattr(error, "advice", "") or getattr(error, "remedy", "") or _LOOK_UP.get(type(error).__name__, ""))
        return str(error), remedy, USAGE if isinstance(error, ValueError) or getattr(error, "status", 0) == 422 else FAILED
    if isinstance(error, OSError) and error.filename:
        return f"{error.filename}: {error.strerror}", "", FAILED
    return f"Unexpected: {type(error).__name__}: {error}", "This is a fault of ours; run again with --debug to see where", FAILED


def _sentence(words: str) -> str:
    return words[:1].upper() + words[1:]
