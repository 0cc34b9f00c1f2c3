"""Answers of the audit that take long: exported line by line, or a check of the chains that says how far it is.

Each works in a thread of its own with a connection of its own, at the pace of the client, and ends when the client goes.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import psycopg

from gantry import database
from gantry.audit import By, anchors, record
from gantry.audit.record import Json
from gantry.audit.verify import Report, verify
from gantry.audit.work import place

#: How often a client hears of a check that goes on, seconds.
SAY_SECONDS = 0.25
#: Lines that are sent in one piece.
_LINES = 500
#: Of a check that found more, so many are sent; the command line lists up to a thousand.
_PROBLEMS = 200


class Lines:
    """Lines made by `make` from a connection, in pieces, taken from it in threads: memory does not grow."""

    def __init__(self, make: Callable[[psycopg.Connection[Any]], Iterator[str]]) -> None:
        self._make = make
        self._stack = ExitStack()

    async def __aiter__(self) -> AsyncIterator[bytes]:
        try:
            lines = await asyncio.to_thread(self._begin)
            while piece := await asyncio.to_thread(_take, lines):
                yield piece
        finally:
            await asyncio.shield(asyncio.to_thread(self._stack.close))

    def _begin(self) -> Iterator[str]:
        connection = self._stack.enter_context(database.connect(autocommit=True, application="gantry-audit"))
        lines = self._make(connection)
        self._stack.callback(getattr(lines, "close", lambda: None))
        return lines


def _take(lines: Iterator[str]) -> bytes:
    return "".join(line for line, _ in zip(lines, range(_LINES), strict=False)).encode("utf-8")


class Check:
    """A check of all chains as lines of JSON: `{"entries", "total"}` again and again, at last `{"result": {...}}`.

    What it found is written into the audit as `audit.verify`.
    """

    def __init__(self, home: Path, by: By, connection: psycopg.Connection[Any]) -> None:
        """`connection` is ours from now on."""
        self._home, self._by, self._connection = home, by, connection
        self._report = Report()
        self._total = sum(seq for seq, _ in anchors.heads(connection).values())
        self._begun = False

    def close(self) -> None:
        """Called by the response when it ends, however it ends."""
        if not self._begun:
            self._end()

    def _end(self) -> None:
        """The next check may begin at once: a server notices some moments later that a connection is closed."""
        with contextlib.suppress(psycopg.Error):
            self._connection.execute(database.statements("gantry.audit")["alone_no_more"])
        self._connection.close()

    async def __aiter__(self) -> AsyncIterator[bytes]:
        self._begun = True
        running = asyncio.ensure_future(asyncio.to_thread(self._run))
        try:
            while not running.done():
                yield _line({"entries": self._report.entries, "total": max(self._total, self._report.entries)})
                await asyncio.wait({running}, timeout=SAY_SECONDS)
            yield _line({"result": running.result()})
        except psycopg.Error:
            yield _line({"error": "The database ended the check."})
        finally:
            if not running.done():
                with contextlib.suppress(psycopg.Error):
                    await asyncio.to_thread(self._connection.cancel_safe)
                await asyncio.shield(asyncio.wait({running}))
                with contextlib.suppress(psycopg.Error):
                    running.result()

    def _run(self) -> dict[str, Any]:
        try:
            known = anchors.read(place(self._home))
            report = verify(self._connection, known, self._report)
            found: dict[str, Json] = {
                "ok": report.ok, "entries": report.entries, "anchors": len(known), "retirements": report.retirements,
                "head": report.head, "problem_count": report.problem_count,
            }  # fmt: skip
            record(self._connection, "audit.verify", self._by, after=found)
            problems = [
                {"kind": one.kind, "entry_id": one.entry_id, "explanation": one.explanation}
                for one in report.problems[:_PROBLEMS]
            ]
            return {**found, "problems": problems}
        finally:
            self._end()


def _line(value: Any) -> bytes:
    return (json.dumps(value) + "\n").encode("utf-8")
