"""What commands print: results to stdout (tables, or JSON and nothing else), everything else to stderr."""

from __future__ import annotations

import dataclasses
import json
import sys
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from datetime import date, datetime
from enum import Enum
from pathlib import Path
from typing import Annotated, Any
from uuid import UUID

import typer
from rich.console import Console
from rich.markup import escape
from rich.table import Table

#: Into a file or pipe tables are as wide as they need.
_WIDE = 400
_UID_WIDTH = 22
out = Console(highlight=False, width=None if sys.stdout.isatty() else _WIDE)
err = Console(stderr=True, highlight=False)

JsonOption = Annotated[bool, typer.Option("--json", help="Print JSON to stdout, and nothing else there.")]
YesOption = Annotated[bool, typer.Option("--yes", "-y", help="Do not ask.")]


def plain(value: Any) -> Any:
    """A value as JSON knows it: digests as hex, times in ISO 8601."""
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        return {field.name: plain(getattr(value, field.name)) for field in dataclasses.fields(value)}
    if isinstance(value, dict):
        return {str(plain(key)): plain(item) for key, item in value.items()}
    if isinstance(value, list | tuple | set):
        return [plain(item) for item in value]
    return _plain_scalar(value)


def _plain_scalar(value: Any) -> Any:
    if isinstance(value, Enum):
        return value.value
    if isinstance(value, bytes | memoryview):
        return bytes(value).hex()
    if isinstance(value, datetime | date):
        return value.isoformat()
    return str(value) if isinstance(value, Path | UUID) else value


def print_json(value: Any) -> None:
    """One JSON document on stdout, without colours or wrapping."""
    sys.stdout.write(json.dumps(plain(value), indent=1, ensure_ascii=False) + "\n")
    sys.stdout.flush()


def text(value: object) -> str:
    """A value for a cell or a line: data is never markup, control characters are shown."""
    if value is None:
        return ""
    if isinstance(value, datetime):
        return value.astimezone().strftime("%Y-%m-%d %H:%M:%S")
    if isinstance(value, list | tuple):
        value = " ".join(str(item) for item in value)
    shown = "".join(sign if sign.isprintable() else f"\\x{ord(sign):02x}" for sign in str(value))
    return escape(shown)


def print_table(columns: Sequence[str], rows: Iterable[Sequence[object]], *, title: str = "", empty: str = "Nothing.") -> None:
    """A table on stdout, or the words for an empty one on stderr."""
    table = Table(title=title or None, title_justify="left")
    for column in columns:
        least = _UID_WIDTH if "UID" in column or column == "SOP instance" else None
        table.add_column(
            column.removesuffix("#"), justify="right" if column.endswith("#") else "left", overflow="fold", min_width=least
        )
    count = 0
    for row in rows:
        table.add_row(*[text(value) for value in row])
        count += 1
    if count:
        out.print(table)
    else:
        err.print(empty, soft_wrap=True)


def note(message: str) -> None:
    """A line for people, on stderr."""
    err.print(text(message), soft_wrap=True)


def size(count: float) -> str:
    """Bytes for people."""
    for unit in ("bytes", "KB", "MB", "GB"):
        if abs(count) < 1000 or unit == "GB":
            return f"{count:.0f} {unit}" if unit == "bytes" else f"{count:.1f} {unit}"
        count /= 1000
    raise AssertionError("unreachable")


def confirm(question: str, *, yes: bool) -> None:
    """Ask before something is lost; without a terminal only --yes is a yes. Ends with exit status 2 on a no."""
    if yes:
        return
    if not sys.stdin.isatty():
        note(f"{question} Nobody is here to ask: nothing was done. Say --yes to do it.")
        raise typer.Exit(2)
    if not typer.confirm(question, err=True):
        raise typer.Exit(2)


@contextmanager
def progress(label: str, *, total: int | None = None, quiet: bool = False) -> Iterator[Callable[[int], None]]:
    """A progress bar on stderr, off when that is no terminal; gives a function that advances it."""
    if quiet or not err.is_terminal:
        yield lambda _: None
        return
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn, TimeRemainingColumn

    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn(), TimeRemainingColumn())
    with Progress(*columns, console=err, transient=True) as bar:
        task = bar.add_task(label, total=total)
        yield lambda count: bar.advance(task, count)
