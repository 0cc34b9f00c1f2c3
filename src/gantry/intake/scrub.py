"""The scrubber: compares index and files both ways, slowly, for ever, carried on from job to job.

A pass goes through four phases: every version against its file, every held object against its file, every file against
the index, what writers that died have left in the spool. How far it is lies in the database; each run goes on from
there. What it finds is kept until it is mended or sound again; damaged and missing files are given to `heal`, which the
room of transfers hands in, orphans go through the door of intake again.
"""

from __future__ import annotations

import logging
import os
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from itertools import islice
from pathlib import Path
from typing import Any, TypeAlias
from uuid import UUID

import psycopg
from django.db import connections
from psycopg.rows import class_row

from gantry import config, database
from gantry.intake import volumes as intake_volumes
from gantry.intake.reconcile import Mended, known_paths, mend
from gantry.intake.volumes import HomeVolumes
from gantry.storage import ExpectedFile, Finding, volume_of
from gantry.storage.load import Load
from gantry.storage.verify import Pace, check_file, find_leftovers, find_orphans
from gantry.storage.walk import walk_after

log = logging.getLogger(__name__)

#: While something is received, the scrubber reads at this part of its speed.
BUSY_SHARE = 0.1
PHASES = ("versions", "held", "files", "leftovers")
_BATCH = 200
_FILES = 500
_GRACE_SECONDS = 120.0
_LOOK_SECONDS = 0.2
_NICE = 10


@dataclass(frozen=True, slots=True)
class Healed:
    """What came of healing: `action` healed, superseded or left, with words for a person."""

    action: str
    note: str


#: Given a version whose file is missing or damaged, fetches its bytes from somewhere.
Heal: TypeAlias = Callable[[int], Healed]


@dataclass(frozen=True, slots=True)
class ScrubState:
    """How far the scrubber of a home is. Counts are of the pass that runs, or of the last one."""

    home_id: UUID
    state: str
    phase: str
    cursor: str
    asked_at: datetime | None
    started_at: datetime | None
    finished_at: datetime | None
    updated_at: datetime | None
    total_bytes: int
    checked_files: int
    checked_bytes: int
    problems: int
    mended: int
    passes: int
    note: str
    open_findings: int


@dataclass(frozen=True, slots=True)
class KeptFinding:
    """A file that was missing, damaged or unknown; `ended_at` is set when it is no problem any more."""

    id: int
    path: str
    kind: str
    version_id: int | None
    explanation: str
    found_at: datetime
    seen_at: datetime
    action: str
    action_note: str
    ended_at: datetime | None


def status(connection: psycopg.Connection[Any], home: Path) -> ScrubState | None:
    """How far the scrubber is; None for a folder that is no home."""
    identity = intake_volumes.home_id(home)
    if identity is None:
        return None
    with connection.transaction():
        _run(connection, "open_scrub", home_id=identity)
        with psycopg.Cursor(connection, row_factory=class_row(ScrubState)) as cursor:
            return cursor.execute(_statements()["scrub"], {"home_id": identity}).fetchone()


def ask(connection: psycopg.Connection[Any], home: Path) -> None:
    """Have a pass begin with the next run, whatever the calendar says."""
    if (state := status(connection, home)) is not None:
        _run(connection, "ask_scrub", home_id=state.home_id)


def list_findings(
    connection: psycopg.Connection[Any], home: Path, *, ended: bool = False, before: int | None = None, limit: int = 100
) -> list[KeptFinding]:
    """What was found, the newest first; `ended`: what is no problem any more, too."""
    identity = intake_volumes.home_id(home)
    values = {"home_id": identity, "ended": ended, "before": before, "limit": limit}
    with psycopg.Cursor(connection, row_factory=class_row(KeptFinding)) as cursor:
        return cursor.execute(_statements()["list_findings"], values, prepare=False).fetchall()


class Stopped(Exception):
    """The process ends in the middle of a file: it is compared next time."""


@dataclass(slots=True)
class Throttle:
    """How fast files are read: bytes per second (None: as fast as it goes), and less while something is received."""

    bytes_per_second: float | None
    load: Load
    stop: Callable[[], bool]
    pace: Pace = field(init=False)

    def __post_init__(self) -> None:
        self.pace = Pace(self.bytes_per_second)

    def spend(self, count: int) -> None:
        """Wait as long as reading `count` bytes (a piece of a file) may take now. Raises Stopped."""
        wait = 0.0
        if self.bytes_per_second is not None:
            self.pace.rate = self.bytes_per_second * (BUSY_SHARE if self.load.is_receiving() else 1.0)
            wait = self.pace.owed(count)
        until = time.monotonic() + wait
        while not self.stop():
            if (left := until - time.monotonic()) <= 0:
                return
            time.sleep(min(left, _LOOK_SECONDS))
        raise Stopped


def scrub(
    connection: psycopg.Connection[Any],
    home: Path,
    *,
    heal: Heal,
    stop: Callable[[], bool] = lambda: False,
    seconds: float | None = None,
    bytes_per_second: float | None = None,
    begin: bool = False,
    grace_seconds: float = _GRACE_SECONDS,
) -> ScrubState | None:
    """Go on with the pass of this home for so many seconds (None: to its end); gives how far it is then.

    A pass begins when one was asked for (or `begin`), or when the last one began long enough ago (setting scrub_days).
    None: this is no home, or another process scrubs it now. `connection` is in autocommit.
    """
    state = status(connection, home)
    if state is None:
        return None
    row = _run(connection, "lock_scrub", home_id=state.home_id).fetchone()
    if row is None or not row[0]:
        return None
    try:
        if begin or state.asked_at is not None or (state.state == "idle" and _is_due(state)):
            total = _run(connection, "total_bytes", home_id=state.home_id).fetchone()
            _run(connection, "begin_pass", home_id=state.home_id, total=int(total[0]) if total else 0)
        elif state.state == "idle":
            return state
        until = None if seconds is None else time.monotonic() + seconds
        throttle = Throttle(bytes_per_second, Load(home), stop)
        _in_a_nice_thread(_Pass(connection, home, heal, stop, until, throttle, grace_seconds).go)
        return status(connection, home)
    finally:
        _run(connection, "unlock_scrub", home_id=state.home_id)


def _is_due(state: ScrubState) -> bool:
    last = state.started_at
    return last is None or datetime.now(UTC) - last >= timedelta(days=config.current().scrub_days)


def _in_a_nice_thread(work: Callable[[], None]) -> None:
    """In a thread of its own that yields the processor to all others (on Linux threads have their own niceness)."""
    failure: list[BaseException] = []

    def run() -> None:
        try:
            os.setpriority(os.PRIO_PROCESS, threading.get_native_id(), _NICE)
            work()
        except BaseException as error:
            failure.append(error)
        finally:
            connections.close_all()  # those that Django opened for this thread

    thread = threading.Thread(target=run, name="scrubber")
    thread.start()
    thread.join()
    if failure:
        raise failure[0]


class _Pass:
    """One run: some part of a pass."""

    def __init__(
        self,
        connection: psycopg.Connection[Any],
        home: Path,
        heal: Heal,
        stop: Callable[[], bool],
        until: float | None,
        throttle: Throttle,
        grace_seconds: float,
    ) -> None:
        self._connection = connection
        self._home = home
        self._heal = heal
        self._stop = stop
        self._until = until
        self._throttle = throttle
        self._grace = grace_seconds
        self._volumes: HomeVolumes = intake_volumes.of_home(connection, home)
        self._absent = {one.id for one in self._volumes.absent}
        self._id = self._volumes.rows[0].home_id
        self._passed_over = 0

    def go(self) -> None:
        state = status(self._connection, self._home)
        assert state is not None
        phase, cursor = state.phase or PHASES[0], state.cursor
        for number in range(PHASES.index(phase), len(PHASES)):
            if not self._phase(PHASES[number], cursor):
                return
            cursor = ""
        self._sql("end_gone")
        intake_volumes.count_used(self._connection, self._volumes)
        self._sql("end_pass")

    def _over(self) -> bool:
        return self._stop() or (self._until is not None and time.monotonic() >= self._until)

    def _phase(self, phase: str, cursor: str) -> bool:
        """One phase from a cursor on; False when time is up before its end."""
        self._progress(phase, cursor)
        if phase == "held" and self._volumes.own is not None:
            return True  # the quarantine is the first home's
        if phase in {"versions", "held"}:
            return self._compare(phase, cursor)
        if phase == "files":
            return self._find_orphans(cursor)
        self._mend([finding for finding in find_leftovers(self._home) if finding.path.endswith(".part")])
        return True

    # Rows against files

    def _compare(self, phase: str, cursor: str) -> bool:
        values = {"volume_ids": self._volumes.ids, "own_objects": self._volumes.own is None, "limit": _BATCH}
        while not self._over():
            rows = self._sql(f"{phase}_after", cursor=cursor, **values).fetchall()
            if not rows:
                return True
            good: list[str] = []
            size = bad = mended = files = 0
            stopped = False
            for version_id, path, sha256, offset, count in rows:
                if files and self._over():
                    break
                before, cursor, files = cursor, path, files + 1
                if volume_of(path) in self._absent:
                    self._passed_over += 1
                    continue
                finding = self._check(ExpectedFile(path, bytes(sha256), offset, count))
                if finding is None:
                    cursor, files, stopped = before, files - 1, True
                    break
                size += count
                if finding.kind == "ok":
                    good.append(path)
                else:
                    bad += 1
                    mended += self._told(finding, version_id)
            self._sql("end_findings", paths=good)
            self._progress(phase, cursor, files=files, size=size, problems=bad, mended=mended)
            if stopped:
                break
        return False

    def _check(self, item: ExpectedFile) -> Finding | None:
        """What is found of a file; None when the process ends meanwhile."""
        try:
            return check_file(self._home, item, spend=self._throttle.spend)
        except Stopped:
            return None

    def _told(self, finding: Finding, version_id: int | None) -> bool:
        """Keep a finding and try to heal it; gives whether it is mended."""
        healed = Healed("", "the bytes are not here; send them again, or restore a backup")
        if version_id is not None:
            row = self._sql("still_there", id=version_id, path=finding.path).fetchone()
            if row is None or not row[0]:
                return False
            log.error("a stored file is %s: version %s", finding.kind, version_id)
            healed = self._heal(version_id)
        ended = healed.action in {"healed", "superseded"}
        self._keep(finding, version_id, healed.action, healed.note, ended=ended)
        return ended

    def _keep(self, finding: Finding, version_id: int | None, action: str, note: str, *, ended: bool) -> None:
        self._sql(
            "note_finding", path=finding.path, kind=finding.kind, version_id=version_id, explanation=finding.explanation,
            action=action, note=note[:1000], ended=ended,
        )  # fmt: skip

    # Files against rows

    def _find_orphans(self, cursor: str) -> bool:
        files = self._files(cursor)
        while not self._over():
            batch = list(islice(files, _FILES))
            if not batch:
                return True
            found = find_orphans(self._home, lambda paths: known_paths(self._connection, paths), self._grace, walked=batch)
            mended = self._mend(list(found))
            self._progress("files", batch[-1][0], problems=len(mended), mended=sum(one.action != "left" for one in mended))
        return False

    def _files(self, cursor: str) -> Iterator[tuple[str, os.stat_result]]:
        """All files behind the cursor; the order of the roots is that of their names."""
        for root in sorted(self._volumes.roots):
            if not cursor or cursor.startswith(f"{root}/") or root > cursor:
                yield from walk_after(self._home, root, cursor)

    def _mend(self, findings: Sequence[Finding]) -> list[Mended]:
        mended = list(mend(self._connection, self._home, findings))
        for one in mended:
            self._keep(one.finding, None, one.action, one.explanation, ended=one.action != "left")
        return mended

    # The database

    def _progress(self, phase: str, cursor: str, *, files: int = 0, size: int = 0, problems: int = 0, mended: int = 0) -> None:
        names = ", ".join(one.name for one in self._volumes.rows if one.id in self._absent)
        note = f"{self._passed_over} files on volumes that are not mounted ({names}) were passed over" if self._absent else ""
        self._sql(
            "note_scrub", state="running", phase=phase, cursor=cursor, files=files, bytes=size, problems=problems,
            mended=mended, note=note,
        )  # fmt: skip

    def _sql(self, name: str, /, **values: Any) -> psycopg.Cursor[Any]:
        return _run(self._connection, name, home_id=self._id, **values)


def _statements() -> dict[str, Any]:
    return dict(database.statements("gantry.intake", "scrub.sql"))


def _run(connection: psycopg.Connection[Any], name: str, /, **values: Any) -> psycopg.Cursor[Any]:
    return connection.execute(database.statements("gantry.intake", "scrub.sql")[name], values)
