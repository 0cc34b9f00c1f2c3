"""Logging of every process: plain lines to stderr and to HOME/logs/<process>.log, rotated.

One record is one line, whatever a peer put into a name: control characters are written as escapes. Of an
exception the log keeps class, own message and the places in our code; of a database error only its code, as the
server quotes values in its messages.
"""

from __future__ import annotations

import logging
import logging.handlers
import os
import re
import sys
import time
import traceback
from io import TextIOWrapper
from pathlib import Path
from types import TracebackType

import psycopg

_CONTROL = re.compile(r"[\x00-\x1f\x7f-\x9f\u2028\u2029]")
_SIZE = 10 * 1024 * 1024
_KEPT = 5
_FRAMES = 8
_SysExcInfo = tuple[type[BaseException], BaseException, TracebackType | None] | tuple[None, None, None]


def one_line(text: str) -> str:
    """`text` with every control character escaped."""
    return _CONTROL.sub(lambda match: f"\\x{ord(match[0]):02x}" if ord(match[0]) < 256 else f"\\u{ord(match[0]):04x}", text)


class LineFormatter(logging.Formatter):
    """Time (UTC), level, process, logger, message; an exception appended on the same line."""

    def __init__(self, process: str) -> None:
        super().__init__()
        self._process = process

    def format(self, record: logging.LogRecord) -> str:
        """The line."""
        moment = time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime(record.created))
        text = record.getMessage()
        if record.exc_info:
            text = f"{text}: {self.formatException(record.exc_info)}"
        head = f"{moment}.{int(record.msecs):03d}Z {record.levelname:<7} {self._process} {record.name}: "
        return head + one_line(text)

    def formatException(self, ei: _SysExcInfo) -> str:  # noqa: N802  the name is logging's
        """Class, message and places."""
        _, error, trace = ei
        if error is None:
            return "no exception"
        frames = traceback.extract_tb(trace)[-_FRAMES:]
        places = " < ".join(f"{Path(frame.filename).name}:{frame.lineno} {frame.name}" for frame in reversed(frames))
        return f"{describe(error)} [{places}]"


class PrivateFile(logging.handlers.RotatingFileHandler):
    """A rotated log file that only its owner can read."""

    def _open(self) -> TextIOWrapper:
        descriptor = os.open(self.baseFilename, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
        return open(descriptor, "a", encoding="utf-8", errors="backslashreplace")


def describe(error: BaseException) -> str:
    """An exception in one line, without values the database may have quoted."""
    if isinstance(error, psycopg.Error):
        return f"{type(error).__name__} (SQLSTATE {error.sqlstate or 'none'})"
    if isinstance(error.__cause__, psycopg.Error):
        return f"{type(error).__name__} from {describe(error.__cause__)}"
    return f"{type(error).__name__}: {one_line(str(error))[:500]}"


def set_up(folder: Path | None, process: str, level: str, *, stderr: bool = True) -> None:
    """Replace the handlers of the root logger. `folder` None: stderr only."""
    root = logging.getLogger()
    for handler in list(root.handlers):
        root.removeHandler(handler)
        handler.close()
    handlers: list[logging.Handler] = []
    if stderr:
        handlers.append(logging.StreamHandler(sys.stderr))
    if folder is not None:
        path = folder / f"{process}.log"
        handlers.append(PrivateFile(path, maxBytes=_SIZE, backupCount=_KEPT, delay=True))
    for handler in handlers:
        handler.setFormatter(LineFormatter(process))
        root.addHandler(handler)
    root.setLevel(level)
    logging.raiseExceptions = False  # a full disk must not fill stderr
    for name in ("procrastinate", "uvicorn", "asyncio", "psycopg.pool", "django.db"):
        logging.getLogger(name).setLevel(max(logging.WARNING, logging.getLevelName(level)))
    sys.excepthook = _log_uncaught


def _log_uncaught(kind: type[BaseException], error: BaseException, trace: TracebackType | None) -> None:
    if issubclass(kind, KeyboardInterrupt):
        return
    logging.getLogger("gantry").critical("ended by an error", exc_info=(kind, error, trace))
